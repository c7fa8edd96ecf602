// SPDX-License-Identifier: Apache-2.0
#include "model/native/int8_products.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "formats/half.h"
#include "model/quantized_blocks.h"

namespace coppice::native {
namespace {

struct Rows {
  Rows(BlockType type, std::size_t rows, std::size_t columns) : bytes(row_bytes(type, columns)) {
    KeyedRandom random({.experiment = 5, .purpose = RandomPurpose::kTest});
    const std::size_t block = block_type_info(type).block_bytes;
    data.resize(rows * bytes + 64);
    for (std::uint8_t& byte : data) byte = static_cast<std::uint8_t>(random.below(256));
    const std::size_t scale_at = type == BlockType::kTQ2_0 ? block - sizeof(std::uint16_t) : 0;
    for (std::size_t at = scale_at; at < rows * bytes; at += block) {
      const std::uint16_t scale = float_to_half(0.01F + 0.02F * random.uniform_float());
      std::memcpy(data.data() + at, &scale, sizeof scale);
    }
    x.resize(columns);
    for (float& value : x) value = 4 * random.uniform_float() - 2;
  }
  std::size_t bytes;
  std::vector<std::uint8_t> data;
  std::vector<float> x;
};

// The integers of a block are exact; what is left is float32's rounding of the blocks' sum, at
// every level, for row lengths with and without a rest.
TEST(Int8Products, AreTheProductsOfTheRoundedActivations) {
  constexpr std::size_t kRows = 11;
  for (const BlockType type : {BlockType::kQ4_0, BlockType::kQ8_0, BlockType::kTQ2_0}) {
    for (const std::size_t columns : {32U, 96U, 128U, 352U, 1536U}) {
      if (columns % block_type_info(type).block_elements != 0) continue;
      const Rows rows(type, kRows, columns);
      Int8Row rounded;
      rounded.assign(rows.x.data(), columns);
      for (const CpuLevel level : supported_cpu_levels()) {
        float out[kRows];
        int8_products(type, level)(rows.data.data(), rows.bytes, kRows, {&rounded, 1}, out, kRows);
        for (std::size_t row = 0; row < kRows; ++row) {
          std::vector<float> weights(columns);
          dequantize_row(type, ByteSpan(rows.data).subspan(row * rows.bytes, rows.bytes), weights);
          double expected = 0;
          double size = 0;
          for (std::size_t i = 0; i < columns; ++i) {
            const double value = double{rounded.scales[i / 32]} * rounded.values[i];
            expected += double{weights[i]} * value;
            size += std::abs(double{weights[i]} * value);
          }
          EXPECT_NEAR(out[row], expected, 1e-6 * size + 1e-6)
              << block_type_name(type) << " " << columns << " " << cpu_level_name(level);
        }
      }
    }
  }
}

// Fifteen: eight, four, two and one at a time where the level takes several.
TEST(Int8Products, HaveTheSameBitsWhateverIsComputedBesideThem) {
  constexpr std::size_t kRows = 3;
  constexpr std::size_t kTexts = 15;
  constexpr std::size_t kStride = 7; // some floats of another's between
  for (const BlockType type : {BlockType::kQ4_0, BlockType::kQ8_0}) {
    const Rows rows(type, kRows, 352);
    std::vector<Int8Row> rounded(kTexts);
    for (std::size_t t = 0; t < kTexts; ++t) {
      std::vector<float> x = rows.x;
      for (float& value : x) value *= 1.0F + 0.37F * static_cast<float>(t);
      std::rotate(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(t), x.end());
      rounded[t].assign(x.data(), x.size());
    }
    for (const CpuLevel level : supported_cpu_levels()) {
      std::vector<float> together(kTexts * kStride, -1.0F);
      int8_products(type, level)(rows.data.data(), rows.bytes, kRows, rounded, together.data(),
                                 kStride);
      for (std::size_t t = 0; t < kTexts; ++t) {
        float alone[kRows];
        int8_products(type, level)(rows.data.data(), rows.bytes, kRows, {&rounded[t], 1}, alone,
                                   kRows);
        for (std::size_t i = 0; i < kRows; ++i) EXPECT_EQ(together[t * kStride + i], alone[i]);
        for (std::size_t i = kRows; i < kStride; ++i) EXPECT_EQ(together[t * kStride + i], -1.0F);
      }
    }
  }
}

TEST(Int8Products, RoundingIsWithinHalfAStep) {
  const Rows rows(BlockType::kQ8_0, 1, 256);
  Int8Row rounded;
  rounded.assign(rows.x.data(), rows.x.size());
  for (std::size_t i = 0; i < rows.x.size(); ++i) {
    const float step = rounded.scales[i / 32];
    EXPECT_NEAR(rounded.values[i] * step, rows.x[i], 0.5001F * step);
  }
}

TEST(Int8Products, ZerosStayZero) {
  Int8Row rounded;
  const std::vector<float> zeros(64);
  rounded.assign(zeros.data(), zeros.size());
  EXPECT_EQ(rounded.scales, std::vector<float>(2, 0.0F));
  EXPECT_EQ(rounded.values, std::vector<std::int8_t>(64, 0));
}

} // namespace
} // namespace coppice::native
