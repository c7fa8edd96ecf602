// SPDX-License-Identifier: Apache-2.0
// NEON: tiles of 8 rows by 8 columns in 16 registers, float32; with BFDOT (Armv8.6, and Armv8.2's
// extension) bfloat16 too, whose pairs meet the panel's pairs as they lie.
#include "model/native/product_kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#include <algorithm>
#include <cstring>

#define COPPICE_BF16 __attribute__((target("arch=armv8.2-a+bf16")))
#define COPPICE_INLINE inline __attribute__((always_inline))

namespace coppice::native {
namespace {

constexpr std::size_t kTileRows = 8;
constexpr std::size_t kTileColumns = 8;
constexpr std::size_t kLanes = 4;
constexpr std::size_t kWord = sizeof(std::uint32_t);
constexpr std::size_t kPanelRow = kPanelColumns * kWord;

// A tile of c, (kRows, 8).
template <std::size_t kRows>
struct Sums {
  float32x4_t at[kRows][2];
  COPPICE_INLINE void load(const float* c, std::size_t stride, bool add) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r) {
      at[r][0] = add ? vld1q_f32(c + r * stride) : vdupq_n_f32(0);
      at[r][1] = add ? vld1q_f32(c + r * stride + kLanes) : vdupq_n_f32(0);
    }
  }
  COPPICE_INLINE void store(float* c, std::size_t stride) const {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r) {
      vst1q_f32(c + r * stride, at[r][0]);
      vst1q_f32(c + r * stride + kLanes, at[r][1]);
    }
  }
};

struct Float32Tile {
  template <std::size_t kRows>
  static void run(std::size_t row, std::size_t column, std::span<const Segment> segments, float* c,
                  std::size_t c_stride, bool add) {
    Sums<kRows> sums;
    sums.load(c, c_stride, add);
    for (const Segment& s : segments) {
      const float* a = reinterpret_cast<const float*>(s.rows) + row * s.stride;
      const float* panel = reinterpret_cast<const float*>(s.panel) + column;
      std::size_t k = 0;
      for (; k + kLanes <= s.depth; k += kLanes) {
        float32x4_t rows[kRows];
#pragma GCC unroll 8
        for (std::size_t r = 0; r < kRows; ++r) rows[r] = vld1q_f32(a + r * s.stride + k);
        step<kRows, 0>(sums, rows, panel);
        step<kRows, 1>(sums, rows, panel + kPanelColumns);
        step<kRows, 2>(sums, rows, panel + 2 * kPanelColumns);
        step<kRows, 3>(sums, rows, panel + 3 * kPanelColumns);
        panel += kLanes * kPanelColumns;
      }
      for (; k < s.depth; ++k, panel += kPanelColumns) {
        float32x4_t rows[kRows];
#pragma GCC unroll 8
        for (std::size_t r = 0; r < kRows; ++r) rows[r] = vld1q_dup_f32(a + r * s.stride + k);
        step<kRows, 0>(sums, rows, panel);
      }
    }
    sums.store(c, c_stride);
  }

 private:
  template <std::size_t kRows, int kLane>
  static COPPICE_INLINE void step(Sums<kRows>& sums, const float32x4_t (&rows)[kRows],
                                  const float* panel) {
    const float32x4_t left = vld1q_f32(panel);
    const float32x4_t right = vld1q_f32(panel + kLanes);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r) {
      sums.at[r][0] = vfmaq_laneq_f32(sums.at[r][0], left, rows[r], kLane);
      sums.at[r][1] = vfmaq_laneq_f32(sums.at[r][1], right, rows[r], kLane);
    }
  }
};

// A word is a pair of depths.
struct Bfloat16Tile {
  template <std::size_t kRows>
  COPPICE_BF16 static void run(std::size_t row, std::size_t column,
                               std::span<const Segment> segments, float* c, std::size_t c_stride,
                               bool add) {
    Sums<kRows> sums;
    sums.load(c, c_stride, add);
    for (const Segment& s : segments) {
      const std::size_t row_bytes = s.stride * kWord / 2;
      const std::byte* a = s.rows + row * row_bytes;
      const std::byte* panel = s.panel + column * kWord;
      const std::size_t words = (s.depth + 1) / 2;
      std::size_t word = 0;
      for (; word + kLanes <= words; word += kLanes) {
        bfloat16x8_t rows[kRows];
#pragma GCC unroll 8
        for (std::size_t r = 0; r < kRows; ++r) rows[r] = pairs(a + r * row_bytes + word * kWord);
        step<kRows, 0>(sums, rows, panel);
        step<kRows, 1>(sums, rows, panel + kPanelRow);
        step<kRows, 2>(sums, rows, panel + 2 * kPanelRow);
        step<kRows, 3>(sums, rows, panel + 3 * kPanelRow);
        panel += kLanes * kPanelRow;
      }
      for (; word < words; ++word, panel += kPanelRow) {
        bfloat16x8_t rows[kRows];
#pragma GCC unroll 8
        for (std::size_t r = 0; r < kRows; ++r) rows[r] = pair(a + r * row_bytes + word * kWord);
        step<kRows, 0>(sums, rows, panel);
      }
    }
    sums.store(c, c_stride);
  }

