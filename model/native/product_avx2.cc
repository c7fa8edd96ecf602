// SPDX-License-Identifier: Apache-2.0
// AVX2 with FMA: tiles of 6 rows by 16 columns in 12 registers, float32.
#include "model/native/product_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define COPPICE_AVX2 __attribute__((target("avx2,fma,f16c")))

namespace coppice::native {
namespace {

constexpr std::size_t kTileRows = 6;
constexpr std::size_t kTileColumns = 16;

template <std::size_t kRows>
COPPICE_AVX2 void tile(std::size_t row, std::size_t column, std::span<const Segment> segments,
                       float* c, std::size_t c_stride, bool add) {
  __m256 sums[kRows][2];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
    const float* from = c + (row + r) * c_stride + column;
    sums[r][0] = add ? _mm256_loadu_ps(from) : _mm256_setzero_ps();
    sums[r][1] = add ? _mm256_loadu_ps(from + 8) : _mm256_setzero_ps();
  }
  for (const Segment& s : segments) {
    const float* a = reinterpret_cast<const float*>(s.rows) + row * s.stride;
    const float* panel = reinterpret_cast<const float*>(s.panel) + column;
    for (std::size_t k = 0; k < s.depth; ++k, panel += kPanelColumns) {
      const __m256 left = _mm256_load_ps(panel);
      const __m256 right = _mm256_load_ps(panel + 8);
#pragma GCC unroll 8
      for (std::size_t r = 0; r < kRows; ++r) {
        const __m256 broadcast = _mm256_broadcast_ss(a + r * s.stride + k);
        sums[r][0] = _mm256_fmadd_ps(broadcast, left, sums[r][0]);
        sums[r][1] = _mm256_fmadd_ps(broadcast, right, sums[r][1]);
      }
    }
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < kRows; ++r) {
    float* to = c + (row + r) * c_stride + column;
    _mm256_storeu_ps(to, sums[r][0]);
    _mm256_storeu_ps(to + 8, sums[r][1]);
  }
}

void rows_of_tiles(std::size_t rows, std::size_t column, std::span<const Segment> segments,
                   float* c, std::size_t c_stride, bool add) {
  std::size_t row = 0;
  for (; row + kTileRows <= rows; row += kTileRows) {
    tile<kTileRows>(row, column, segments, c, c_stride, add);
  }
  switch (rows - row) {
    case 5: return tile<5>(row, column, segments, c, c_stride, add);
    case 4: return tile<4>(row, column, segments, c, c_stride, add);
    case 3: return tile<3>(row, column, segments, c, c_stride, add);
    case 2: return tile<2>(row, column, segments, c, c_stride, add);
    case 1: return tile<1>(row, column, segments, c, c_stride, add);
    default: return;
  }
}

void multiply(std::size_t rows, std::size_t columns, std::span<const Segment> segments, float* c,
              std::size_t c_stride, bool add) {
  std::size_t column = 0;
  for (; column + kTileColumns <= columns; column += kTileColumns) {
    rows_of_tiles(rows, column, segments, c, c_stride, add);
  }
  if (column == columns) return;
  // The last columns, by way of a whole tile that nothing lies behind.
  const std::size_t left = columns - column;
  constexpr std::size_t kChunk = 4 * kTileRows;
  float whole[kChunk * kTileColumns];
  for (std::size_t row = 0; row < rows; row += kChunk) {
    const std::size_t height = std::min(kChunk, rows - row);
    std::memset(whole, 0, sizeof whole);
    for (std::size_t r = 0; add && r < height; ++r) {
      std::copy_n(c + (row + r) * c_stride + column, left, whole + r * kTileColumns);
    }
    // One after the other: the sums are the same as of all at once.
    for (const Segment& s : segments) {
      Segment moved = s;
      moved.rows += row * s.stride * sizeof(float);
      moved.panel += column * sizeof(float);
      rows_of_tiles(height, 0, {&moved, 1}, whole, kTileColumns, true);
    }
    for (std::size_t r = 0; r < height; ++r) {
      std::copy_n(whole + r * kTileColumns, left, c + (row + r) * c_stride + column);
    }
  }
}

} // namespace

namespace levels {
const ProductKernels kAvx2Float32 = [] {
  ProductKernels kernels = kScalarFloat32;
  kernels.multiply = multiply;
  return kernels;
}();
} // namespace levels

} // namespace coppice::native
#endif
