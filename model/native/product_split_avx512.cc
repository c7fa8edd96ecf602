// SPDX-License-Identifier: Apache-2.0
// Splitting and packing for Note [Split elements], by AVX-512 with BF16.
#include "model/native/product_split.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define COPPICE_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")))

namespace coppice::native {
namespace {

constexpr std::size_t kLanes = 16;

__mmask16 lanes_mask(std::size_t n) {
  return n >= kLanes ? __mmask16{0xFFFF} : static_cast<__mmask16>((1U << n) - 1);
}

COPPICE_AVX512 inline __m512 widen(__m256i narrow) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
}

COPPICE_AVX512 inline void split_step(__m512 first, __m512 second, std::byte* elements) {
  const auto high = (__m512i)_mm512_cvtne2ps_pbh(second, first);
  const __m512 first_rest = _mm512_sub_ps(first, widen(_mm512_castsi512_si256(high)));
  const __m512 second_rest = _mm512_sub_ps(second, widen(_mm512_extracti64x4_epi64(high, 1)));
  const auto low = (__m512i)_mm512_cvtne2ps_pbh(second_rest, first_rest);
  _mm512_storeu_si512(elements, high);
  _mm512_storeu_si512(elements + kSplitHalfRow, low);
}

// Zeros fill the last step.
COPPICE_AVX512 void split(const float* source, std::size_t n, std::byte* elements) {
  std::size_t i = 0;
  for (; i + kSplitStep <= n; i += kSplitStep, elements += 2 * kSplitHalfRow) {
    split_step(_mm512_loadu_ps(source + i), _mm512_loadu_ps(source + i + kLanes), elements);
  }
  if (i == n) return;
  const std::size_t left = n - i;
  const __mmask16 more = left > kLanes ? lanes_mask(left - kLanes) : __mmask16{0};
  split_step(_mm512_maskz_loadu_ps(lanes_mask(left), source + i),
             _mm512_maskz_loadu_ps(more, source + i + kLanes), elements);
}

COPPICE_AVX512 void join(const std::byte* elements, std::size_t n, float* out) {
  for (std::size_t i = 0; i < n; i += kLanes) {
    const std::byte* from = elements + i / kSplitStep * 2 * kSplitHalfRow + i % kSplitStep * 2;
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + kSplitHalfRow));
    _mm512_mask_storeu_ps(out + i, lanes_mask(n - i), _mm512_add_ps(widen(high), widen(low)));
  }
}

// A half of a step of a row is as long as a step of bfloat16, so its packing serves.
void pack_transposed(const std::byte* source, std::size_t stride, std::size_t columns,
                     std::size_t depth, std::byte* panel) {
  for (std::size_t at = 0; at < depth; at += kSplitStep) {
    for (std::size_t half = 0; half < 2; ++half) {
      const std::size_t count = std::min(kSplitStep, depth - at);
      levels::kAvx512Bfloat16.pack_transposed(source, 2 * stride, columns, count, panel);
      const std::size_t packed = levels::kAvx512Bfloat16.panel_bytes(count);
      std::memset(panel + packed, 0, kSplitHalfPanel - packed);
      source += kSplitHalfRow;
      panel += kSplitHalfPanel;
    }
  }
}

COPPICE_AVX512 void pack_rows(const std::byte* source, std::size_t stride, std::size_t depth,
                              std::size_t columns, std::byte* panel) {
  alignas(64) static constexpr std::uint16_t kLow[32] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,
                                                         37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
                                                         11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i low = _mm512_load_si512(kLow);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  const std::size_t row_bytes = stride * sizeof(float);
  for (std::size_t k = 0; k < split_steps(depth) * kSplitStep; k += 2) {
    const std::byte* even = source + k * row_bytes;
    std::byte* pair = panel + k / kSplitStep * 2 * kSplitHalfPanel +
                      k % kSplitStep / 2 * kPanelColumns * 2 * sizeof(std::uint16_t);
    for (std::size_t half = 0; half < 2; ++half) {
      for (std::size_t column = 0; column < kPanelColumns; column += kSplitStep) {
        const std::size_t left =
            column < columns ? std::min(columns - column, kSplitStep) : std::size_t{0};
        const auto mask = static_cast<__mmask32>((std::uint64_t{1} << left) - 1);
        const std::size_t at = column * sizeof(float) + half * kSplitHalfRow;
        const __m512i a = _mm512_maskz_loadu_epi16(k < depth ? mask : __mmask32{0}, even + at);
        const __m512i b =
            _mm512_maskz_loadu_epi16(k + 1 < depth ? mask : __mmask32{0}, even + row_bytes + at);
        std::byte* out = pair + half * kSplitHalfPanel + column * 2 * sizeof(std::uint16_t);
        _mm512_store_si512(out, _mm512_permutex2var_epi16(a, low, b));
        _mm512_store_si512(out + 64, _mm512_permutex2var_epi16(a, high, b));
      }
    }
  }
}

} // namespace

namespace levels {
const ProductKernels kAvx512Split{.precision = Precision::kSplit,
                                  .element_bytes = sizeof(float),
                                  .depth_step = kSplitStep,
                                  .whole_step = kSplitStep,
                                  .multiply = nullptr,
                                  .from_float = split,
                                  .to_float = join,
                                  .pack_transposed = pack_transposed,
                                  .pack_rows = pack_rows,
                                  .transpose = nullptr};
} // namespace levels

} // namespace coppice::native
#endif
