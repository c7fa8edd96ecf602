// SPDX-License-Identifier: Apache-2.0
// Types whose encoding is a formula: one scale from the largest weight, each weight to the nearest
// code. Every rounding stands where ggml's reference has it.
#include <algorithm>
#include <array>
#include <cmath>

#include "model/dequantize.h"
#include "model/encode.h"

namespace coppice::encode {
namespace {

constexpr std::size_t kHalf = kSmallBlock / 2;

float inverse_of(float scale) { return scale != 0.0F ? 1.0F / scale : 0.0F; }

float largest_magnitude(const float* x, std::size_t count) {
  float largest = 0.0F;
  for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(x[i]));
  return largest;
}

// The weight of the largest magnitude, the first of several.
float largest_weight(const float* x, std::size_t count) {
  float largest = 0.0F;
  for (std::size_t i = 0; i < count; ++i) {
    if (std::abs(x[i]) > std::abs(largest)) largest = x[i];
  }
  return largest;
}

// Codes 0 to 15 or 31: their low four bits as nibbles, the fifth bits apart.
void put_nibbles(const std::array<unsigned, kSmallBlock>& codes, std::uint8_t* to) {
  for (std::size_t i = 0; i < kHalf; ++i) {
    to[i] = static_cast<std::uint8_t>((codes[i] & 15U) | (codes[i + kHalf] & 15U) << 4U);
  }
}
void put_fifths(const std::array<unsigned, kSmallBlock>& codes, std::uint8_t* to) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < kSmallBlock; ++i) bits |= (codes[i] >> 4U) << i;
  std::memcpy(to, &bits, sizeof bits);
}

// The weight of the largest magnitude gets code 0, whose level is -zero: negative levels reach one
// further. Product and sum are rounded once, as a fused multiply-add.
float code_symmetric(const float* x, unsigned zero, std::array<unsigned, kSmallBlock>& codes) {
  const auto middle = static_cast<float>(zero);
  const float scale = largest_weight(x, kSmallBlock) / -middle;
  const double inverse = double{inverse_of(scale)};
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    const auto place = static_cast<float>(double{x[i]} * inverse + (double{middle} + 0.5));
    codes[i] = std::min(static_cast<unsigned>(place), 2 * zero - 1);
  }
  return scale;
}

struct Affine {
  float scale;
  float min;
};
Affine code_affine(const float* x, unsigned most, std::array<unsigned, kSmallBlock>& codes) {
  const auto [low, high] = std::minmax_element(x, x + kSmallBlock);
  const float scale = (*high - *low) / static_cast<float>(most);
  const float inverse = inverse_of(scale);
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    codes[i] = std::min(static_cast<unsigned>((x[i] - *low) * inverse + 0.5F), most);
  }
  return {scale, *low};
}

} // namespace

void q8_0(const float* x, const float*, std::uint8_t* block) {
  const float scale = largest_magnitude(x, kSmallBlock) / 127.0F;
  const float inverse = inverse_of(scale);
  put_half(block, scale);
  for (std::size_t i = 0; i < kSmallBlock; ++i) {
    block[2 + i] = static_cast<std::uint8_t>(static_cast<int>(std::round(x[i] * inverse)));
  }
}

void q4_0(const float* x, const float*, std::uint8_t* block) {
  std::array<unsigned, kSmallBlock> codes;
  put_half(block, code_symmetric(x, 8, codes));
  put_nibbles(codes, block + 2);
}

void q4_1(const float* x, const float*, std::uint8_t* block) {
  std::array<unsigned, kSmallBlock> codes;
  const Affine affine = code_affine(x, 15, codes);
  put_half(block, affine.scale);
  put_half(block + 2, affine.min);
  put_nibbles(codes, block + 4);
}

void q5_0(const float* x, const float*, std::uint8_t* block) {
  std::array<unsigned, kSmallBlock> codes;
  put_half(block, code_symmetric(x, 16, codes));
  put_fifths(codes, block + 2);
  put_nibbles(codes, block + 6);
}

void q5_1(const float* x, const float*, std::uint8_t* block) {
  std::array<unsigned, kSmallBlock> codes;
  const Affine affine = code_affine(x, 31, codes);
  put_half(block, affine.scale);
  put_half(block + 2, affine.min);
  put_fifths(codes, block + 4);
  put_nibbles(codes, block + 8);
}

namespace {

// 0, 1 or 2 for -scale, 0, scale.
float code_ternary(const float* x, std::array<unsigned, kLargeBlock>& codes) {
  const float scale = largest_magnitude(x, kLargeBlock);
  const float inverse = inverse_of(scale);
  for (std::size_t i = 0; i < kLargeBlock; ++i) {
    codes[i] = static_cast<unsigned>(static_cast<int>(std::round(x[i] * inverse)) + 1);
  }
  return scale;
}

// The byte whose fraction of 256 has these base-3 digits, `step` apart, rounded up so that the
// digits come out again.
std::uint8_t pack_trits(const unsigned* codes, std::size_t count, std::size_t step) {
  unsigned value = 0;
  for (std::size_t n = 0; n < 5; ++n) value = value * 3 + (n < count ? codes[n * step] : 0);
  return static_cast<std::uint8_t>((value * 256 + 242) / 243);
}

} // namespace

void tq1_0(const float* x, const float*, std::uint8_t* block) {
  using L = Tq1Layout;
  std::array<unsigned, kLargeBlock> codes;
  put_half(block + L::kScale, code_ternary(x, codes));
  for (std::size_t i = 0; i < 32; ++i) block[i] = pack_trits(&codes[i], 5, 32);
  for (std::size_t i = 0; i < 16; ++i) block[32 + i] = pack_trits(&codes[160 + i], 5, 16);
  for (std::size_t i = 0; i < 4; ++i) block[L::kFours + i] = pack_trits(&codes[240 + i], 4, 4);
}

void tq2_0(const float* x, const float*, std::uint8_t* block) {
  std::array<unsigned, kLargeBlock> codes;
  put_half(block + Tq2Layout::kScale, code_ternary(x, codes));
  for (std::size_t i = 0; i < 64; ++i) {
    const unsigned* const four = &codes[i / 32 * 128 + i % 32];
    block[i] =
        static_cast<std::uint8_t>(four[0] | four[32] << 2U | four[64] << 4U | four[96] << 6U);
  }
}

} // namespace coppice::encode
