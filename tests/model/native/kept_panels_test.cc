// SPDX-License-Identifier: Apache-2.0
// Weights that are packed once change nothing but time and memory.
#include "model/native/kept_panels.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "model/native/cpu_level.h"
#include "tests/model/graph/tiny_model.h"
#include "tests/model/shared_data.h"

namespace coppice::graph {
namespace {

constexpr std::uint64_t kPlenty = std::uint64_t{64} << 20U;

std::unique_ptr<Engine> engine_of(const std::shared_ptr<const BaseModel>& base,
                                  EnginePrecision precision, std::uint64_t kept_weight_bytes) {
  return open_engine(base,
                     {.threads = 2, .precision = precision, .kept_weight_bytes = kept_weight_bytes})
      .value();
}

// All that products are part of, in training and in scoring.
std::vector<float> figures_of(Engine& engine) {
  const auto start = random_start(engine.base(), 4, 7);
  std::vector<TrainJob> jobs(1, TrainJob{.frozen = {}, .start = start, .optimizer = {}});
  const auto session = engine.start_training(std::move(jobs)).value();
  // Lengths that are no multiple of anything, in one pass.
  const Batch batch{.sequences = {whole_sequence(random_tokens(engine.base(), 61, 3)),
                                  whole_sequence(random_tokens(engine.base(), 38, 4))}};
  const Adapter gradient = session->gradient(0, batch).value();
  std::vector<float> figures(gradient.values().begin(), gradient.values().end());
  const AdapterUse use{.adapter = start.get()};
  const auto scores = engine.score({&use, 1}, batch.sequences).value();
  for (const Score& score : scores) figures.push_back(static_cast<float>(score.nats));
  return figures;
}

class EveryLevel : public testing::TestWithParam<const char*> {
 protected:
  ~EveryLevel() override { ::unsetenv("COPPICE_ENGINE_CPU"); }
};

TEST_P(EveryLevel, KeptPanelsGiveTheSameBits) {
  COPPICE_NEEDS_SHARED(GetParam());
  const auto base = BaseModel::open(shared_data(GetParam())).value();
  for (const native::CpuLevel level : native::supported_cpu_levels()) {
    const std::string name(native::cpu_level_name(level));
    ::setenv("COPPICE_ENGINE_CPU", name.c_str(), 1);
    for (const EnginePrecision precision :
         {EnginePrecision::kBfloat16, EnginePrecision::kFloat32, EnginePrecision::kQuick}) {
      EXPECT_EQ(figures_of(*engine_of(base, precision, kPlenty)),
                figures_of(*engine_of(base, precision, 0)))
          << name;
    }
  }
}

// Grouped and fused projections, norms of every kind, tied and untied heads, odd widths.
INSTANTIATE_TEST_SUITE_P(Models, EveryLevel,
                         testing::Values("arch/tiny-llama-a.q8_0.gguf",
                                         "arch/tiny-phi3-a.q8_0.gguf",
                                         "arch/tiny-gemma2-a.q8_0.gguf",
                                         "arch/tiny-bitnet-a.q8_0.gguf"));

std::int64_t live_bytes() {
  native::Buffer::take_peak();
  return native::Buffer::take_peak();
}

TEST(KeptPanels, AreOneForAllEnginesOfABaseAndGoWithTheLast) {
  const auto base = repository_model();
  const std::int64_t before = live_bytes();
  auto first = engine_of(base, EnginePrecision::kBfloat16, kPlenty);
  const std::int64_t one = live_bytes() - before;
  if (native::product_kernels(native::choose_cpu_level().value(), native::Precision::kBfloat16)
          .precision == native::Precision::kFloat32) {
    GTEST_SKIP() << "float32 is not kept";
  }
  EXPECT_GE(one, std::int64_t{2 * 4'194'304}); // the way back's in bfloat16, at least
  auto second = engine_of(base, EnginePrecision::kBfloat16, kPlenty);
  EXPECT_LT(live_bytes() - before, one + one / 100);
  first.reset();
  EXPECT_GE(live_bytes() - before, one - one / 100);
  second.reset();
  EXPECT_LT(live_bytes() - before, one / 100);
}

TEST(KeptPanels, AreNotMadeWhereTheyTakeMoreThanAllowed) {
  const auto base = repository_model();
  const std::int64_t before = live_bytes();
  const auto engine = engine_of(base, EnginePrecision::kBfloat16, std::uint64_t{1} << 20U);
  EXPECT_LT(live_bytes() - before, std::int64_t{1} << 20);
}

} // namespace
} // namespace coppice::graph
