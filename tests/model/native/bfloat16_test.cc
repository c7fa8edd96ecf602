// SPDX-License-Identifier: Apache-2.0
// Training with inputs of products rounded to bfloat16, against float32 throughout.
#include <gtest/gtest.h>

#include "formats/json.h"
#include "model/native/cpu_level.h"
#include "model/native/native_engine.h"
#include "tests/model/graph/tiny_model.h"
#include "tests/model/shared_data.h"

namespace coppice::graph {
namespace {

struct Trained {
  Adapter gradient;
  double loss;
};

Trained train(const std::shared_ptr<const BaseModel>& base, const std::vector<TokenId>& ids,
              bool exact) {
  const auto engine = open_engine(base, {.threads = 2, .exact = exact}).value();
  std::vector<TrainJob> jobs(
      1, TrainJob{.frozen = {}, .start = random_adapter(*base, 4, 7), .optimizer = {}});
  const auto session = engine->start_training(jobs).value();
  const Batch batch{.sequences = {whole_sequence(ids)}};
  Adapter gradient = session->gradient(0, batch).value();
  return {std::move(gradient), session->step({&batch, 1}).value()[0].loss};
}

struct Case {
  const char* model;
  double least; // cosine of each tensor
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.model; }

class Bfloat16 : public testing::TestWithParam<Case> {};

// A bfloat16 has 8 bits: a product of two rounded rows is off by 2^-9 / sqrt(3) sqrt(2) = 1.6e-3 of
// its size. Some thirty products lie behind a gradient and add up in quadrature to 1 %, a cosine of
// 1 - 5e-5, and softmaxes of large scores multiply that: by 3 in trained models, more in random
// ones, whose scores and logits are larger. Whoever needs more asks for float32
// (EngineOptions::exact).
TEST_P(Bfloat16, GradientsPointWhereFloat32sDo) {
  COPPICE_NEEDS_SHARED(GetParam().model);
  const auto base = BaseModel::open(shared_data(GetParam().model)).value();
  const auto ids = random_tokens(*base, 127, 3);
  const Trained exact = train(base, ids, true);
  const Trained rounded = train(base, ids, false);
  EXPECT_NEAR(rounded.loss, exact.loss, 2e-3 * exact.loss);
  for (std::size_t t = 0; t < exact.gradient.targets(); ++t) {
    const std::string& name = exact.gradient.spec().targets[t].tensor;
    EXPECT_GE(cosine(rounded.gradient.a(t), exact.gradient.a(t)), GetParam().least) << name << " A";
    EXPECT_GE(cosine(rounded.gradient.b(t), exact.gradient.b(t)), GetParam().least) << name << " B";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, Bfloat16,
    testing::Values(
        Case{"models/coppice-4m.q4_0.gguf", 0.9993}, Case{"models/coppice-4m.q8_0.gguf", 0.9993},
        Case{"arch/tiny-llama-a.q8_0.gguf", 0.998}, Case{"arch/tiny-llama3rope-a.q8_0.gguf", 0.998},
        Case{"arch/tiny-qwen2-a.q8_0.gguf", 0.998}, Case{"arch/tiny-qwen3-a.q8_0.gguf", 0.998},
        Case{"arch/tiny-phi3-a.q8_0.gguf", 0.998}, Case{"arch/tiny-phi4mini-a.q8_0.gguf", 0.998},
        Case{"arch/tiny-gemma2-a.q8_0.gguf", 0.998}, Case{"arch/tiny-gemma3-a.q8_0.gguf", 0.998},
        Case{"arch/tiny-smollm3-a.q8_0.gguf", 0.99}, Case{"arch/tiny-bitnet-a.q8_0.gguf", 0.998},
        Case{"arch/tiny-llama256-a.q4_0.gguf", 0.998},
        Case{"arch/tiny-llama256-a.q6_k.gguf", 0.998}));

} // namespace
} // namespace coppice::graph
