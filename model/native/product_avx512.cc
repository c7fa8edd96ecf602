// SPDX-License-Identifier: Apache-2.0
// AVX-512: tiles of 6 rows by 64 columns, or 12 by 32, held in 24 registers over the whole depth.
#include "model/native/product_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <utility>

#define COPPICE_AVX512 \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")))
#define COPPICE_INLINE inline __attribute__((always_inline))

namespace coppice::native {
namespace {

constexpr std::size_t kTileRows = 6;
constexpr std::size_t kLanes = 16;

__mmask16 lanes_mask(std::size_t n) {
  return n >= kLanes ? __mmask16{0xFFFF} : static_cast<__mmask16>((1U << n) - 1);
}

// 32 bits of a row: one float32, or a pair of bfloat16.
COPPICE_INLINE std::int32_t word_at(const std::byte* bytes) {
  std::int32_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// Registers of 16 columns, and of 8: many processors do two of the latter in the time of one of the
// former, and adapters' ranks are as small.
struct Whole {
  using Words = __m512i;
  using Floats = __m512;
  using Mask = __mmask16;
  static constexpr std::size_t kColumns = 16;
  static constexpr Mask kAll = 0xFFFF;
  COPPICE_AVX512 static COPPICE_INLINE Floats zero() { return _mm512_setzero_ps(); }
  COPPICE_AVX512 static COPPICE_INLINE Floats load(Mask mask, const float* from) {
    return _mm512_maskz_loadu_ps(mask, from);
  }
  COPPICE_AVX512 static COPPICE_INLINE void store(float* to, Mask mask, Floats sums) {
    _mm512_mask_storeu_ps(to, mask, sums);
  }
  COPPICE_AVX512 static COPPICE_INLINE Words panel(const std::byte* from) {
    return _mm512_load_si512(from);
  }
  COPPICE_AVX512 static COPPICE_INLINE Words broadcast(std::int32_t word) {
    return _mm512_set1_epi32(word);
  }
};

struct Half {
  using Words = __m256i;
  using Floats = __m256;
  using Mask = __mmask8;
  static constexpr std::size_t kColumns = 8;
  static constexpr Mask kAll = 0xFF;
  COPPICE_AVX512 static COPPICE_INLINE Floats zero() { return _mm256_setzero_ps(); }
  COPPICE_AVX512 static COPPICE_INLINE Floats load(Mask mask, const float* from) {
    return _mm256_maskz_loadu_ps(mask, from);
  }
  COPPICE_AVX512 static COPPICE_INLINE void store(float* to, Mask mask, Floats sums) {
    _mm256_mask_storeu_ps(to, mask, sums);
  }
  COPPICE_AVX512 static COPPICE_INLINE Words panel(const std::byte* from) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
  }
  COPPICE_AVX512 static COPPICE_INLINE Words broadcast(std::int32_t word) {
    return _mm256_set1_epi32(word);
  }
};

struct Float32Product {
  static constexpr std::size_t kDepthOfWord = 1;
  COPPICE_AVX512 static COPPICE_INLINE __m512 step(__m512 sum, __m512i a, __m512i b) {
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
  }
  COPPICE_AVX512 static COPPICE_INLINE __m256 step(__m256 sum, __m256i a, __m256i b) {
    return _mm256_fmadd_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), sum);
  }
};

struct Bfloat16Product {
  static constexpr std::size_t kDepthOfWord = 2;
  COPPICE_AVX512 static COPPICE_INLINE __m512 step(__m512 sum, __m512i a, __m512i b) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
  COPPICE_AVX512 static COPPICE_INLINE __m256 step(__m256 sum, __m256i a, __m256i b) {
    return _mm256_dpbf16_ps(sum, (__m256bh)a, (__m256bh)b);
  }
};

// What one call multiplies.
struct Block {
  std::span<const Segment> segments;
  float* c;
  std::size_t c_stride;
  bool add;
};

