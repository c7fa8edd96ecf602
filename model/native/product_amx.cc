// SPDX-License-Identifier: Apache-2.0
// AMX: bfloat16 tiles of 16 rows by 16 columns, four of them side by side over 32 depths a step.
//
// Note [Steps]
// A panel's pairs lie as a tile of the right operand takes them: 16 pairs of depths of 16 columns,
// 256 bytes from one to the next. TDPBF16PS sums the 32 products of an element apart and then adds
// them to it, so every row goes through tiles, however few are left: a tile of fewer rows computes
// them alike. The last depths of a segment, where they make no whole step, are filled up with
// zeros; those add nothing. Subnormals count as zero, as in VDPBF16PS.
#include "model/native/product_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define COPPICE_AMX __attribute__((target("amx-tile,amx-bf16,avx2")))
#define COPPICE_INLINE inline __attribute__((always_inline))

namespace coppice::native {
namespace {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTileColumns = 16;
constexpr std::size_t kLine = 64; // bytes of a tile's row
constexpr std::size_t kWord = 4;  // bytes of a pair, and of a sum
constexpr std::size_t kStepWords = 16;
constexpr std::size_t kPanelRow = kPanelColumns * kWord;

// The operand of LDTILECFG. Tiles 0 to 3 are sums, 4 is the rows', 5 to 7 the panel's.
struct alignas(64) TileConfig {
  explicit TileConfig(std::size_t height) {
    for (std::size_t tile = 0; tile < 8; ++tile) {
      rows[tile] = static_cast<std::uint8_t>(tile < 5 ? height : kTileRows);
      row_bytes[tile] = kLine;
    }
  }
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

// The compiler doesn't know that the tile instructions read and write what `memory` points to.
COPPICE_INLINE void settle(void* memory) { asm volatile("" : : "r"(memory) : "memory"); }

COPPICE_AMX void configure(std::size_t height) {
  TileConfig config(height);
  settle(&config);
  _tile_loadconfig(&config);
}

// Sums of up to 16 rows, in tiles of 16 columns; the last of them may be elsewhere.
struct SumTiles {
  float* first;
  std::size_t stride; // bytes
  float* last;
  std::size_t last_stride;
};

template <int kTiles>
COPPICE_AMX COPPICE_INLINE void load_sums(const SumTiles& c, bool add) {
  if (!add) {
    _tile_zero(0);
    if constexpr (kTiles > 1) _tile_zero(1);
    if constexpr (kTiles > 2) _tile_zero(2);
    if constexpr (kTiles > 3) _tile_zero(3);
    return;
  }
  if constexpr (kTiles > 1) _tile_loadd(0, c.first, c.stride);
  if constexpr (kTiles > 2) _tile_loadd(1, c.first + kTileColumns, c.stride);
  if constexpr (kTiles > 3) _tile_loadd(2, c.first + 2 * kTileColumns, c.stride);
  if constexpr (kTiles == 1) _tile_loadd(0, c.last, c.last_stride);
  if constexpr (kTiles == 2) _tile_loadd(1, c.last, c.last_stride);
  if constexpr (kTiles == 3) _tile_loadd(2, c.last, c.last_stride);
  if constexpr (kTiles == 4) _tile_loadd(3, c.last, c.last_stride);
}

template <int kTiles>
COPPICE_AMX COPPICE_INLINE void store_sums(const SumTiles& c) {
  if constexpr (kTiles > 1) _tile_stored(0, c.first, c.stride);
  if constexpr (kTiles > 2) _tile_stored(1, c.first + kTileColumns, c.stride);
  if constexpr (kTiles > 3) _tile_stored(2, c.first + 2 * kTileColumns, c.stride);
  if constexpr (kTiles == 1) _tile_stored(0, c.last, c.last_stride);
  if constexpr (kTiles == 2) _tile_stored(1, c.last, c.last_stride);
  if constexpr (kTiles == 3) _tile_stored(2, c.last, c.last_stride);
  if constexpr (kTiles == 4) _tile_stored(3, c.last, c.last_stride);
}

// 32 depths.
template <int kTiles>
COPPICE_AMX COPPICE_INLINE void step(const std::byte* a, std::size_t a_stride,
                                     const std::byte* panel) {
  constexpr std::size_t kNext = kTileColumns * kWord;
  _tile_loadd(4, a, a_stride);
  _tile_loadd(5, panel, kPanelRow);
  _tile_dpbf16ps(0, 4, 5);
  if constexpr (kTiles > 1) {
    _tile_loadd(6, panel + kNext, kPanelRow);
    _tile_dpbf16ps(1, 4, 6);
  }
  if constexpr (kTiles > 2) {
    _tile_loadd(7, panel + 2 * kNext, kPanelRow);
    _tile_dpbf16ps(2, 4, 7);
  }
  if constexpr (kTiles > 3) {
    _tile_loadd(5, panel + 3 * kNext, kPanelRow);
    _tile_dpbf16ps(3, 4, 5);
  }
}

// A segment: whole steps, then less than one, whose panel is copied to where zeros follow.
struct Steps {
  const std::byte* rows;
  std::size_t row_bytes;
  const std::byte* panel;
  std::size_t whole;
  std::size_t rest; // words
  const std::byte* padded_panel;
};

template <int kTiles>
COPPICE_AMX void multiply_tiles(std::span<const Steps> segments, std::size_t row,
                                std::size_t height, const SumTiles& c, bool add) {
  load_sums<kTiles>(c, add);
  for (const Steps& s : segments) {
    const std::byte* a = s.rows + row * s.row_bytes;
    const std::byte* panel = s.panel;
    for (std::size_t i = 0; i < s.whole; ++i) {
      step<kTiles>(a, s.row_bytes, panel);
      a += kLine;
      panel += kStepWords * kPanelRow;
    }
    if (s.rest == 0) continue;
    alignas(64) std::byte padded[kTileRows * kLine];
    for (std::size_t r = 0; r < height; ++r) {
      std::byte* to = padded + r * kLine;
      std::memcpy(to, a + r * s.row_bytes, s.rest * kWord);
      std::memset(to + s.rest * kWord, 0, kLine - s.rest * kWord);
    }
    settle(padded);
    step<kTiles>(padded, kLine, s.padded_panel);
  }
  store_sums<kTiles>(c);
}

// Up to 16 rows of c, which points to the first of them.
void multiply_rows(std::span<const Steps> segments, std::size_t row, std::size_t height,
                   std::size_t columns, float* c, std::size_t c_stride, bool add) {
  const std::size_t tiles = (columns + kTileColumns - 1) / kTileColumns;
  const std::size_t before = (tiles - 1) * kTileColumns;
  const std::size_t width = columns - before;
  const bool whole = width == kTileColumns;
  alignas(64) float last[kTileRows * kTileColumns];
  const SumTiles sums{.first = c,
                      .stride = c_stride * sizeof(float),
                      .last = whole ? c + before : last,
                      .last_stride = whole ? c_stride * sizeof(float) : kLine};
  if (!whole && add) {
    std::memset(last, 0, sizeof last);
    for (std::size_t r = 0; r < height; ++r) {
      std::copy_n(c + r * c_stride + before, width, last + r * kTileColumns);
    }
  }
  settle(last);
  switch (tiles) {
    case 1: multiply_tiles<1>(segments, row, height, sums, add); break;
    case 2: multiply_tiles<2>(segments, row, height, sums, add); break;
    case 3: multiply_tiles<3>(segments, row, height, sums, add); break;
    default: multiply_tiles<4>(segments, row, height, sums, add); break;
  }
  settle(last);
  for (std::size_t r = 0; !whole && r < height; ++r) {
    std::copy_n(last + r * kTileColumns, width, c + r * c_stride + before);
  }
}

COPPICE_AMX void multiply(std::size_t rows, std::size_t columns, std::span<const Segment> segments,
                          float* c, std::size_t c_stride, bool add) {
  constexpr std::size_t kAtOnce = 4; // more segments take turns
  alignas(64) std::byte padded[kAtOnce][kStepWords * kPanelRow];
  const std::size_t last_rows = rows % kTileRows;
  do {
    const std::size_t count = std::min(kAtOnce, segments.size());
    Steps steps[kAtOnce];
    for (std::size_t i = 0; i < count; ++i) {
      const Segment& s = segments[i];
      const std::size_t words = (s.depth + 1) / 2;
      steps[i] = {s.rows, s.stride * 2, s.panel, words / kStepWords, words % kStepWords, padded[i]};
      const std::byte* from = s.panel + steps[i].whole * kStepWords * kPanelRow;
      std::memcpy(padded[i], from, steps[i].rest * kPanelRow);
      std::memset(padded[i] + steps[i].rest * kPanelRow, 0,
                  steps[i].rest == 0 ? 0 : (kStepWords - steps[i].rest) * kPanelRow);
    }
    settle(padded);
    const std::span<const Steps> some(steps, count);
    if (rows >= kTileRows) configure(kTileRows);
    for (std::size_t row = 0; row + kTileRows <= rows; row += kTileRows) {
      multiply_rows(some, row, kTileRows, columns, c + row * c_stride, c_stride, add);
    }
    if (last_rows != 0) {
      const std::size_t row = rows - last_rows;
      configure(last_rows);
      multiply_rows(some, row, last_rows, columns, c + row * c_stride, c_stride, add);
    }
    segments = segments.subspan(count);
    add = true;
  } while (!segments.empty());
  _tile_release();
}

} // namespace

namespace levels {
const ProductKernels kAmxBfloat16 = [] {
  ProductKernels kernels = kAvx512Bfloat16;
  kernels.multiply = multiply;
  return kernels;
}();
} // namespace levels

} // namespace coppice::native
#endif
