// SPDX-License-Identifier: Apache-2.0
// AVX-512 VNNI: 128 weights of Q4_0, or 64 of Q8_0, in one go.
#include "model/native/int8_products.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define COPPICE_VNNI \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")))
#define COPPICE_INLINE inline __attribute__((always_inline))

namespace coppice::native {
namespace {

constexpr std::size_t kQ4Bytes = 18;
constexpr std::size_t kQ8Bytes = 34;
constexpr std::size_t kTq2Bytes = 66;
constexpr std::size_t kLine = 64;
// By itself a processor reads ahead to the end of a page, here and there: rows come from several
// places in turn, and the next ones are asked for.
constexpr std::size_t kAhead = 2048; // bytes
constexpr std::size_t kPlaces = 4;

constexpr std::size_t row_of_turn(std::size_t turn, std::size_t count) {
  const std::size_t each = count / kPlaces;
  return turn < kPlaces * each ? turn % kPlaces * each + turn / kPlaces : turn;
}

COPPICE_INLINE __m128i load16(const void* bytes) {
  return _mm_loadu_si128(static_cast<const __m128i*>(bytes));
}

// The sums of a row's products with kCount rows x: out[t * stride]; see Note [Order of nibbles].
template <std::size_t kCount>
COPPICE_VNNI COPPICE_INLINE void q4_0_row(const std::uint8_t* row, const Int8Row* x, float* out,
                                          std::size_t stride) {
  const __m512i low_nibbles = _mm512_set1_epi8(15);
  // The halves at bytes 0, 18, 36 and 54 of four blocks.
  const __m512i scale_words = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                               0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 27, 18, 9, 0);
  const __m512i spread = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  __m512 sums[kCount];
  __m128 offsets[kCount];
  for (std::size_t t = 0; t < kCount; ++t) {
    sums[t] = _mm512_setzero_ps();
    offsets[t] = _mm_setzero_ps();
  }
  const std::size_t groups = x->blocks() / 4;
  for (std::size_t group = 0; group < groups; ++group, row += 4 * kQ4Bytes) {
    __m512i nibbles = _mm512_castsi128_si512(load16(row + 2));
    nibbles = _mm512_inserti32x4(nibbles, load16(row + 2 + kQ4Bytes), 1);
    nibbles = _mm512_inserti32x4(nibbles, load16(row + 2 + 2 * kQ4Bytes), 2);
    nibbles = _mm512_inserti32x4(nibbles, load16(row + 2 + 3 * kQ4Bytes), 3);
    const __m512i low = _mm512_and_si512(nibbles, low_nibbles);
    const __m512i high = _mm512_and_si512(_mm512_srli_epi16(nibbles, 4), low_nibbles);
    const __m512i words = _mm512_permutexvar_epi16(scale_words, _mm512_loadu_si512(row));
    const __m128 scales = _mm_cvtph_ps(_mm512_castsi512_si128(words));
    for (std::size_t t = 0; t < kCount; ++t) {
      const std::int8_t* values = x[t].by_nibble.data() + group * 128;
      __m512i dots = _mm512_dpbusd_epi32(_mm512_setzero_si512(), low, _mm512_loadu_si512(values));
      dots = _mm512_dpbusd_epi32(dots, high, _mm512_loadu_si512(values + 64));
      const __m128 factors = _mm_mul_ps(scales, _mm_loadu_ps(x[t].scales.data() + 4 * group));
      const __m512 each = _mm512_permutexvar_ps(spread, _mm512_castps128_ps512(factors));
      sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), each, sums[t]);
      const __m128 eighths = _mm_loadu_ps(x[t].eighths.data() + 4 * group);
      offsets[t] = _mm_fmadd_ps(scales, eighths, offsets[t]);
    }
  }
  const __m128i fifteen = _mm_set1_epi8(15);
  for (std::size_t t = 0; t < kCount; ++t) {
    const __m128 halves = _mm_add_ps(offsets[t], _mm_movehl_ps(offsets[t], offsets[t]));
    float sum = _mm512_reduce_add_ps(sums[t]) +
                _mm_cvtss_f32(_mm_add_ss(halves, _mm_shuffle_ps(halves, halves, 1)));
    const std::uint8_t* rest = row;
    for (std::size_t block = 4 * groups; block < x[t].blocks(); ++block, rest += kQ4Bytes) {
      const __m128i bytes = load16(rest + 2);
      const std::int8_t* values = x[t].values.data() + block * Int8Row::kBlock;
      __m128i dot =
          _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_and_si128(bytes, fifteen), load16(values));
      dot = _mm_dpbusd_epi32(dot, _mm_and_si128(_mm_srli_epi16(bytes, 4), fifteen),
                             load16(values + 16));
      dot = _mm_add_epi32(dot, _mm_shuffle_epi32(dot, 0x4E));
      dot = _mm_add_epi32(dot, _mm_shuffle_epi32(dot, 0xB1));
      const float scale = _mm_cvtss_f32(_mm_cvtph_ps(_mm_loadu_si16(rest)));
      sum += scale * x[t].scales[block] * static_cast<float>(_mm_cvtsi128_si32(dot)) +
             scale * x[t].eighths[block];
    }
    out[t * stride] = sum;
  }
}