// A tile: kRows rows and kVectors registers of columns, the last of them masked.
template <typename Product, typename Width, std::size_t kRows, std::size_t kVectors>
COPPICE_AVX512 void tile(const Block& block, std::size_t row, typename Width::Mask last) {
  constexpr std::size_t kWord = sizeof(std::int32_t);
  constexpr std::size_t kPanelRow = kPanelColumns * kWord;
  float* const c = block.c + row * block.c_stride;
  typename Width::Floats sums[kRows][kVectors];
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) {
      const auto mask = v + 1 == kVectors ? last : Width::kAll;
      sums[r][v] = block.add ? Width::load(mask, c + r * block.c_stride + v * Width::kColumns)
                             : Width::zero();
    }
  }
  for (const Segment& s : block.segments) {
    const std::size_t row_bytes = s.stride * kWord / Product::kDepthOfWord;
    const std::byte* a = s.rows + row * row_bytes;
    const std::byte* panel = s.panel;
    const std::size_t words = (s.depth + Product::kDepthOfWord - 1) / Product::kDepthOfWord;
    for (std::size_t word = 0; word < words; ++word, panel += kPanelRow) {
      typename Width::Words b[kVectors];
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kVectors; ++v) {
        b[v] = Width::panel(panel + v * Width::kColumns * kWord);
      }
#pragma GCC unroll 12
      for (std::size_t r = 0; r < kRows; ++r) {
        const auto word_of_row = Width::broadcast(word_at(a + r * row_bytes + word * kWord));
#pragma GCC unroll 4
        for (std::size_t v = 0; v < kVectors; ++v) {
          sums[r][v] = Product::step(sums[r][v], word_of_row, b[v]);
        }
      }
    }
  }
#pragma GCC unroll 12
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) {
      const auto mask = v + 1 == kVectors ? last : Width::kAll;
      Width::store(c + r * block.c_stride + v * Width::kColumns, mask, sums[r][v]);
    }
  }
}

// Few columns leave registers for more rows.
template <typename Product, typename Width, std::size_t kVectors>
void rows_of_tiles(const Block& block, std::size_t rows, typename Width::Mask last) {
  std::size_t row = 0;
  if constexpr (kVectors <= 2) {
    for (; row + 2 * kTileRows <= rows; row += 2 * kTileRows) {
      tile<Product, Width, 2 * kTileRows, kVectors>(block, row, last);
    }
  }
  for (; row + kTileRows <= rows; row += kTileRows) {
    tile<Product, Width, kTileRows, kVectors>(block, row, last);
  }
  switch (rows - row) {
    case 5: return tile<Product, Width, 5, kVectors>(block, row, last);
    case 4: return tile<Product, Width, 4, kVectors>(block, row, last);
    case 3: return tile<Product, Width, 3, kVectors>(block, row, last);
    case 2: return tile<Product, Width, 2, kVectors>(block, row, last);
    case 1: return tile<Product, Width, 1, kVectors>(block, row, last);
    default: return;
  }
}

template <typename Product>
void multiply(std::size_t rows, std::size_t columns, std::span<const Segment> segments, float* c,
              std::size_t c_stride, bool add) {
  const Block block{segments, c, c_stride, add};
  if (columns <= Half::kColumns) {
    const auto mask = static_cast<Half::Mask>(lanes_mask(columns));
    return rows_of_tiles<Product, Half, 1>(block, rows, mask);
  }
  const std::size_t vectors = (columns + kLanes - 1) / kLanes;
  const __mmask16 last = lanes_mask(columns - (vectors - 1) * kLanes);
  switch (vectors) {
    case 1: return rows_of_tiles<Product, Whole, 1>(block, rows, last);
    case 2: return rows_of_tiles<Product, Whole, 2>(block, rows, last);
    case 3: return rows_of_tiles<Product, Whole, 3>(block, rows, last);
    default: return rows_of_tiles<Product, Whole, 4>(block, rows, last);
  }
}

