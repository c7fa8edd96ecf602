// SPDX-License-Identifier: Apache-2.0
// The AVX2 and AVX-512 twins of F16, BF16 and the types with blocks of 32 weights. Each product and
// sum is the scalar one, lane by lane, so the bits are the same.
#include "model/dequantize_x86.h"

#if defined(__x86_64__)

namespace coppice {
namespace {

std::uint32_t bits_at(const std::uint8_t* bytes) {
  std::uint32_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return bits;
}

} // namespace

namespace avx2 {
namespace {

// Fifth bits of 16 weights, two bytes at `bytes`, as 16 or 0.
COPPICE_AVX2 COPPICE_INLINE __m128i fifth_bits(const std::uint8_t* bytes) {
  const __m128i spread = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  const __m128i bit = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
  return sixteen_where(_mm_shuffle_epi8(_mm_cvtsi32_si128(word_at(bytes)), spread), bit);
}

} // namespace

COPPICE_AVX2 void dequantize_f16(const std::uint8_t* blocks, std::size_t elements, float* out) {
  std::size_t i = 0;
  for (; i + 8 <= elements; i += 8) {
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(load16(blocks + 2 * i)));
  }
  scalar::dequantize_f16(blocks + 2 * i, elements - i, out + i);
}

COPPICE_AVX2 void dequantize_bf16(const std::uint8_t* blocks, std::size_t elements, float* out) {
  std::size_t i = 0;
  for (; i + 8 <= elements; i += 8) {
    const __m256i wide = _mm256_cvtepu16_epi32(load16(blocks + 2 * i));
    _mm256_storeu_ps(out + i, _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
  }
  scalar::dequantize_bf16(blocks + 2 * i, elements - i, out + i);
}

COPPICE_AVX2 void dequantize_q8_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ8Bytes) {
    const __m256 scale = scale_at(blocks);
    store_scaled(load16(blocks + 2), scale, out + at);
    store_scaled(load16(blocks + 18), scale, out + at + 16);
  }
}

COPPICE_AVX2 void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  const __m128i eight = _mm_set1_epi8(8);
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ4Bytes) {
    const __m256 scale = scale_at(blocks);
    const __m128i both = load16(blocks + 2);
    store_scaled(_mm_sub_epi8(low_nibbles(both), eight), scale, out + at);
    store_scaled(_mm_sub_epi8(high_nibbles(both), eight), scale, out + at + 16);
  }
}

COPPICE_AVX2 void dequantize_q4_1(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ41Bytes) {
    const __m256 scale = scale_at(blocks);
    const __m256 min = scale_at(blocks + 2);
    const __m128i both = load16(blocks + 4);
    store_affine(low_nibbles(both), scale, min, out + at);
    store_affine(high_nibbles(both), scale, min, out + at + 16);
  }
}

COPPICE_AVX2 void dequantize_q5_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  const __m128i sixteen = _mm_set1_epi8(16);
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ50Bytes) {
    const __m256 scale = scale_at(blocks);
    const __m128i both = load16(blocks + 6);
    const __m128i low = _mm_or_si128(low_nibbles(both), fifth_bits(blocks + 2));
    const __m128i high = _mm_or_si128(high_nibbles(both), fifth_bits(blocks + 4));
    store_scaled(_mm_sub_epi8(low, sixteen), scale, out + at);
    store_scaled(_mm_sub_epi8(high, sixteen), scale, out + at + 16);
  }
}

COPPICE_AVX2 void dequantize_q5_1(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ51Bytes) {
    const __m256 scale = scale_at(blocks);
    const __m256 min = scale_at(blocks + 2);
    const __m128i both = load16(blocks + 8);
    const __m128i low = _mm_or_si128(low_nibbles(both), fifth_bits(blocks + 4));
    const __m128i high = _mm_or_si128(high_nibbles(both), fifth_bits(blocks + 6));
    store_affine(low, scale, min, out + at);
    store_affine(high, scale, min, out + at + 16);
  }
}

