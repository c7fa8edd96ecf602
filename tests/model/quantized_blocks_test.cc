// SPDX-License-Identifier: Apache-2.0
#include "model/quantized_blocks.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>

#include "base/random.h"
#include "formats/gguf_reader.h"
#include "formats/half.h"
#include "tests/model/shared_data.h"

namespace coppice {
namespace {

constexpr BlockType kTypes[] = {
    BlockType::kF32,   BlockType::kF16,  BlockType::kBF16, BlockType::kQ8_0,   BlockType::kQ4_0,
    BlockType::kQ4_1,  BlockType::kQ5_0, BlockType::kQ5_1, BlockType::kQ2_K,   BlockType::kQ3_K,
    BlockType::kQ4_K,  BlockType::kQ5_K, BlockType::kQ6_K, BlockType::kIQ4_NL, BlockType::kIQ4_XS,
    BlockType::kTQ1_0, BlockType::kTQ2_0};

Bytes random_bytes(std::size_t count, std::uint64_t seed) {
  KeyedRandom random({.experiment = seed});
  Bytes bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.next_u32());
  return bytes;
}

std::vector<float> dequantize(DequantizeRow* row, ByteSpan blocks, std::size_t elements) {
  std::vector<float> out(elements);
  row(blocks.data(), elements, out.data());
  return out;
}

// Which NaN comes of two is open: any stands for any.
bool same_bits_or_nan(std::span<const float> a, std::span<const float> b) {
  return std::ranges::equal(a, b, [](float x, float y) {
    return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y) ||
           (std::isnan(x) && std::isnan(y));
  });
}

// Tolerance 0: products are exact and at most one sum is rounded, so every correct reader has these
// bits.
void expect_published_values(const GgufFile& file, const std::string& prefix, BlockType type) {
  const GgufTensor& expected = *file.find_tensor(prefix + ".dequant.f32").value();
  const GgufTensor* blocks = nullptr;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name.starts_with(prefix + ".blocks.")) blocks = &tensor;
  }
  ASSERT_NE(blocks, nullptr) << prefix;
  ASSERT_EQ(blocks->type, type);
  std::vector<float> values(blocks->elements());
  dequantize_row(type, blocks->data, values);
  EXPECT_TRUE(std::ranges::equal(as_bytes(std::span<const float>(values)), expected.data))
      << prefix;
}

TEST(QuantizedBlocks, EqualThePublishedValuesOfEachTypeBitForBit) {
  COPPICE_NEEDS_SHARED("vectors/ggml_quant_vectors.gguf");
  const auto file = GgufFile::open(shared_data("vectors/ggml_quant_vectors.gguf"));
  ASSERT_TRUE(file.ok());
  for (const BlockType type : kTypes) {
    // The file has no blocks of these: the source is F32, and F16 has a test of all its values.
    if (type == BlockType::kF32 || type == BlockType::kF16) continue;
    std::string prefix(block_type_name(type));
    std::ranges::transform(prefix, prefix.begin(), [](unsigned char c) { return std::tolower(c); });
    expect_published_values(*file, prefix, type);
  }
}

TEST(QuantizedBlocks, HandMadeBlocksGiveTheNumbersOfTheFormat) {
  ByteWriter q4;
  q4.put(float_to_half(0.5F));
  for (int i = 0; i < 16; ++i) q4.put(static_cast<std::uint8_t>(i | (15 - i) << 4));
  std::vector<float> out(32);
  dequantize_row(BlockType::kQ4_0, q4.bytes(), out);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(out[static_cast<std::size_t>(i)], 0.5F * static_cast<float>(i - 8));
    EXPECT_EQ(out[static_cast<std::size_t>(i) + 16], 0.5F * static_cast<float>(7 - i));
  }
  ByteWriter q8;
  q8.put(float_to_half(-2.0F));
  for (int i = -16; i < 16; ++i) q8.put(static_cast<std::int8_t>(8 * i));
  dequantize_row(BlockType::kQ8_0, q8.bytes(), out);
  for (int i = -16; i < 16; ++i) {
    EXPECT_EQ(out[static_cast<std::size_t>(i + 16)], -16.0F * static_cast<float>(i));
  }
  // Q6_K: weight 17 of a block has low nibble 9 and high pair 2, and scale -3 of its sixteen.
  Bytes q6(210, 0);
  q6[17] = 9;
  q6[128 + 17] = 2;
  q6[192 + 1] = static_cast<std::uint8_t>(-3);
  const std::uint16_t quarter = float_to_half(0.25F);
  std::memcpy(&q6[208], &quarter, 2);
  out.resize(256);
  dequantize_row(BlockType::kQ6_K, q6, out);
  EXPECT_EQ(out[17], 0.25F * -3 * (9 + 2 * 16 - 32));
  EXPECT_EQ(out[16], 0.25F * -3 * -32);
  EXPECT_EQ(out[0], 0.0F);
}

TEST(QuantizedBlocks, EveryLevelGivesTheBitsOfTheScalarReference) {
  for (const BlockType type : kTypes) {
    for (int level = 0; level <= static_cast<int>(best_instruction_level()); ++level) {
      DequantizeRow* const reference = dequantizer(type, InstructionLevel::kScalar);
      DequantizeRow* const fast = dequantizer(type, static_cast<InstructionLevel>(level));
      ASSERT_NE(fast, nullptr);
      for (std::uint64_t seed = 0; seed < 50; ++seed) {
        // Any bytes are valid blocks: infinite, subnormal and NaN scales come up too.
        const std::size_t blocks = 1 + seed % 7;
        const std::size_t elements = blocks * block_type_info(type).block_elements;
        const Bytes bytes = random_bytes(row_bytes(type, elements) + 1, seed);
        const ByteSpan unaligned = ByteSpan(bytes).subspan(1);
        EXPECT_TRUE(same_bits_or_nan(dequantize(reference, unaligned, elements),
                                     dequantize(fast, unaligned, elements)))
            << type << " level " << level << " seed " << seed;
      }
    }
  }
}

TEST(QuantizedBlocks, EveryLevelWidensAllHalvesAlike) {
  for (const BlockType type : {BlockType::kF16, BlockType::kBF16}) {
    std::vector<std::uint16_t> all(65536);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
    const ByteSpan bytes = as_bytes(std::span<const std::uint16_t>(all));
    const auto reference = dequantize(dequantizer(type, InstructionLevel::kScalar), bytes, 65536);
    EXPECT_TRUE(same_bits_or_nan(reference, dequantize(dequantizer(type), bytes, 65536))) << type;
    EXPECT_EQ(reference[type == BlockType::kF16 ? 0x3C00 : 0x3F80], 1.0F);
  }
}

TEST(QuantizedBlocks, TypesOutsideTheTableAreRefused) {
  for (const BlockType type : kTypes) EXPECT_TRUE(can_dequantize(type));
  EXPECT_FALSE(can_dequantize(BlockType::kIQ2_XXS));
  EXPECT_FALSE(can_dequantize(BlockType::kI8));
  EXPECT_EQ(dequantizer(BlockType::kIQ2_XXS), nullptr);
  EXPECT_EQ(row_bytes(BlockType::kQ4_0, 64), 36U);
}

} // namespace
} // namespace coppice
