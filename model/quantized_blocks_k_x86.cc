// SPDX-License-Identifier: Apache-2.0
// The AVX2 and AVX-512 twins of the types with blocks of 256 weights. Each product and difference
// is the scalar one, lane by lane, so the bits are the same.
#include "model/dequantize_x86.h"

#if defined(__x86_64__)

namespace coppice {
namespace {

// Q6_K's sixteenth s: sixteen weights, as int8.
COPPICE_AVX2 COPPICE_INLINE __m128i q6_k_weights(const std::uint8_t* block, std::size_t s) {
  using L = Q6KLayout;
  const std::size_t half = s / 8;
  const std::size_t run = s / 2 % 4;
  const std::size_t column = s % 2 * 16;
  const __m128i lows = load16(block + half * 64 + run % 2 * 32 + column);
  const __m128i highs = load16(block + L::kHigh + half * 32 + column);
  const __m128i low = avx2::low_nibbles(_mm_srli_epi16(lows, static_cast<int>(run / 2 * 4)));
  // The pair of bits of this run, moved to bits 4 and 5 of its byte.
  const __m128i moved =
      run < 3 ? _mm_slli_epi16(highs, static_cast<int>(4 - 2 * run)) : _mm_srli_epi16(highs, 2);
  const __m128i high = _mm_and_si128(moved, _mm_set1_epi8(48));
  return _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
}

float q6_k_scale(const std::uint8_t* block, std::size_t s) {
  return static_cast<float>(static_cast<std::int8_t>(block[Q6KLayout::kScales + s]));
}

} // namespace

namespace avx2 {
namespace {

// Scale and, negated, minimum of run r of Q4_K and Q5_K.
struct RunScale {
  __m256 scale;
  __m256 offset;
};
COPPICE_AVX2 COPPICE_INLINE RunScale run_scale(const std::uint8_t* block, const KScales& parts,
                                               std::size_t run) {
  const __m256 scale = _mm256_set1_ps(static_cast<float>(parts.scale[run]));
  const __m256 min = _mm256_set1_ps(-static_cast<float>(parts.min[run]));
  return {_mm256_mul_ps(scale_at(block + Q4KLayout::kScale), scale),
          _mm256_mul_ps(scale_at(block + Q4KLayout::kMin), min)};
}

} // namespace

COPPICE_AVX2 void dequantize_q4_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q4KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const KScales parts = unpack_k_scales(blocks + L::kScales);
    for (std::size_t pair = 0; pair < 4; ++pair) {
      const RunScale first = run_scale(blocks, parts, pair * 2);
      const RunScale second = run_scale(blocks, parts, pair * 2 + 1);
      for (std::size_t column = 0; column < 32; column += 16) {
        const __m128i both = load16(blocks + L::kLow + pair * 32 + column);
        float* const to = out + at + pair * 64 + column;
        store_affine(low_nibbles(both), first.scale, first.offset, to);
        store_affine(high_nibbles(both), second.scale, second.offset, to + 32);
      }
    }
  }
}

COPPICE_AVX2 void dequantize_q5_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q5KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const KScales parts = unpack_k_scales(blocks + L::kScales);
    for (std::size_t run = 0; run < 8; ++run) {
      const RunScale run_of = run_scale(blocks, parts, run);
      const __m128i bit = _mm_set1_epi8(static_cast<char>(1U << run));
      for (std::size_t column = 0; column < 32; column += 16) {
        const __m128i both = load16(blocks + L::kLow + run / 2 * 32 + column);
        const __m128i low = run % 2 == 0 ? low_nibbles(both) : high_nibbles(both);
        const __m128i high = sixteen_where(load16(blocks + L::kHigh + column), bit);
        store_affine(_mm_or_si128(low, high), run_of.scale, run_of.offset,
                     out + at + run * 32 + column);
      }
    }
  }
}

COPPICE_AVX2 void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q6KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const __m256 all = scale_at(blocks + L::kScale);
    for (std::size_t s = 0; s < 16; ++s) {
      const __m256 scale = _mm256_mul_ps(all, _mm256_set1_ps(q6_k_scale(blocks, s)));
      store_scaled(q6_k_weights(blocks, s), scale, out + at + s * 16);
    }
  }
}

