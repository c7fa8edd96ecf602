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

COPPICE_INLINE __m128i load16(const void* bytes) {
  return _mm_loadu_si128(static_cast<const __m128i*>(bytes));
}

// The sum of a row's products with Q4_0 blocks; see Note [Order of nibbles].
COPPICE_VNNI COPPICE_INLINE float q4_0_row(const std::uint8_t* row, const Int8Row& x) {
  const __m512i low_nibbles = _mm512_set1_epi8(15);
  // The halves at bytes 0, 18, 36 and 54 of four blocks.
  const __m512i scale_words = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                               0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 27, 18, 9, 0);
  const __m512i spread = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
  __m512 sums = _mm512_setzero_ps();
  __m128 offsets = _mm_setzero_ps();
  const std::size_t groups = x.blocks() / 4;
  for (std::size_t group = 0; group < groups; ++group, row += 4 * kQ4Bytes) {
    __m512i nibbles = _mm512_castsi128_si512(load16(row + 2));
    nibbles = _mm512_inserti32x4(nibbles, load16(row + 2 + kQ4Bytes), 1);
    nibbles = _mm512_inserti32x4(nibbles, load16(row + 2 + 2 * kQ4Bytes), 2);
    nibbles = _mm512_inserti32x4(nibbles, load16(row + 2 + 3 * kQ4Bytes), 3);
    const __m512i low = _mm512_and_si512(nibbles, low_nibbles);
    const __m512i high = _mm512_and_si512(_mm512_srli_epi16(nibbles, 4), low_nibbles);
    const std::int8_t* values = x.by_nibble.data() + group * 128;
    __m512i dots = _mm512_dpbusd_epi32(_mm512_setzero_si512(), low, _mm512_loadu_si512(values));
    dots = _mm512_dpbusd_epi32(dots, high, _mm512_loadu_si512(values + 64));
    const __m512i words = _mm512_permutexvar_epi16(scale_words, _mm512_loadu_si512(row));
    const __m128 scales = _mm_cvtph_ps(_mm512_castsi512_si128(words));
    const __m128 factors = _mm_mul_ps(scales, _mm_loadu_ps(x.scales.data() + 4 * group));
    const __m512 each = _mm512_permutexvar_ps(spread, _mm512_castps128_ps512(factors));
    sums = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), each, sums);
    offsets = _mm_fmadd_ps(scales, _mm_loadu_ps(x.eighths.data() + 4 * group), offsets);
  }
  const __m128 halves = _mm_add_ps(offsets, _mm_movehl_ps(offsets, offsets));
  float sum = _mm512_reduce_add_ps(sums) +
              _mm_cvtss_f32(_mm_add_ss(halves, _mm_shuffle_ps(halves, halves, 1)));
  const __m128i fifteen = _mm_set1_epi8(15);
  for (std::size_t block = 4 * groups; block < x.blocks(); ++block, row += kQ4Bytes) {
    const __m128i bytes = load16(row + 2);
    const std::int8_t* values = x.values.data() + block * Int8Row::kBlock;
    __m128i dot =
        _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_and_si128(bytes, fifteen), load16(values));
    dot = _mm_dpbusd_epi32(dot, _mm_and_si128(_mm_srli_epi16(bytes, 4), fifteen),
                           load16(values + 16));
    dot = _mm_add_epi32(dot, _mm_shuffle_epi32(dot, 0x4E));
    dot = _mm_add_epi32(dot, _mm_shuffle_epi32(dot, 0xB1));
    const float scale = _mm_cvtss_f32(_mm_cvtph_ps(_mm_loadu_si16(row)));
    sum += scale * x.scales[block] * static_cast<float>(_mm_cvtsi128_si32(dot)) +
           scale * x.eighths[block];
  }
  return sum;
}

COPPICE_VNNI COPPICE_INLINE float q8_0_row(const std::uint8_t* row, const Int8Row& x) {
  __m256 sums = _mm256_setzero_ps();
  for (std::size_t block = 0; block < x.blocks(); ++block, row += kQ8Bytes) {
    const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + 2));
    const __m256i v = _mm256_loadu_si256(
        reinterpret_cast<const __m256i*>(x.values.data() + block * Int8Row::kBlock));
    // |w| times v with w's sign: the instruction takes its first operand as unsigned.
    const __m256i dots =
        _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_abs_epi8(w), _mm256_sign_epi8(v, w));
    const float scale = _mm_cvtss_f32(_mm_cvtph_ps(_mm_loadu_si16(row))) * x.scales[block];
    sums = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots), _mm256_set1_ps(scale), sums);
  }
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

} // namespace

namespace levels {

COPPICE_VNNI void q4_0_avx512(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                              const Int8Row& x, float* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = q4_0_row(rows + i * row_bytes, x);
}

COPPICE_VNNI void q8_0_avx512(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                              const Int8Row& x, float* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = q8_0_row(rows + i * row_bytes, x);
}

} // namespace levels

} // namespace coppice::native
#endif
