// SPDX-License-Identifier: Apache-2.0
#include "model/nf4.h"

#include <cmath>

#include "base/random.h"
#include "model/weight_rows.h"
#include "tests/model/shared_data.h"
#include "tests/model/tiny_model.h"

namespace coppice {
namespace {

std::vector<float> floats(const Json& json, const char* key) {
  std::vector<float> values;
  for (const Json& item : *json_array(json, key).value()) values.push_back(item.get<float>());
  return values;
}

TEST(Nf4, EncodesAndDecodesThePublishedExampleBitForBit) {
  COPPICE_NEEDS_SHARED("vectors/nf4_vectors.json");
  const Json vectors = parse_json(read_text(shared_data("vectors/nf4_vectors.json"))).value();
  EXPECT_TRUE(std::ranges::equal(floats(vectors, "codebook"), nf4_levels()));
  const std::vector<float> source = floats(vectors, "src");
  Bytes packed(source.size() / 2);
  std::vector<float> magnitudes(source.size() / kNf4Block);
  quantize_nf4(source, packed, magnitudes);
  EXPECT_EQ(to_hex(packed), json_string(vectors, "packed_hex").value());
  EXPECT_EQ(magnitudes, floats(vectors, "absmax"));
  std::vector<float> decoded(source.size());
  dequantize_nf4(packed, magnitudes, decoded);
  EXPECT_EQ(decoded, floats(vectors, "dequant"));
}

// Made by bitsandbytes' create_dynamic_map(): every 32nd value, and the last.
TEST(Nf4, HasTheDynamicMapOfBitsandbytes) {
  const float expected[] = {-0.992968738079071F,
                            -0.54296875F,
                            -0.09859374910593033F,
                            -0.009718749672174454F,
                            5.500000384017767e-07F,
                            0.014218750409781933F,
                            0.12109375F,
                            0.5710937976837158F,
                            1.0F};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(nf4_magnitude_levels()[i * 32], expected[i]) << i;
  EXPECT_EQ(nf4_magnitude_levels()[255], expected[8]);
  double sum = 0.0;
  for (const float level : nf4_magnitude_levels()) sum += std::abs(double{level});
  EXPECT_EQ(sum, 75.10526317200026);
}

std::vector<float> seeded_weights(std::size_t count, std::uint64_t seed) {
  KeyedRandom random({.experiment = seed});
  std::vector<float> weights(count);
  for (float& weight : weights) weight = 0.05F * (random.uniform_float() - 0.5F);
  return weights;
}

// Half the widest gap of the levels is 0.152 of a magnitude, and of the magnitudes' levels 0.0071
// of a scale.
TEST(Nf4, DoubleQuantizationKeepsEveryMagnitudeWithinHalfAGap) {
  const std::vector<float> weights = seeded_weights(kNf4Block * 600, 1);
  Bytes packed(weights.size() / 2);
  std::vector<float> magnitudes(600);
  quantize_nf4(weights, packed, magnitudes);
  const QuantizedNf4Magnitudes quantized = quantize_nf4_magnitudes(magnitudes);
  ASSERT_EQ(quantized.scales.size(), 3U);
  ASSERT_EQ(quantized.codes.size(), 600U);
  for (std::size_t i = 0; i < magnitudes.size(); ++i) {
    const float scale = quantized.scales[i / kNf4NestedBlock];
    EXPECT_NEAR(quantized.view().at(i), magnitudes[i], 0.0071F * scale) << i;
  }
  std::vector<float> from_middle(kNf4Block * 2);
  std::vector<float> all(weights.size());
  dequantize_nf4(packed, quantized.view(), 0, all);
  dequantize_nf4(ByteSpan(packed).subspan(300 * kNf4Block / 2, kNf4Block), quantized.view(), 300,
                 from_middle);
  EXPECT_TRUE(
      std::ranges::equal(from_middle, std::span(all).subspan(300 * kNf4Block, from_middle.size())));
}

TEST(Nf4, ZerosStayZerosAndEqualMagnitudesStayExact) {
  const std::vector<float> zeros(kNf4Block * 3);
  Bytes packed(zeros.size() / 2);
  std::vector<float> magnitudes(3);
  quantize_nf4(zeros, packed, magnitudes);
  std::vector<float> decoded(zeros.size(), 1.0F);
  dequantize_nf4(packed, quantize_nf4_magnitudes(magnitudes).view(), 0, decoded);
  EXPECT_EQ(decoded, zeros);
  const std::vector<float> equal(300, 0.25F);
  EXPECT_EQ(quantize_nf4_magnitudes(equal).view().at(299), 0.25F);
}

// blk.0.ffn_down.weight, 64 x 32, of the tiny model as NF4.
TinyModel model_with_nf4(std::vector<float>* weights) {
  TinyModel model = TinyModel::make();
  const std::string name = "blk.0.ffn_down.weight";
  *weights = seeded_weights(std::size_t{64} * 32, 3);
  Bytes packed(weights->size() / 2);
  std::vector<float> magnitudes(32);
  quantize_nf4(*weights, packed, magnitudes);
  const QuantizedNf4Magnitudes quantized = quantize_nf4_magnitudes(magnitudes);
  dequantize_nf4(packed, quantized.view(), 0, *weights);
  std::vector<float> scales = {quantized.offset};
  scales.insert(scales.end(), quantized.scales.begin(), quantized.scales.end());
  const ByteSpan scale_bytes = as_bytes(std::span<const float>(scales));
  model.tensors[name] = {{32, 32}, BlockType::kI8, packed};
  model.tensors[name + ".nf4_absmax"] = {{1, 32}, BlockType::kI8, quantized.codes};
  model.tensors[name + ".nf4_scales"] = {
      {2}, BlockType::kF32, Bytes(scale_bytes.begin(), scale_bytes.end())};
  model.metadata["coppice.nf4.block"] = std::uint32_t{64};
  model.metadata["coppice.nf4.nested_block"] = std::uint32_t{256};
  model.metadata["coppice.nf4.levels"] =
      std::vector<float>(nf4_levels().begin(), nf4_levels().end());
  model.metadata["coppice.nf4.absmax_levels"] =
      std::vector<float>(nf4_magnitude_levels().begin(), nf4_magnitude_levels().end());
  return model;
}

TEST(WeightRows, GiveTheRowsOfAnyTypeThroughOneInterface) {
  std::vector<float> weights;
  const TestFolder folder;
  const auto model = model_with_nf4(&weights).open(folder.path());
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ((*model)->parameters(), TinyModel::make().open(folder.path()).value()->parameters());
  const auto nf4 = WeightRows::open((*model)->file(), "blk.0.ffn_down.weight").value();
  EXPECT_TRUE(nf4.is_nf4());
  EXPECT_EQ(nf4.rows(), 32U);
  EXPECT_EQ(nf4.columns(), 64U);
  EXPECT_EQ(nf4.column_step(), 64U);
  EXPECT_EQ(nf4.bytes(), 32U * 32 + 32 + 2 * 4);
  std::vector<float> row(64);
  for (std::size_t i = 0; i < 32; ++i) {
    nf4.dequantize(i, row);
    EXPECT_TRUE(std::ranges::equal(row, std::span(weights).subspan(i * 64, 64))) << i;
  }
  const GgufTensor& plain = *(*model)->file().find_tensor("blk.1.ffn_down.weight").value();
  const auto q8 = WeightRows::open((*model)->file(), plain.name).value();
  std::vector<float> expected(plain.elements());
  dequantize_row(plain.type, plain.data, expected);
  std::vector<float> part(32);
  q8.dequantize(5, 32, part);
  EXPECT_TRUE(std::ranges::equal(part, std::span(expected).subspan(5 * 64 + 32, 32)));
  const auto norm = WeightRows::open((*model)->file(), "output_norm.weight").value();
  EXPECT_EQ(norm.rows(), 1U);
}

TEST(WeightRows, RefuseNf4WhoseCompanionsAreMissingMisshapenOrOfOtherTables) {
  std::vector<float> weights;
  const TestFolder folder;
  const auto code_of = [&folder](const TinyModel& model) {
    const auto opened = model.open(folder.path());
    return opened.ok() ? ErrorCode::kInternal : opened.error().code;
  };
  const TinyModel good = model_with_nf4(&weights);
  TinyModel model = good;
  model.tensors.erase("blk.0.ffn_down.weight.nf4_scales");
  EXPECT_EQ(code_of(model), ErrorCode::kNotFound);
  model = good;
  model.tensors.erase("blk.0.ffn_down.weight.nf4_absmax");
  EXPECT_EQ(code_of(model), ErrorCode::kCorrupt);
  model = good;
  model.tensors["blk.0.ffn_down.weight.nf4_scales"].dims = {1};
  model.tensors["blk.0.ffn_down.weight.nf4_scales"].data.resize(4);
  EXPECT_EQ(code_of(model), ErrorCode::kCorrupt);
  model = good;
  model.metadata["coppice.nf4.block"] = std::uint32_t{128};
  EXPECT_EQ(code_of(model), ErrorCode::kUnsupported);
  model = good;
  model.metadata["coppice.nf4.levels"] = std::vector<float>(16, 0.0F);
  EXPECT_EQ(code_of(model), ErrorCode::kUnsupported);
  model = good;
  model.metadata.erase("coppice.nf4.absmax_levels");
  EXPECT_EQ(code_of(model), ErrorCode::kNotFound);
}

} // namespace
} // namespace coppice