// 16 rows of 16 words to their transpose.
COPPICE_AVX512 COPPICE_INLINE void transpose16(__m512i (&r)[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xDD);
    t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xDD);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
    r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xDD);
    r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
    r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xDD);
  }
}

// Both precisions alike: words change places, and a pair of bfloat16 is a word.
template <std::size_t kDepthOfWord>
COPPICE_AVX512 void pack_transposed(const std::byte* source, std::size_t stride,
                                    std::size_t columns, std::size_t depth, std::byte* panel) {
  constexpr std::size_t kWord = sizeof(std::int32_t);
  const std::size_t row_bytes = stride * kWord / kDepthOfWord;
  const std::size_t words = (depth + kDepthOfWord - 1) / kDepthOfWord;
  for (std::size_t word = 0; word < words; word += kLanes) {
    const std::size_t count = std::min(kLanes, words - word);
    const __mmask16 inside = lanes_mask(count);
    // An odd depth leaves half a word at the end, which must be zero.
    const bool half = kDepthOfWord == 2 && depth % 2 == 1 && word + count == words;
    for (std::size_t column = 0; column < columns; column += kLanes) {
      __m512i r[16];
#pragma GCC unroll 16
      for (std::size_t i = 0; i < 16; ++i) {
        r[i] = column + i < columns ? _mm512_maskz_loadu_epi32(
                                          inside, source + (column + i) * row_bytes + word * kWord)
                                    : _mm512_setzero_si512();
      }
      transpose16(r);
      if (half) r[count - 1] = _mm512_and_si512(r[count - 1], _mm512_set1_epi32(0xFFFF));
      std::byte* out = panel + (word * kPanelColumns + column) * kWord;
#pragma GCC unroll 16
      for (std::size_t i = 0; i < 16; ++i) {
        if (i < count) _mm512_store_si512(out + i * kPanelColumns * kWord, r[i]);
      }
    }
  }
}

COPPICE_AVX512 void pack_rows_f32(const std::byte* source, std::size_t stride, std::size_t depth,
                                  std::size_t columns, std::byte* panel) {
  for (std::size_t k = 0; k < depth; ++k) {
    const auto* row = reinterpret_cast<const float*>(source) + k * stride;
    float* out = reinterpret_cast<float*>(panel) + k * kPanelColumns;
    for (std::size_t column = 0; column < columns; column += kLanes) {
      const __mmask16 mask = lanes_mask(columns - column);
      _mm512_store_ps(out + column, _mm512_maskz_loadu_ps(mask, row + column));
    }
  }
}

COPPICE_AVX512 void pack_rows_bf16(const std::byte* source, std::size_t stride, std::size_t depth,
                                   std::size_t columns, std::byte* panel) {
  alignas(64) static constexpr std::uint16_t kLow[32] = {0,  32, 1,  33, 2,  34, 3,  35, 4,  36, 5,
                                                         37, 6,  38, 7,  39, 8,  40, 9,  41, 10, 42,
                                                         11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i low = _mm512_load_si512(kLow);
  const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  for (std::size_t k = 0; k < depth; k += 2) {
    const std::byte* even = source + k * stride * 2;
    const std::byte* odd = even + stride * 2;
    std::byte* out = panel + k / 2 * kPanelColumns * 4;
    for (std::size_t column = 0; column < columns; column += 32) {
      const std::size_t left = std::min<std::size_t>(columns - column, 32);
      const auto mask = static_cast<__mmask32>((std::uint64_t{1} << left) - 1);
      const __m512i a = _mm512_maskz_loadu_epi16(mask, even + column * 2);
      const __m512i b =
          k + 1 < depth ? _mm512_maskz_loadu_epi16(mask, odd + column * 2) : _mm512_setzero_si512();
      _mm512_store_si512(out + column * 4, _mm512_permutex2var_epi16(a, low, b));
      _mm512_store_si512(out + column * 4 + 64, _mm512_permutex2var_epi16(a, high, b));
    }
  }
}

COPPICE_AVX512 void narrow_bf16(const float* source, std::size_t n, std::byte* elements) {
  std::size_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const __m512 first = _mm512_loadu_ps(source + i);
    const __m512 second = _mm512_loadu_ps(source + i + kLanes);
    _mm512_storeu_si512(elements + 2 * i, (__m512i)_mm512_cvtne2ps_pbh(second, first));
  }
  for (; i < n; i += kLanes) {
    const __mmask16 mask = lanes_mask(n - i);
    const __m512 wide = _mm512_maskz_loadu_ps(mask, source + i);
    _mm256_mask_storeu_epi16(elements + 2 * i, mask, (__m256i)_mm512_cvtneps_pbh(wide));
  }
}

