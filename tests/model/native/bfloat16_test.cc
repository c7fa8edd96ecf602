// SPDX-License-Identifier: Apache-2.0
// Training with inputs of the way back's products rounded to bfloat16, against float32 throughout.
#include <gtest/gtest.h>

#include "formats/json.h"
#include "model/native/cpu_level.h"
#include "model/native/native_engine.h"
#include "model/quantize_model.h"
#include "tests/model/graph/tiny_model.h"
#include "tests/model/shared_data.h"

namespace coppice::graph {
namespace {

struct Trained {
  Adapter gradient;
  double loss;
};

Trained train(const std::shared_ptr<const BaseModel>& base, const std::vector<TokenId>& ids,
              EnginePrecision precision) {
  const auto engine = open_engine(base, {.threads = 2, .precision = precision}).value();
  std::vector<TrainJob> jobs(
      1, TrainJob{.frozen = {}, .start = random_start(*base, 4, 7), .optimizer = {}});
  const auto session = engine->start_training(jobs).value();
  const Batch batch{.sequences = {whole_sequence(ids)}};
  Adapter gradient = session->gradient(0, batch).value();
  return {std::move(gradient), session->step({&batch, 1}).value()[0].loss};
}

void expect_directions(const Adapter& gradient, const Adapter& exact, double least) {
  for (std::size_t t = 0; t < exact.targets(); ++t) {
    const std::string& name = exact.spec().targets[t].tensor;
    EXPECT_GE(cosine(gradient.a(t), exact.a(t)), least) << name << " A";
    EXPECT_GE(cosine(gradient.b(t), exact.b(t)), least) << name << " B";
  }
}

void expect_float32s_gradient(const std::shared_ptr<const BaseModel>& base) {
  const auto ids = random_tokens(*base, 127, 3);
  const Trained exact = train(base, ids, EnginePrecision::kFloat32);
  const Trained rounded = train(base, ids, EnginePrecision::kBfloat16);
  EXPECT_NEAR(rounded.loss, exact.loss, 1e-5 * exact.loss);
  expect_directions(rounded.gradient, exact.gradient, 0.9999);
}

// The way there multiplies to 2^-17 (kSplit), so its loss is float32's. The way back rounds inputs
// of products to bfloat16, 8 bits: a product of two rounded rows is off by 2^-9 / sqrt(3) sqrt(2) =
// 1.6e-3 of its size. Up to twenty products lie behind a gradient and add up in quadrature to 0.7
// %: a cosine of 1 - 2.5e-5. Rounding the way there as well would cost ten times that: softmaxes
// multiply what scores are off.
class Bfloat16 : public testing::TestWithParam<const char*> {};

TEST_P(Bfloat16, GradientsPointWhereFloat32sDo) {
  COPPICE_NEEDS_SHARED(GetParam());
  expect_float32s_gradient(BaseModel::open(shared_data(GetParam())).value());
}

// Rounded there too, scores are off by 2^-9 of their size or so, and softmaxes multiply that.
TEST_P(Bfloat16, QuickIsWithinAThousandthOfTheLossAndAHundredthOfTheDirection) {
  COPPICE_NEEDS_SHARED(GetParam());
  const auto base = BaseModel::open(shared_data(GetParam())).value();
  const auto ids = random_tokens(*base, 127, 3);
  const Trained exact = train(base, ids, EnginePrecision::kFloat32);
  const Trained quick = train(base, ids, EnginePrecision::kQuick);
  EXPECT_NEAR(quick.loss, exact.loss, 1e-3 * exact.loss);
  expect_directions(quick.gradient, exact.gradient, 0.99);
}

INSTANTIATE_TEST_SUITE_P(
    Models, Bfloat16,
    testing::Values("models/coppice-4m.q4_0.gguf", "models/coppice-4m.q8_0.gguf",
                    "arch/tiny-llama-a.q8_0.gguf", "arch/tiny-llama3rope-a.q8_0.gguf",
                    "arch/tiny-qwen2-a.q8_0.gguf", "arch/tiny-qwen3-a.q8_0.gguf",
                    "arch/tiny-phi3-a.q8_0.gguf", "arch/tiny-phi4mini-a.q8_0.gguf",
                    "arch/tiny-gemma2-a.q8_0.gguf", "arch/tiny-gemma3-a.q8_0.gguf",
                    "arch/tiny-smollm3-a.q8_0.gguf", "arch/tiny-bitnet-a.q8_0.gguf"));

class Bfloat16Blocks : public testing::TestWithParam<const char*> {};

TEST_P(Bfloat16Blocks, GradientsPointWhereFloat32sDo) {
  COPPICE_NEEDS_SHARED("arch/tiny-llama256-a.f32.gguf");
  const TestFolder folder;
  const fs::path path = folder.path() / "quantized.gguf";
  const auto source = GgufFile::open(shared_data("arch/tiny-llama256-a.f32.gguf")).value();
  ASSERT_TRUE(quantize_model(source, path, {.type = parse_storage(GetParam()).value()}).ok());
  expect_float32s_gradient(BaseModel::open(path).value());
}

INSTANTIATE_TEST_SUITE_P(EveryType, Bfloat16Blocks,
                         ::testing::Values("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0",
                                           "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
                                           "IQ4_XS", "TQ1_0", "TQ2_0", "NF4"),
                         [](const auto& parameter) { return std::string(parameter.param); });

} // namespace
} // namespace coppice::graph
