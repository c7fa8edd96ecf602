// SPDX-License-Identifier: Apache-2.0
// The functions behind model/quantized_blocks.h, level by level, and the byte layouts that they and
// the encoders share; private to model/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "formats/half.h"

namespace coppice {

// Plain C++: the definition of each type.
namespace scalar {
void dequantize_f32(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_f16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_bf16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q8_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_1(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q5_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q5_1(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_iq4_nl(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q2_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q3_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q5_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_iq4_xs(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_tq1_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_tq2_0(const std::uint8_t* blocks, std::size_t elements, float* out);
} // namespace scalar

#if defined(__x86_64__)
namespace avx2 {
void dequantize_f16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_bf16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q8_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_1(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q5_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q5_1(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_iq4_nl(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q5_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_iq4_xs(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_tq2_0(const std::uint8_t* blocks, std::size_t elements, float* out);
} // namespace avx2

namespace avx512 {
void dequantize_f16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_bf16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q8_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_1(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q5_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q5_1(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_iq4_nl(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q2_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q3_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q5_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_iq4_xs(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_tq1_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_tq2_0(const std::uint8_t* blocks, std::size_t elements, float* out);
} // namespace avx512
#endif

#if defined(__aarch64__)
namespace neon {
void dequantize_f16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_bf16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q8_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_1(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q5_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q5_1(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_iq4_nl(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q2_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q3_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q5_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_iq4_xs(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_tq1_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_tq2_0(const std::uint8_t* blocks, std::size_t elements, float* out);
} // namespace neon
#endif

inline float half_at(const std::uint8_t* bytes) {
  std::uint16_t half;
  std::memcpy(&half, bytes, sizeof half);
  return half_to_float(half);
}

// Blocks of 32 weights: a float16 scale d, in Q4_1 and Q5_1 a float16 minimum m, in Q5_0 and Q5_1
// 32 fifth bits, then int8 (Q8_0) or nibbles, the first sixteen weights in the low halves of the
// bytes. w = d (q - 8), d q + m, d (q - 16), d q + m, d q; in IQ4_NL a nibble names a level.
inline constexpr std::size_t kSmallBlock = 32;
inline constexpr std::size_t kQ8Bytes = 34;
inline constexpr std::size_t kQ4Bytes = 18;
inline constexpr std::size_t kQ41Bytes = 20;
inline constexpr std::size_t kQ50Bytes = 22;
inline constexpr std::size_t kQ51Bytes = 24;

// Levels of IQ4_NL and IQ4_XS: denser about zero, where most weights are.
inline constexpr std::array<std::int8_t, 16> kNonlinearLevels{
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// Blocks of 256 weights: byte offsets of their parts.
inline constexpr std::size_t kLargeBlock = 256;
// Q2_K: w = d (s & 15) q - dmin (s >> 4), a byte s for each sixteen weights, q of two bits.
struct Q2KLayout {
  static constexpr std::size_t kScales = 0;
  static constexpr std::size_t kLow = 16;
  static constexpr std::size_t kScale = 80;
  static constexpr std::size_t kMin = 82;
  static constexpr std::size_t kBytes = 84;
};
// Q3_K: w = d (s - 32) (q - 4), s of six bits for each sixteen weights, q of two low bits and one
// high.
struct Q3KLayout {
  static constexpr std::size_t kHigh = 0;
  static constexpr std::size_t kLow = 32;
  static constexpr std::size_t kScales = 96;
  static constexpr std::size_t kScale = 108;
  static constexpr std::size_t kBytes = 110;
};
// Q4_K: w = d s q - dmin m, s and m of six bits for each 32 weights, q of four.
struct Q4KLayout {
  static constexpr std::size_t kScale = 0;
  static constexpr std::size_t kMin = 2;
  static constexpr std::size_t kScales = 4;
  static constexpr std::size_t kLow = 16;
  static constexpr std::size_t kBytes = 144;
};
// Q5_K: as Q4_K, with 256 fifth bits before the nibbles.
struct Q5KLayout {
  static constexpr std::size_t kScale = 0;
  static constexpr std::size_t kMin = 2;
  static constexpr std::size_t kScales = 4;
  static constexpr std::size_t kHigh = 16;
  static constexpr std::size_t kLow = 48;
  static constexpr std::size_t kBytes = 176;
};
// Q6_K: w = d s (q - 32), an int8 s for each sixteen weights, q of four low bits and two high.
struct Q6KLayout {
  static constexpr std::size_t kLow = 0;
  static constexpr std::size_t kHigh = 128;
  static constexpr std::size_t kScales = 192;
  static constexpr std::size_t kScale = 208;
  static constexpr std::size_t kBytes = 210;
};
// IQ4_XS: w = d (s - 32) level(q), s of six bits for each 32 weights, q of four.
struct Iq4XsLayout {
  static constexpr std::size_t kScale = 0;
  static constexpr std::size_t kScalesHigh = 2;
  static constexpr std::size_t kScalesLow = 4;
  static constexpr std::size_t kLow = 8;
  static constexpr std::size_t kBytes = 136;
};
// Ternary weights -d, 0, d. TQ1_0: five trits a byte in 32 and in 16 bytes, four in four bytes; a
// byte is the fraction of 256 whose base-3 digits the trits are. TQ2_0: pairs of bits.
struct Tq1Layout {
  static constexpr std::size_t kFives = 0;
  static constexpr std::size_t kFours = 48;
  static constexpr std::size_t kScale = 52;
  static constexpr std::size_t kBytes = 54;
};
struct Tq2Layout {
  static constexpr std::size_t kPairs = 0;
  static constexpr std::size_t kScale = 64;
  static constexpr std::size_t kBytes = 66;
};

// The eight scales and minima of Q4_K and Q5_K: the first four lie in the low six bits of bytes 0
// to 7; of the others the low four bits lie in bytes 8 to 11, the high two in bits 6 and 7 before.
struct KScales {
  std::array<std::uint8_t, 8> scale;
  std::array<std::uint8_t, 8> min;
};
inline KScales unpack_k_scales(const std::uint8_t* packed) {
  KScales all;
  for (std::size_t j = 0; j < 4; ++j) {
    const unsigned a = packed[j];
    const unsigned b = packed[j + 4];
    const unsigned c = packed[j + 8];
    all.scale[j] = static_cast<std::uint8_t>(a & 63U);
    all.min[j] = static_cast<std::uint8_t>(b & 63U);
    all.scale[j + 4] = static_cast<std::uint8_t>((c & 15U) | (a >> 6U) << 4U);
    all.min[j + 4] = static_cast<std::uint8_t>(c >> 4U | (b >> 6U) << 4U);
  }
  return all;
}

// Scale s of Q3_K, less 32: its low nibble in bytes 0 to 7, its high two bits in bytes 8 to 11.
inline int q3_k_scale(const std::uint8_t* packed, std::size_t s) {
  const unsigned low = packed[s % 8] >> (s / 8 * 4) & 15U;
  const unsigned high = packed[8 + s % 4] >> (s / 4 * 2) & 3U;
  return static_cast<int>(low | high << 4U) - 32;
}

// Scale s of IQ4_XS, less 32.
inline int iq4_xs_scale(const std::uint8_t* block, std::size_t s) {
  const unsigned low = block[Iq4XsLayout::kScalesLow + s / 2] >> (s % 2 * 4) & 15U;
  const unsigned high = block[Iq4XsLayout::kScalesHigh + s / 4] >> (s % 4 * 2) & 3U;
  return static_cast<int>(low | high << 4U) - 32;
}

} // namespace coppice