COPPICE_AVX512 void widen_bf16(const std::byte* elements, std::size_t n, float* out) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const __m256i narrow = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(elements + 2 * i));
    _mm512_storeu_si512(out + i, _mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
  }
  for (; i < n; i += kLanes) {
    const __mmask16 mask = lanes_mask(n - i);
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, elements + 2 * i));
    _mm512_mask_storeu_ps(out + i, mask, _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16)));
  }
}

void copy_in(const float* source, std::size_t n, std::byte* elements) {
  std::memmove(elements, source, n * sizeof(float));
}

void copy_out(const std::byte* elements, std::size_t n, float* out) {
  std::memcpy(out, elements, n * sizeof(float));
}

// Of 16 x 16 floats at a time; bfloat16 are narrowed after.
template <bool kNarrow>
COPPICE_AVX512 void transpose(const float* source, std::size_t stride, std::size_t rows,
                              std::size_t columns, std::byte* out, std::size_t out_stride) {
  constexpr std::size_t kBytes = kNarrow ? 2 : 4;
  for (std::size_t row = 0; row < rows; row += kLanes) {
    const std::size_t height = std::min(kLanes, rows - row);
    const __mmask16 down = lanes_mask(height);
    for (std::size_t column = 0; column < columns; column += kLanes) {
      const std::size_t width = std::min(kLanes, columns - column);
      const __mmask16 across = lanes_mask(width);
      __m512i r[16];
#pragma GCC unroll 16
      for (std::size_t i = 0; i < 16; ++i) {
        r[i] = i < height ? _mm512_maskz_loadu_epi32(across, source + (row + i) * stride + column)
                          : _mm512_setzero_si512();
      }
      transpose16(r);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < 16; ++i) {
        if (i >= width) break;
        std::byte* to = out + ((column + i) * out_stride + row) * kBytes;
        if constexpr (kNarrow) {
          const auto narrow = (__m256i)_mm512_cvtneps_pbh(_mm512_castsi512_ps(r[i]));
          _mm256_mask_storeu_epi16(to, down, narrow);
        } else {
          _mm512_mask_storeu_epi32(to, down, r[i]);
        }
      }
    }
  }
}

} // namespace

namespace levels {

const ProductKernels kAvx512Float32{.precision = Precision::kFloat32,
                                    .element_bytes = 4,
                                    .depth_step = 1,
                                    .whole_step = 1,
                                    .multiply = multiply<Float32Product>,
                                    .from_float = copy_in,
                                    .to_float = copy_out,
                                    .pack_transposed = pack_transposed<1>,
                                    .pack_rows = pack_rows_f32,
                                    .transpose = transpose<false>};

const ProductKernels kAvx512Bfloat16{.precision = Precision::kBfloat16,
                                     .element_bytes = 2,
                                     .depth_step = 2,
                                     .whole_step = 2,
                                     .multiply = multiply<Bfloat16Product>,
                                     .from_float = narrow_bf16,
                                     .to_float = widen_bf16,
                                     .pack_transposed = pack_transposed<2>,
                                     .pack_rows = pack_rows_bf16,
                                     .transpose = transpose<true>};

} // namespace levels

} // namespace coppice::native
#endif