COPPICE_AVX2 void dequantize_iq4_xs(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Iq4XsLayout;
  const auto* from = reinterpret_cast<const __m128i*>(kNonlinearLevels.data());
  const __m128i levels = _mm_loadu_si128(from);
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const __m256 all = scale_at(blocks + L::kScale);
    for (std::size_t run = 0; run < 8; ++run) {
      const __m256 part = _mm256_set1_ps(static_cast<float>(iq4_xs_scale(blocks, run)));
      const __m256 scale = _mm256_mul_ps(all, part);
      const __m128i both = load16(blocks + L::kLow + run * 16);
      float* const to = out + at + run * 32;
      store_scaled(_mm_shuffle_epi8(levels, low_nibbles(both)), scale, to);
      store_scaled(_mm_shuffle_epi8(levels, high_nibbles(both)), scale, to + 16);
    }
  }
}

COPPICE_AVX2 void dequantize_tq2_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Tq2Layout;
  const __m128i three = _mm_set1_epi8(3);
  const __m128i one = _mm_set1_epi8(1);
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const __m256 scale = scale_at(blocks + L::kScale);
    for (std::size_t s = 0; s < 16; ++s) {
      const std::size_t run = s / 2;
      const __m128i bytes = load16(blocks + run / 4 * 32 + s % 2 * 16);
      const __m128i moved = _mm_srli_epi16(bytes, static_cast<int>(run % 4 * 2));
      store_scaled(_mm_sub_epi8(_mm_and_si128(moved, three), one), scale, out + at + s * 16);
    }
  }
}

} // namespace avx2

namespace avx512 {
namespace {

COPPICE_AVX512 COPPICE_INLINE __m512 times(__m512 all, int part) {
  return _mm512_mul_ps(all, _mm512_set1_ps(static_cast<float>(part)));
}

// Index vectors of the pairs of bits in 32 bytes, for look_up in a table of four.
COPPICE_AVX512 COPPICE_INLINE __m512i pairs(__m512i bytes, std::size_t run) {
  return _mm512_srli_epi32(bytes, static_cast<unsigned>(run % 4 * 2));
}

COPPICE_AVX512 COPPICE_INLINE __m512i nibbles(const std::uint8_t* bytes, std::size_t run) {
  return _mm512_srli_epi32(widen16(bytes), static_cast<unsigned>(run % 2 * 4));
}

} // namespace

COPPICE_AVX512 void dequantize_q2_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q2KLayout;
  const __m512 levels = four_from(0);
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const __m512 all = scale_at(blocks + L::kScale);
    const __m512 all_min = scale_at(blocks + L::kMin);
    for (std::size_t s = 0; s < 16; ++s) {
      const int both = blocks[L::kScales + s];
      const __m512 values =
          _mm512_sub_ps(_mm512_mul_ps(levels, times(all, both & 15)), times(all_min, both >> 4));
      const __m512i bytes = widen16(blocks + L::kLow + s / 8 * 32 + s % 2 * 16);
      _mm512_storeu_ps(out + at + s * 16, look_up(pairs(bytes, s / 2), values));
    }
  }
}

COPPICE_AVX512 void dequantize_q3_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q3KLayout;
  const __m512 without = four_from(-4);
  const __m512 with = four_from(0);
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const __m512 all = scale_at(blocks + L::kScale);
    for (std::size_t s = 0; s < 16; ++s) {
      const std::size_t column = s % 2 * 16;
      const __m512 scale = times(all, q3_k_scale(blocks + L::kScales, s));
      const __mmask16 high = _mm512_test_epi32_mask(widen16(blocks + L::kHigh + column),
                                                    _mm512_set1_epi32(1 << (s / 2)));
      const __m512i index = pairs(widen16(blocks + L::kLow + s / 8 * 32 + column), s / 2);
      _mm512_storeu_ps(out + at + s * 16, look_up(index, _mm512_mul_ps(without, scale), high,
                                                  _mm512_mul_ps(with, scale)));
    }
  }
}

COPPICE_AVX512 void dequantize_q4_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q4KLayout;
  const __m512 levels = count_from(0);
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const KScales parts = unpack_k_scales(blocks + L::kScales);
    const __m512 all = scale_at(blocks + L::kScale);
    const __m512 all_min = scale_at(blocks + L::kMin);
    for (std::size_t run = 0; run < 8; ++run) {
      const __m512 values = _mm512_sub_ps(_mm512_mul_ps(levels, times(all, parts.scale[run])),
                                          times(all_min, parts.min[run]));
      const std::uint8_t* const from = blocks + L::kLow + run / 2 * 32;
      _mm512_storeu_ps(out + at + run * 32, look_up(nibbles(from, run), values));
      _mm512_storeu_ps(out + at + run * 32 + 16, look_up(nibbles(from + 16, run), values));
    }
  }
}

