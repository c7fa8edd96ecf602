// SPDX-License-Identifier: Apache-2.0
// The AVX2 and AVX-512 twins of model/quantized_blocks.cc. Each product is the scalar one, lane by
// lane, so the bits are the same.
#include "model/dequantize.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#define COPPICE_AVX2 __attribute__((target("avx2,f16c")))
#define COPPICE_AVX512 __attribute__((target("avx512f,avx2,f16c")))
#define COPPICE_INLINE inline __attribute__((always_inline))

namespace coppice {
namespace {

int word_at(const std::uint8_t* bytes) {
  std::uint16_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

__m128i load16(const std::uint8_t* bytes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
}

} // namespace

namespace avx2 {
namespace {

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
  const __m128i nibble = _mm_set1_epi8(15);
  const __m128i eight = _mm_set1_epi8(8);
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ4Bytes) {
    const __m256 scale = scale_at(blocks);
    const __m128i both = load16(blocks + 2);
    const __m128i low = _mm_and_si128(both, nibble);
    const __m128i high = _mm_and_si128(_mm_srli_epi16(both, 4), nibble);
    store_scaled(_mm_sub_epi8(low, eight), scale, out + at);
    store_scaled(_mm_sub_epi8(high, eight), scale, out + at + 16);
  }
}

COPPICE_AVX2 void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q6KLayout;
  const __m128i nibble = _mm_set1_epi8(15);
  const __m128i pair = _mm_set1_epi8(48);
  const __m128i offset = _mm_set1_epi8(32);
  for (std::size_t at = 0; at < elements; at += L::kWeights, blocks += L::kBytes) {
    const __m256 all = scale_at(blocks + L::kScale);
    for (std::size_t sixteenth = 0; sixteenth < 16; ++sixteenth) {
      const std::size_t half = sixteenth / 8;
      const std::size_t run = sixteenth / 2 % 4;
      const std::size_t column = sixteenth % 2 * 16;
      const __m128i lows = load16(blocks + half * 64 + run % 2 * 32 + column);
      const __m128i highs = load16(blocks + L::kHigh + half * 32 + column);
      const __m128i low =
          _mm_and_si128(_mm_srli_epi16(lows, static_cast<int>(run / 2 * 4)), nibble);
      // The pair of bits of this run, moved to bits 4 and 5 of its byte.
      const __m128i moved =
          run < 3 ? _mm_slli_epi16(highs, static_cast<int>(4 - 2 * run)) : _mm_srli_epi16(highs, 2);
      const __m128i weights = _mm_sub_epi8(_mm_or_si128(low, _mm_and_si128(moved, pair)), offset);
      const auto part = static_cast<std::int8_t>(blocks[L::kScales + sixteenth]);
      const __m256 scale = _mm256_mul_ps(all, _mm256_set1_ps(static_cast<float>(part)));
      store_scaled(weights, scale, out + at + sixteenth * 16);
    }
  }
}

} // namespace avx2

namespace avx512 {
namespace {

COPPICE_AVX512 COPPICE_INLINE __m512 scale_at(const std::uint8_t* bytes) {
  return _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(word_at(bytes))));
}

COPPICE_AVX512 COPPICE_INLINE void store_scaled(__m128i weights, __m512 scale, float* out) {
  const __m512 wide = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(weights));
  _mm512_storeu_ps(out, _mm512_mul_ps(wide, scale));
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

// A block has sixteen values: they are made once, and each weight is looked up. The look-up reads
// the low four bits of its index only, so nothing needs to be masked.
COPPICE_AVX512 void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  const __m512 levels = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ4Bytes) {
    const __m512 values = _mm512_mul_ps(levels, scale_at(blocks));
    const __m512i both = _mm512_cvtepu8_epi32(load16(blocks + 2));
    _mm512_storeu_ps(out + at, _mm512_permutexvar_ps(both, values));
    _mm512_storeu_ps(out + at + 16, _mm512_permutexvar_ps(_mm512_srli_epi32(both, 4), values));
  }
}

COPPICE_AVX512 void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q6KLayout;
  const __m128i nibble = _mm_set1_epi8(15);
  const __m128i pair = _mm_set1_epi8(48);
  const __m128i offset = _mm_set1_epi8(32);
  for (std::size_t at = 0; at < elements; at += L::kWeights, blocks += L::kBytes) {
    const __m512 all = scale_at(blocks + L::kScale);
    for (std::size_t sixteenth = 0; sixteenth < 16; ++sixteenth) {
      const std::size_t half = sixteenth / 8;
      const std::size_t run = sixteenth / 2 % 4;
      const std::size_t column = sixteenth % 2 * 16;
      const __m128i lows = load16(blocks + half * 64 + run % 2 * 32 + column);
      const __m128i highs = load16(blocks + L::kHigh + half * 32 + column);
      const __m128i low =
          _mm_and_si128(_mm_srli_epi16(lows, static_cast<int>(run / 2 * 4)), nibble);
      const __m128i moved =
          run < 3 ? _mm_slli_epi16(highs, static_cast<int>(4 - 2 * run)) : _mm_srli_epi16(highs, 2);
      const __m128i weights = _mm_sub_epi8(_mm_or_si128(low, _mm_and_si128(moved, pair)), offset);
      const auto part = static_cast<std::int8_t>(blocks[L::kScales + sixteenth]);
      const __m512 scale = _mm512_mul_ps(all, _mm512_set1_ps(static_cast<float>(part)));
      store_scaled(weights, scale, out + at + sixteenth * 16);
    }
  }
}

} // namespace avx512
} // namespace coppice
#endif
