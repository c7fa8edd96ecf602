// SPDX-License-Identifier: Apache-2.0
// Bases of every block type: the engine computes with the weights that the rows say.
#include "model/native/native_engine.h"
#include "model/quantize_model.h"
#include "tests/model/shared_data.h"

namespace coppice {
namespace {

class QuantizedBase : public ::testing::TestWithParam<const char*> {};

std::vector<float> logits_of(const fs::path& path, std::span<const TokenId> tokens) {
  const auto base = BaseModel::open(path);
  EXPECT_TRUE(base.ok()) << base.error().message;
  const auto engine = open_native_engine(*base, {.threads = 2, .exact = true});
  EXPECT_TRUE(engine.ok()) << engine.error().message;
  return (*engine)->logits({}, tokens).value();
}

// The same weights as float32 in the file, and so the same bits.
TEST_P(QuantizedBase, GivesTheLogitsOfItsDequantizedWeights) {
  COPPICE_NEEDS_SHARED("arch/tiny-llama256-a.f32.gguf");
  const TestFolder folder;
  const auto source = GgufFile::open(shared_data("arch/tiny-llama256-a.f32.gguf")).value();
  const fs::path quantized = folder.path() / "quantized.gguf";
  const fs::path expanded = folder.path() / "expanded.gguf";
  ASSERT_TRUE(quantize_model(source, quantized, {.type = parse_storage(GetParam()).value()}).ok());
  const auto file = GgufFile::open(quantized).value();
  ASSERT_TRUE(quantize_model(file, expanded, {.type = BlockType::kF32}).ok());
  const std::vector<TokenId> tokens = {1, 5, 9, 17, 33, 65, 3, 2};
  EXPECT_EQ(logits_of(quantized, tokens), logits_of(expanded, tokens));
}

INSTANTIATE_TEST_SUITE_P(EveryType, QuantizedBase,
                         ::testing::Values("F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
                                           "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
                                           "IQ4_XS", "TQ1_0", "TQ2_0", "NF4"),
                         [](const auto& parameter) { return std::string(parameter.param); });

} // namespace
} // namespace coppice
