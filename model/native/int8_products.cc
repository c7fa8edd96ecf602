// SPDX-License-Identifier: Apache-2.0
#include "model/native/int8_products.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/half.h"

namespace coppice::native {
namespace {

constexpr std::size_t kBlock = Int8Row::kBlock;
constexpr std::size_t kGroup = 4; // blocks of by_nibble

float half_at(const std::uint8_t* bytes) {
  std::uint16_t half;
  std::memcpy(&half, bytes, sizeof half);
  return half_to_float(half);
}

float q4_0_row(const std::uint8_t* row, const Int8Row& x) {
  float sum = 0;
  for (std::size_t block = 0; block < x.blocks(); ++block, row += 18) {
    const std::int8_t* values = x.values.data() + block * kBlock;
    int dot = 0;
    for (std::size_t i = 0; i < kBlock / 2; ++i) {
      dot += (row[2 + i] & 15) * values[i] + (row[2 + i] >> 4U) * values[i + kBlock / 2];
    }
    const float scale = half_at(row);
    sum += scale * x.scales[block] * static_cast<float>(dot) + scale * x.eighths[block];
  }
  return sum;
}

float q8_0_row(const std::uint8_t* row, const Int8Row& x) {
  float sum = 0;
  for (std::size_t block = 0; block < x.blocks(); ++block, row += 34) {
    const std::int8_t* values = x.values.data() + block * kBlock;
    int dot = 0;
    for (std::size_t i = 0; i < kBlock; ++i)
      dot += static_cast<std::int8_t>(row[2 + i]) * values[i];
    sum += half_at(row) * x.scales[block] * static_cast<float>(dot);
  }
  return sum;
}

// Eight runs of 32 weights: run r is pair r % 4 of bits of the bytes 32 (r / 4) on, a weight
// plus 1.
float tq2_0_row(const std::uint8_t* row, const Int8Row& x) {
  float sum = 0;
  for (std::size_t block = 0; block < x.blocks(); ++block) {
    const std::size_t run = block % 8;
    const std::int8_t* values = x.values.data() + block * kBlock;
    int dot = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
      dot += ((row[run / 4 * 32 + i] >> (run % 4 * 2) & 3) - 1) * values[i];
    }
    sum += half_at(row + 64) * x.scales[block] * static_cast<float>(dot);
    if (run == 7) row += 66;
  }
  return sum;
}

float largest(const float* x, std::size_t n) {
  float most = 0;
  for (std::size_t i = 0; i < n; ++i) most = std::max(most, std::abs(x[i]));
  return most;
}

} // namespace

void Int8Row::round_block(const float* x, std::size_t block, float inverse, float scale) {
  std::int8_t* to = values.data() + block * kBlock;
  int sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const int rounded = static_cast<int>(std::nearbyintf(x[block * kBlock + i] * inverse));
    to[i] = static_cast<std::int8_t>(rounded);
    sum += rounded;
  }
  scales[block] = scale;
  eighths[block] = -8.0F * scale * static_cast<float>(sum);
}

void Int8Row::order_nibbles() {
  const std::size_t whole = blocks() / kGroup * kGroup;
  for (std::size_t block = 0; block < blocks(); ++block) {
    const std::int8_t* from = values.data() + block * kBlock;
    if (block >= whole) {
      std::copy_n(from, kBlock, by_nibble.data() + block * kBlock);
      continue;
    }
    std::int8_t* group = by_nibble.data() + block / kGroup * kGroup * kBlock;
    std::copy_n(from, kBlock / 2, group + block % kGroup * (kBlock / 2));
    std::copy_n(from + kBlock / 2, kBlock / 2, group + (kGroup + block % kGroup) * (kBlock / 2));
  }
}

void Int8Row::resize(std::size_t n) {
  values.resize(n);
  by_nibble.resize(n);
  scales.resize(n / kBlock);
  eighths.resize(n / kBlock);
}

void Int8Row::assign(const float* x, std::size_t n) {
  resize(n);
  for (std::size_t block = 0; block < blocks(); ++block) {
    const float most = largest(x + block * kBlock, kBlock);
    round_block(x, block, most > 0 ? 127.0F / most : 0.0F, most / 127.0F);
  }
  order_nibbles();
}

void Int8Row::assign_token(const float* x, std::size_t n) {
  resize(n);
  const float factor = token_factor(x, n);
  for (std::size_t block = 0; block < blocks(); ++block) {
    round_block(x, block, factor, 1.0F / factor);
  }
  order_nibbles();
}

float token_factor(const float* x, std::size_t n) {
  return 127.0F / std::max(largest(x, n), 1e-5F);
}

void round_token(float* x, std::size_t n) {
  const float factor = token_factor(x, n);
  for (std::size_t i = 0; i < n; ++i) x[i] = std::nearbyintf(x[i] * factor) / factor;
}

namespace levels {

void q4_0_scalar(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                 std::span<const Int8Row> x, float* out, std::size_t out_stride) {
  for (std::size_t t = 0; t < x.size(); ++t) {
    for (std::size_t row = 0; row < count; ++row) {
      out[t * out_stride + row] = q4_0_row(rows + row * row_bytes, x[t]);
    }
  }
}

void q8_0_scalar(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                 std::span<const Int8Row> x, float* out, std::size_t out_stride) {
  for (std::size_t t = 0; t < x.size(); ++t) {
    for (std::size_t row = 0; row < count; ++row) {
      out[t * out_stride + row] = q8_0_row(rows + row * row_bytes, x[t]);
    }
  }
}

void tq2_0_scalar(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                  std::span<const Int8Row> x, float* out, std::size_t out_stride) {
  for (std::size_t t = 0; t < x.size(); ++t) {
    for (std::size_t row = 0; row < count; ++row) {
      out[t * out_stride + row] = tq2_0_row(rows + row * row_bytes, x[t]);
    }
  }
}

} // namespace levels

Int8Products* int8_products(BlockType type, CpuLevel level) {
#if defined(__x86_64__)
  const bool avx512 = level == CpuLevel::kAvx512 || level == CpuLevel::kAmx;
  if (avx512 && type == BlockType::kQ4_0) return levels::q4_0_avx512;
  if (avx512 && type == BlockType::kQ8_0) return levels::q8_0_avx512;
  if (avx512 && type == BlockType::kTQ2_0) return levels::tq2_0_avx512;
#elif defined(__aarch64__)
  const bool dots = level == CpuLevel::kNeon && has_int8_dot_products();
  if (dots && type == BlockType::kQ4_0) return levels::q4_0_neon;
  if (dots && type == BlockType::kQ8_0) return levels::q8_0_neon;
  if (dots && type == BlockType::kTQ2_0) return levels::tq2_0_neon;
#endif
  if (type == BlockType::kQ4_0) return levels::q4_0_scalar;
  if (type == BlockType::kQ8_0) return levels::q8_0_scalar;
  if (type == BlockType::kTQ2_0) return levels::tq2_0_scalar;
  return nullptr;
}

} // namespace coppice::native