COPPICE_AVX2 void dequantize_iq4_nl(const std::uint8_t* blocks, std::size_t elements, float* out) {
  const auto* from = reinterpret_cast<const __m128i*>(kNonlinearLevels.data());
  const __m128i levels = _mm_loadu_si128(from);
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ4Bytes) {
    const __m256 scale = scale_at(blocks);
    const __m128i both = load16(blocks + 2);
    store_scaled(_mm_shuffle_epi8(levels, low_nibbles(both)), scale, out + at);
    store_scaled(_mm_shuffle_epi8(levels, high_nibbles(both)), scale, out + at + 16);
  }
}

} // namespace avx2

namespace avx512 {
namespace {

// 32 weights of nibbles and fifth bits; `values` and `others` are the sixteen without and with it.
COPPICE_AVX512 COPPICE_INLINE void store_fives(const std::uint8_t* nibbles, std::uint32_t fifths,
                                               __m512 values, __m512 others, float* out) {
  const __m512i low = widen16(nibbles);
  const auto first = static_cast<__mmask16>(fifths & 0xFFFFU);
  const auto second = static_cast<__mmask16>(fifths >> 16U);
  _mm512_storeu_ps(out, look_up(low, values, first, others));
  _mm512_storeu_ps(out + 16, look_up(_mm512_srli_epi32(low, 4), values, second, others));
}

} // namespace

COPPICE_AVX512 void dequantize_f16(const std::uint8_t* blocks, std::size_t elements, float* out) {
  std::size_t i = 0;
  for (; i + 16 <= elements; i += 16) {
    const auto* from = reinterpret_cast<const __m256i*>(blocks + 2 * i);
    _mm512_storeu_ps(out + i, _mm512_cvtph_ps(_mm256_loadu_si256(from)));
  }
  scalar::dequantize_f16(blocks + 2 * i, elements - i, out + i);
}

COPPICE_AVX512 void dequantize_bf16(const std::uint8_t* blocks, std::size_t elements, float* out) {
  std::size_t i = 0;
  for (; i + 16 <= elements; i += 16) {
    const auto* from = reinterpret_cast<const __m256i*>(blocks + 2 * i);
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from));
    _mm512_storeu_ps(out + i, _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16)));
  }
  scalar::dequantize_bf16(blocks + 2 * i, elements - i, out + i);
}

COPPICE_AVX512 void dequantize_q8_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ8Bytes) {
    const __m512 scale = scale_at(blocks);
    store_scaled(load16(blocks + 2), scale, out + at);
    store_scaled(load16(blocks + 18), scale, out + at + 16);
  }
}

COPPICE_AVX512 void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  const __m512 levels = count_from(-8);
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ4Bytes) {
    store_nibbles(widen16(blocks + 2), _mm512_mul_ps(levels, scale_at(blocks)), out + at);
  }
}

COPPICE_AVX512 void dequantize_q4_1(const std::uint8_t* blocks, std::size_t elements, float* out) {
  const __m512 levels = count_from(0);
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ41Bytes) {
    const __m512 values =
        _mm512_add_ps(_mm512_mul_ps(levels, scale_at(blocks)), scale_at(blocks + 2));
    store_nibbles(widen16(blocks + 4), values, out + at);
  }
}

COPPICE_AVX512 void dequantize_q5_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  const __m512 levels = count_from(-16);
  const __m512 upper = count_from(0);
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ50Bytes) {
    const __m512 scale = scale_at(blocks);
    store_fives(blocks + 6, bits_at(blocks + 2), _mm512_mul_ps(levels, scale),
                _mm512_mul_ps(upper, scale), out + at);
  }
}

COPPICE_AVX512 void dequantize_q5_1(const std::uint8_t* blocks, std::size_t elements, float* out) {
  const __m512 levels = count_from(0);
  const __m512 upper = count_from(16);
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ51Bytes) {
    const __m512 scale = scale_at(blocks);
    const __m512 min = scale_at(blocks + 2);
    store_fives(blocks + 8, bits_at(blocks + 4), _mm512_add_ps(_mm512_mul_ps(levels, scale), min),
                _mm512_add_ps(_mm512_mul_ps(upper, scale), min), out + at);
  }
}

COPPICE_AVX512 void dequantize_iq4_nl(const std::uint8_t* blocks, std::size_t elements,
                                      float* out) {
  const __m512 levels = nonlinear_levels();
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ4Bytes) {
    store_nibbles(widen16(blocks + 2), _mm512_mul_ps(levels, scale_at(blocks)), out + at);
  }
}

} // namespace avx512
} // namespace coppice
#endif
