// SPDX-License-Identifier: Apache-2.0
// What strategies over factors hold at the size of a large model: 160 layers of 8192 x 8192, rank
// 8, twenty devices. Their updates are made layer by layer, and each layer's step is encoded into
// the release's as in a round, so that all that grows with the layers is that. A second a layer is
// long: of each eight, one is computed and the others' steps are zeros.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "adapters/factor_choice.h"
#include "adapters/step_codec.h"
#include "aggregator/patch.h"
#include "tests/adapters/peak_growth.h"

namespace coppice {
namespace {

constexpr std::uint32_t kWidth = 8192;
constexpr std::uint32_t kRank = 8;
constexpr std::size_t kLayers = 160;
constexpr std::size_t kDevices = 20;
constexpr std::size_t kComputed = 8;

std::shared_ptr<const AdapterSpec> layers(std::size_t count, std::uint32_t rank) {
  AdapterSpec spec{.architecture = "none", .targets = {}};
  for (std::size_t i = 0; i < count; ++i) {
    spec.targets.push_back({.tensor = "layer." + std::to_string(i),
                            .in = kWidth,
                            .out = kWidth,
                            .rank = rank,
                            .alpha = static_cast<float>(2 * rank)});
  }
  return std::make_shared<const AdapterSpec>(std::move(spec));
}

void make_updates(const Adapter& current, std::uint64_t layer, std::vector<RoundSum>& groups) {
  KeyedRandom random({.experiment = 3, .round = layer});
  for (RoundSum& sum : groups) {
    sum.weight = 2;
    sum.delta.assign(current.values().size(), 0.0);
    for_each_chosen(current.spec(), {.rank = kRank}, [&](std::size_t first, std::size_t count) {
      for (std::size_t i = first; i < first + count; ++i) {
        sum.delta[i] = static_cast<double>(random.uniform_float()) - 0.5;
      }
    });
  }
}

void expect_little_memory(const char* name, std::uint32_t patch) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's own memory is not ours to count";
  const auto strategy = make_strategy({.name = name}, false).value();
  RoundPlan plan;
  plan.round = RoundId{1};
  plan.sum.cohort = kDevices;
  plan.recipe.trained_rank = patch > 0 ? kRank : 0;
  strategy->prepare(plan);
  const Adapter current = with_patch(Adapter::initial(layers(1, kRank), 7), patch).value();
  std::vector<RoundSum> groups(kDevices);
  make_updates(current, 0, groups); // their memory is taken before the watch begins
  StrategyState state;
  std::size_t parameters = 0;
  const auto began = std::chrono::steady_clock::now();
  const std::size_t bytes = peak_growth([&] {
    StepEncoder encoder(*layers(kLayers, kRank + patch));
    const std::vector<double> zeros(current.a(0).size()); // as many as B has
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
      if (layer % kComputed != 0) {
        ASSERT_TRUE(encoder.add(zeros).ok() && encoder.add(zeros).ok());
        continue;
      }
      make_updates(current, layer, groups);
      const auto made = strategy->step_by_slot({plan, groups, current}, state,
                                               [&](auto slot) { return encoder.add(slot); });
      ASSERT_TRUE(made.ok()) << made.error().message;
    }
    parameters = std::move(encoder).finish().value().integers.size();
  });
  if (bytes == 0) GTEST_SKIP() << "/proc/self/clear_refs can't be written";
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::printf("%-9s patch %2u: %3zu MB beyond the updates, %zu parameters, %.0f s\n", name, patch,
              bytes / 1'000'000, parameters, took.count());
  EXPECT_GT(bytes, 2 * parameters); // the step's integers: it was counted
  EXPECT_LE(bytes, std::size_t{300'000'000});
}

TEST(FactorMemory, FlexLoraTakesAtMost300MegabytesBeyondTheUpdates) {
  expect_little_memory("flexlora", 0);
}
TEST(FactorMemory, FedExTakesAtMost300MegabytesBeyondTheUpdates) {
  expect_little_memory("fedex", 2 * kRank);
}
TEST(FactorMemory, FLoraTakesAtMost300MegabytesBeyondTheUpdates) {
  expect_little_memory("flora", 2 * kRank);
}

} // namespace
} // namespace coppice