 private:
  COPPICE_BF16 static COPPICE_INLINE bfloat16x8_t pairs(const std::byte* bytes) {
    return vreinterpretq_bf16_u8(vld1q_u8(reinterpret_cast<const std::uint8_t*>(bytes)));
  }
  COPPICE_BF16 static COPPICE_INLINE bfloat16x8_t pair(const std::byte* bytes) {
    std::uint32_t word;
    std::memcpy(&word, bytes, sizeof word);
    return vreinterpretq_bf16_u32(vdupq_n_u32(word));
  }
  template <std::size_t kRows, int kLane>
  COPPICE_BF16 static COPPICE_INLINE void step(Sums<kRows>& sums, const bfloat16x8_t (&rows)[kRows],
                                               const std::byte* panel) {
    const bfloat16x8_t left = pairs(panel);
    const bfloat16x8_t right = pairs(panel + kLanes * kWord);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r) {
      sums.at[r][0] = vbfdotq_laneq_f32(sums.at[r][0], left, rows[r], kLane);
      sums.at[r][1] = vbfdotq_laneq_f32(sums.at[r][1], right, rows[r], kLane);
    }
  }
};

template <typename Tile>
void tile_of(std::size_t height, std::size_t row, std::size_t column,
             std::span<const Segment> segments, float* c, std::size_t c_stride, bool add) {
  switch (height) {
    case 1: return Tile::template run<1>(row, column, segments, c, c_stride, add);
    case 2: return Tile::template run<2>(row, column, segments, c, c_stride, add);
    case 3: return Tile::template run<3>(row, column, segments, c, c_stride, add);
    case 4: return Tile::template run<4>(row, column, segments, c, c_stride, add);
    case 5: return Tile::template run<5>(row, column, segments, c, c_stride, add);
    case 6: return Tile::template run<6>(row, column, segments, c, c_stride, add);
    case 7: return Tile::template run<7>(row, column, segments, c, c_stride, add);
    default: return Tile::template run<8>(row, column, segments, c, c_stride, add);
  }
}

template <typename Tile>
void multiply(std::size_t rows, std::size_t columns, std::span<const Segment> segments, float* c,
              std::size_t c_stride, bool add) {
  for (std::size_t column = 0; column < columns; column += kTileColumns) {
    const std::size_t width = std::min(kTileColumns, columns - column);
    for (std::size_t row = 0; row < rows; row += kTileRows) {
      const std::size_t height = std::min(kTileRows, rows - row);
      float* to = c + row * c_stride + column;
      if (width == kTileColumns) {
        tile_of<Tile>(height, row, column, segments, to, c_stride, add);
        continue;
      }
      // The last columns, by way of a whole tile: panels have 64 columns always.
      float whole[kTileRows * kTileColumns] = {};
      for (std::size_t r = 0; add && r < height; ++r) {
        std::copy_n(to + r * c_stride, width, whole + r * kTileColumns);
      }
      tile_of<Tile>(height, row, column, segments, whole, kTileColumns, add);
      for (std::size_t r = 0; r < height; ++r) {
        std::copy_n(whole + r * kTileColumns, width, to + r * c_stride);
      }
    }
  }
}

} // namespace

namespace levels {
const ProductKernels kNeonFloat32 = [] {
  ProductKernels kernels = neon_layout(Precision::kFloat32);
  kernels.multiply = multiply<Float32Tile>;
  return kernels;
}();
const ProductKernels kNeonBfloat16 = [] {
  ProductKernels kernels = neon_layout(Precision::kBfloat16);
  kernels.multiply = multiply<Bfloat16Tile>;
  return kernels;
}();
} // namespace levels

} // namespace coppice::native
#endif