template <std::size_t kCount>
COPPICE_VNNI COPPICE_INLINE void q8_0_row(const std::uint8_t* row, const Int8Row* x, float* out,
                                          std::size_t stride) {
  __m256 sums[kCount];
  for (std::size_t t = 0; t < kCount; ++t) sums[t] = _mm256_setzero_ps();
  for (std::size_t block = 0; block < x->blocks(); ++block, row += kQ8Bytes) {
    const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + 2));
    const __m256i size = _mm256_abs_epi8(w);
    const float scale = _mm_cvtss_f32(_mm_cvtph_ps(_mm_loadu_si16(row)));
    for (std::size_t t = 0; t < kCount; ++t) {
      const __m256i v = _mm256_loadu_si256(
          reinterpret_cast<const __m256i*>(x[t].values.data() + block * Int8Row::kBlock));
      // |w| times v with w's sign: the instruction takes its first operand as unsigned.
      const __m256i dots =
          _mm256_dpbusd_epi32(_mm256_setzero_si256(), size, _mm256_sign_epi8(v, w));
      sums[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots),
                                _mm256_set1_ps(scale * x[t].scales[block]), sums[t]);
    }
  }
  for (std::size_t t = 0; t < kCount; ++t) {
    const __m128 four =
        _mm_add_ps(_mm256_castps256_ps128(sums[t]), _mm256_extractf128_ps(sums[t], 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    out[t * stride] = _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
}

// Eight of x at a time, then four, two, one: their sums stay in registers.
template <BlockType kType, std::size_t kCount = 8>
COPPICE_VNNI void products(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                           std::span<const Int8Row> x, float* out, std::size_t out_stride) {
  for (; x.size() >= kCount; x = x.subspan(kCount), out += kCount * out_stride) {
    for (std::size_t turn = 0; turn < count; ++turn) {
      const std::size_t i = row_of_turn(turn, count);
      const std::uint8_t* row = rows + i * row_bytes;
      for (std::size_t at = 0; at < row_bytes; at += kLine) {
        _mm_prefetch(row + kAhead + at, _MM_HINT_T1);
      }
      if constexpr (kType == BlockType::kQ4_0) {
        q4_0_row<kCount>(row, x.data(), out + i, out_stride);
      } else {
        q8_0_row<kCount>(row, x.data(), out + i, out_stride);
      }
    }
  }
  if constexpr (kCount > 1) {
    products<kType, kCount / 2>(rows, row_bytes, count, x, out, out_stride);
  }
}

// Weights plus 1 times the values, less the values' sum, run by run; see tq2_0_scalar.
COPPICE_VNNI COPPICE_INLINE float tq2_0_row(const std::uint8_t* row, const Int8Row& x) {
  const __m256i pair = _mm256_set1_epi8(3);
  __m256 sums = _mm256_setzero_ps();
  float offset = 0;
  for (std::size_t block = 0; block < x.blocks(); block += 8, row += kTq2Bytes) {
    const float scale = _mm_cvtss_f32(_mm_cvtph_ps(_mm_loadu_si16(row + 64)));
    for (std::size_t run = 0; run < 8; ++run) {
      const __m256i bytes =
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + run / 4 * 32));
      const __m256i w =
          _mm256_and_si256(_mm256_srli_epi16(bytes, static_cast<int>(run % 4 * 2)), pair);
      const __m256i v = _mm256_loadu_si256(
          reinterpret_cast<const __m256i*>(x.values.data() + (block + run) * Int8Row::kBlock));
      const __m256i dots = _mm256_dpbusd_epi32(_mm256_setzero_si256(), w, v);
      sums = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots),
                             _mm256_set1_ps(scale * x.scales[block + run]), sums);
      offset += scale * x.eighths[block + run];
    }
  }
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1))) + 0.125F * offset;
}

} // namespace

namespace levels {

COPPICE_VNNI void q4_0_avx512(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                              std::span<const Int8Row> x, float* out, std::size_t out_stride) {
  products<BlockType::kQ4_0>(rows, row_bytes, count, x, out, out_stride);
}

COPPICE_VNNI void q8_0_avx512(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                              std::span<const Int8Row> x, float* out, std::size_t out_stride) {
  products<BlockType::kQ8_0>(rows, row_bytes, count, x, out, out_stride);
}

COPPICE_VNNI void tq2_0_avx512(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                               std::span<const Int8Row> x, float* out, std::size_t out_stride) {
  for (std::size_t t = 0; t < x.size(); ++t) {
    for (std::size_t row = 0; row < count; ++row) {
      out[t * out_stride + row] = tq2_0_row(rows + row * row_bytes, x[t]);
    }
  }
}

} // namespace levels

} // namespace coppice::native
#endif
