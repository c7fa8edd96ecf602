// SPDX-License-Identifier: Apache-2.0
// What the AVX2 and AVX-512 twins of the block types are made of; private to model/'s *_x86.cc.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#include "model/dequantize.h"

#define COPPICE_AVX2 __attribute__((target("avx2,f16c")))
#define COPPICE_AVX512 __attribute__((target("avx512f,avx2,f16c")))
#define COPPICE_INLINE inline __attribute__((always_inline))

namespace coppice {

COPPICE_INLINE int word_at(const std::uint8_t* bytes) {
  std::uint16_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

COPPICE_INLINE __m128i load16(const std::uint8_t* bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
}

namespace avx2 {

COPPICE_AVX2 COPPICE_INLINE __m256 scale_at(const std::uint8_t* bytes) {
  return _mm256_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(word_at(bytes))));
}

// 16 int8 times scale.
COPPICE_AVX2 COPPICE_INLINE void store_scaled(__m128i weights, __m256 scale, float* out) {
  const __m256 low = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(weights));
  const __m256 high = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(weights, 8)));
  _mm256_storeu_ps(out, _mm256_mul_ps(low, scale));
  _mm256_storeu_ps(out + 8, _mm256_mul_ps(high, scale));
}

// 16 int8 times scale, plus offset.
COPPICE_AVX2 COPPICE_INLINE void store_affine(__m128i weights, __m256 scale, __m256 offset,
                                              float* out) {
  const __m256 low = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(weights));
  const __m256 high = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(weights, 8)));
  _mm256_storeu_ps(out, _mm256_add_ps(_mm256_mul_ps(low, scale), offset));
  _mm256_storeu_ps(out + 8, _mm256_add_ps(_mm256_mul_ps(high, scale), offset));
}

COPPICE_AVX2 COPPICE_INLINE __m128i low_nibbles(__m128i bytes) {
  return _mm_and_si128(bytes, _mm_set1_epi8(15));
}
COPPICE_AVX2 COPPICE_INLINE __m128i high_nibbles(__m128i bytes) {
  return low_nibbles(_mm_srli_epi16(bytes, 4));
}

// 16 in each byte of which `bit` (one bit, in each byte the same or not) is set, else 0.
COPPICE_AVX2 COPPICE_INLINE __m128i sixteen_where(__m128i bytes, __m128i bit) {
  return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(bytes, bit), bit), _mm_set1_epi8(16));
}

} // namespace avx2

namespace avx512 {

COPPICE_AVX512 COPPICE_INLINE __m512 scale_at(const std::uint8_t* bytes) {
  return _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(word_at(bytes))));
}

// 16 int8 times scale.
COPPICE_AVX512 COPPICE_INLINE void store_scaled(__m128i weights, __m512 scale, float* out) {
  const __m512 wide = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(weights));
  _mm512_storeu_ps(out, _mm512_mul_ps(wide, scale));
}

// 16 bytes, each in 32 bits.
COPPICE_AVX512 COPPICE_INLINE __m512i widen16(const std::uint8_t* bytes) {
  return _mm512_cvtepu8_epi32(load16(bytes));
}

// A block has few different values: they are made once, and each weight is looked up. The look-up
// reads the low four bits of its index only; tables of fewer values repeat them, so that nothing
// ever needs to be masked.
COPPICE_AVX512 COPPICE_INLINE __m512 look_up(__m512i index, __m512 values) {
  return _mm512_permutexvar_ps(index, values);
}
// The same where a bit of `mask` chooses the second table.
COPPICE_AVX512 COPPICE_INLINE __m512 look_up(__m512i index, __m512 values, __mmask16 mask,
                                             __m512 others) {
  return _mm512_mask_permutexvar_ps(look_up(index, values), mask, index, others);
}

// The bytes' low nibbles are the first sixteen weights, their high ones the second.
COPPICE_AVX512 COPPICE_INLINE void store_nibbles(__m512i bytes, __m512 values, float* out) {
  _mm512_storeu_ps(out, look_up(bytes, values));
  _mm512_storeu_ps(out + 16, look_up(_mm512_srli_epi32(bytes, 4), values));
}

COPPICE_AVX512 COPPICE_INLINE __m512 count_from(float first) {
  const __m512 count = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_add_ps(count, _mm512_set1_ps(first));
}

// `first` and the three numbers above it, four times over.
COPPICE_AVX512 COPPICE_INLINE __m512 four_from(float first) {
  const __m512 fours = _mm512_setr_ps(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
  return _mm512_add_ps(fours, _mm512_set1_ps(first));
}

COPPICE_AVX512 COPPICE_INLINE __m512 nonlinear_levels() {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(kNonlinearLevels.data()))));
}

} // namespace avx512
} // namespace coppice
#endif