COPPICE_AVX512 void dequantize_q5_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q5KLayout;
  const __m512 levels = count_from(0);
  const __m512 upper = count_from(16);
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const KScales parts = unpack_k_scales(blocks + L::kScales);
    const __m512 all = scale_at(blocks + L::kScale);
    const __m512 all_min = scale_at(blocks + L::kMin);
    for (std::size_t run = 0; run < 8; ++run) {
      const __m512 scale = times(all, parts.scale[run]);
      const __m512 min = times(all_min, parts.min[run]);
      const __m512 values = _mm512_sub_ps(_mm512_mul_ps(levels, scale), min);
      const __m512 others = _mm512_sub_ps(_mm512_mul_ps(upper, scale), min);
      const __m512i bit = _mm512_set1_epi32(1 << run);
      for (std::size_t column = 0; column < 32; column += 16) {
        const __m512i index = nibbles(blocks + L::kLow + run / 2 * 32 + column, run);
        const __mmask16 high = _mm512_test_epi32_mask(widen16(blocks + L::kHigh + column), bit);
        _mm512_storeu_ps(out + at + run * 32 + column, look_up(index, values, high, others));
      }
    }
  }
}

COPPICE_AVX512 void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q6KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const __m512 all = scale_at(blocks + L::kScale);
    for (std::size_t s = 0; s < 16; ++s) {
      const __m512 scale = _mm512_mul_ps(all, _mm512_set1_ps(q6_k_scale(blocks, s)));
      store_scaled(q6_k_weights(blocks, s), scale, out + at + s * 16);
    }
  }
}

COPPICE_AVX512 void dequantize_iq4_xs(const std::uint8_t* blocks, std::size_t elements,
                                      float* out) {
  using L = Iq4XsLayout;
  const __m512 levels = nonlinear_levels();
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const __m512 all = scale_at(blocks + L::kScale);
    for (std::size_t run = 0; run < 8; ++run) {
      const __m512 values = _mm512_mul_ps(levels, times(all, iq4_xs_scale(blocks, run)));
      store_nibbles(widen16(blocks + L::kLow + run * 16), values, out + at + run * 32);
    }
  }
}

namespace {

// Digit by digit: multiply by a power of three, keep the fraction, and what times 3 carries out of
// it is the trit.
COPPICE_AVX512 COPPICE_INLINE __m512 trits(__m512i bytes, __m512i powers, __m512 values) {
  const __m512i rest = _mm512_and_si512(_mm512_mullo_epi32(bytes, powers), _mm512_set1_epi32(255));
  const __m512i thrice = _mm512_add_epi32(rest, _mm512_add_epi32(rest, rest));
  return look_up(_mm512_srli_epi32(thrice, 8), values);
}

} // namespace

COPPICE_AVX512 void dequantize_tq1_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Tq1Layout;
  constexpr int kPowers[] = {1, 3, 9, 27, 81};
  const __m512 levels = four_from(-1);
  const __m512i four_powers = _mm512_setr_epi32(1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27);
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const __m512 values = _mm512_mul_ps(levels, scale_at(blocks + L::kScale));
    const __m512i a = widen16(blocks);
    const __m512i b = widen16(blocks + 16);
    const __m512i c = widen16(blocks + 32);
    float* const to = out + at;
    for (std::size_t n = 0; n < 5; ++n) {
      const __m512i power = _mm512_set1_epi32(kPowers[n]);
      _mm512_storeu_ps(to + n * 32, trits(a, power, values));
      _mm512_storeu_ps(to + n * 32 + 16, trits(b, power, values));
      _mm512_storeu_ps(to + 160 + n * 16, trits(c, power, values));
    }
    int fours;
    std::memcpy(&fours, blocks + L::kFours, sizeof fours);
    const __m512i spread = _mm512_cvtepu8_epi32(_mm_set1_epi32(fours));
    _mm512_storeu_ps(to + 240, trits(spread, four_powers, values));
  }
}

COPPICE_AVX512 void dequantize_tq2_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Tq2Layout;
  const __m512 levels = four_from(-1);
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const __m512 values = _mm512_mul_ps(levels, scale_at(blocks + L::kScale));
    for (std::size_t s = 0; s < 16; ++s) {
      const __m512i bytes = widen16(blocks + s / 8 * 32 + s % 2 * 16);
      _mm512_storeu_ps(out + at + s * 16, look_up(pairs(bytes, s / 2), values));
    }
  }
}

} // namespace avx512
} // namespace coppice
#endif
