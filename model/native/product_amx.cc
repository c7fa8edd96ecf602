// SPDX-License-Identifier: Apache-2.0
// AMX: bfloat16 tiles of 16 rows by 16 columns, four of them side by side over 32 depths a step.
//
// Note [Steps]
// A panel's pairs lie as a tile of the right operand takes them: 16 pairs of depths of 16 columns,
// 256 bytes from one to the next. TDPBF16PS sums the 32 products of an element apart and then adds
// them to it, so every row goes through tiles, however few are left: a tile of fewer rows computes
// them alike. The last depths of a segment, where they make no whole step, are filled up with
// zeros; those add nothing. Subnormals count as zero, as in VDPBF16PS. Split elements, which come
// in whole steps, take three such products a step.
#include "model/native/product_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "model/native/product_split.h"

#define COPPICE_AMX __attribute__((target("amx-tile,amx-bf16,avx2")))
#define COPPICE_INLINE inline __attribute__((always_inline))

namespace coppice::native {
namespace {

constexpr std::size_t kTileRows = 16;
constexpr std::size_t kTileColumns = 16;
constexpr std::size_t kLine = 64; // bytes of a tile's row
constexpr std::size_t kWord = 4;  // bytes of a pair, and of a sum
constexpr std::size_t kStepWords = 16;
constexpr std::size_t kStepDepth = 2 * kStepWords;
constexpr std::size_t kPanelRow = kPanelColumns * kWord;
constexpr std::size_t kTurnBytes = std::size_t{40} << 10U; // of a panel, at once
constexpr std::size_t kRowsOfTurns = 128;                  // at most

// What a step of a row and of a panel are, in bytes, and which tile is the panel's first.
struct Bfloat16Steps {
  static constexpr std::size_t kRow = kLine;
  static constexpr std::size_t kPanel = kStepWords * kPanelRow;
  static constexpr std::size_t kPanelTile = 5;
};
struct SplitSteps {
  static constexpr std::size_t kRow = 2 * kSplitHalfRow;
  static constexpr std::size_t kPanel = 2 * kSplitHalfPanel;
  static constexpr std::size_t kPanelTile = 6;
};

// The operand of LDTILECFG. Tiles 0 to 3 are sums, 4 is the rows' (5 too, of split ones), the
// others are the panel's.
struct alignas(64) TileConfig {
  TileConfig(std::size_t height, std::size_t panel_tile) {
    for (std::size_t tile = 0; tile < 8; ++tile) {
      rows[tile] = static_cast<std::uint8_t>(tile < panel_tile ? height : kTileRows);
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

COPPICE_AMX void configure(std::size_t height, std::size_t panel_tile) {
  TileConfig config(height, panel_tile);
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

// 16 columns of 32 split depths.
#define COPPICE_SPLIT_PRODUCTS(tile, from)             \
  _tile_loadd(6, (from), kPanelRow);                   \
  _tile_dpbf16ps(tile, 4, 6);                          \
  _tile_dpbf16ps(tile, 5, 6);                          \
  _tile_loadd(7, (from) + kSplitHalfPanel, kPanelRow); \
  _tile_dpbf16ps(tile, 4, 7)

// 32 depths.
template <int kTiles>
COPPICE_AMX COPPICE_INLINE void step(SplitSteps, const std::byte* a, std::size_t a_stride,
                                     const std::byte* panel) {
  constexpr std::size_t kNext = kTileColumns * kWord;
  _tile_loadd(4, a, a_stride);
  _tile_loadd(5, a + kSplitHalfRow, a_stride);
  COPPICE_SPLIT_PRODUCTS(0, panel);
  if constexpr (kTiles > 1) {
    COPPICE_SPLIT_PRODUCTS(1, panel + kNext);
  }
  if constexpr (kTiles > 2) {
    COPPICE_SPLIT_PRODUCTS(2, panel + 2 * kNext);
  }
  if constexpr (kTiles > 3) {
    COPPICE_SPLIT_PRODUCTS(3, panel + 3 * kNext);
  }
}
template <int kTiles>
COPPICE_AMX COPPICE_INLINE void step(Bfloat16Steps, const std::byte* a, std::size_t a_stride,
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
  // Of what lies behind the panel, for each step and 16 rows: all of it comes while the rows pass.
  std::size_t lines_ahead = 0;
};

Steps steps_of(Bfloat16Steps, const Segment& s, const std::byte* padded) {
  const std::size_t words = (s.depth + 1) / 2;
  return {s.rows, s.stride * 2, s.panel, words / kStepWords, words % kStepWords, padded, 0};
}
Steps steps_of(SplitSteps, const Segment& s, const std::byte*) {
  return {s.rows, s.stride * sizeof(float), s.panel, split_steps(s.depth), 0, nullptr, 0};
}

template <typename Kind, int kTiles>
COPPICE_AMX void multiply_tiles(std::span<const Steps> segments, std::size_t row,
                                std::size_t height, const SumTiles& c, bool add) {
  load_sums<kTiles>(c, add);
  for (const Steps& s : segments) {
    const std::byte* a = s.rows + row * s.row_bytes;
    const std::byte* panel = s.panel;
    for (std::size_t i = 0; i < s.whole; ++i) {
      for (std::size_t line = 0; line < s.lines_ahead; ++line) {
        const std::size_t at = (row / kTileRows * s.lines_ahead + line) * kLine;
        _mm_prefetch(panel + s.whole * Kind::kPanel + at, _MM_HINT_T1);
      }
      step<kTiles>(Kind(), a, s.row_bytes, panel);
      a += Kind::kRow;
      panel += Kind::kPanel;
    }
    if (s.rest == 0) continue;
    alignas(64) std::byte padded[kTileRows * kLine];
    for (std::size_t r = 0; r < height; ++r) {
      std::byte* to = padded + r * kLine;
      std::memcpy(to, a + r * s.row_bytes, s.rest * kWord);
      std::memset(to + s.rest * kWord, 0, kLine - s.rest * kWord);
    }
    settle(padded);
    step<kTiles>(Bfloat16Steps(), padded, kLine, s.padded_panel);
  }
  store_sums<kTiles>(c);
}

// Up to 16 rows of c, which points to the first of them.
template <typename Kind>
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
  settle(c);
  settle(last);
  switch (tiles) {
    case 1: multiply_tiles<Kind, 1>(segments, row, height, sums, add); break;
    case 2: multiply_tiles<Kind, 2>(segments, row, height, sums, add); break;
    case 3: multiply_tiles<Kind, 3>(segments, row, height, sums, add); break;
    default: multiply_tiles<Kind, 4>(segments, row, height, sums, add); break;
  }
  settle(last);
  for (std::size_t r = 0; !whole && r < height; ++r) {
    std::copy_n(last + r * kTileColumns, width, c + r * c_stride + before);
  }
}

// Parts of segments that all rows meet before the next: little enough of the panel to stay in the
// first-level cache meanwhile. Sums wait in memory between turns.
struct Turn {
  static constexpr std::size_t kMostParts = 4;
  std::size_t steps = 0;
  std::size_t count = 0;
  Steps parts[kMostParts];
  alignas(64) std::byte padded[kMostParts][kStepWords * kPanelRow];

  template <typename Kind>
  void add(Kind kind, const Segment& s, std::size_t rows) {
    Steps& part = parts[count];
    part = steps_of(kind, s, padded[count]);
    const std::size_t tiles = (rows + kTileRows - 1) / kTileRows;
    if (s.followed) part.lines_ahead = (Kind::kPanel / kLine + tiles - 1) / tiles;
    steps += part.whole + (part.rest > 0 ? 1 : 0);
    std::byte* const pad = padded[count++];
    if (part.rest == 0) return;
    const std::size_t used = part.rest * kPanelRow;
    std::memcpy(pad, s.panel + part.whole * Kind::kPanel, used);
    std::memset(pad + used, 0, kStepWords * kPanelRow - used);
    settle(pad);
  }
};

template <typename Kind>
COPPICE_AMX void multiply_turn(const Turn& turn, std::size_t rows, std::size_t columns, float* c,
                               std::size_t c_stride, bool add) {
  const std::span<const Steps> parts(turn.parts, turn.count);
  for (std::size_t row = 0; row < rows; row += kTileRows) {
    const std::size_t height = std::min(kTileRows, rows - row);
    if (row == 0 || height < kTileRows) configure(height, Kind::kPanelTile);
    multiply_rows<Kind>(parts, row, height, columns, c + row * c_stride, c_stride, add);
  }
}

// Steps of a turn: turns are few and about as long. Many rows are worth more than the panel: they
// are read once, in one turn.
template <typename Kind>
std::size_t steps_of_turn(std::span<const Segment> segments, std::size_t rows) {
  constexpr std::size_t kMost = kTurnBytes / Kind::kPanel;
  std::size_t steps = 0;
  for (const Segment& s : segments) steps += (s.depth + kStepDepth - 1) / kStepDepth;
  const std::size_t turns = rows > kRowsOfTurns ? 1 : (steps + kMost - 1) / kMost;
  return std::max<std::size_t>(1, turns > 1 ? (steps + turns - 1) / turns : steps);
}

template <typename Kind>
COPPICE_AMX void multiply(std::size_t rows, std::size_t columns, std::span<const Segment> segments,
                          float* c, std::size_t c_stride, bool add) {
  const std::size_t steps = steps_of_turn<Kind>(segments, rows);
  Turn turn;
  const auto take = [&] {
    multiply_turn<Kind>(turn, rows, columns, c, c_stride, add);
    turn.steps = turn.count = 0;
    add = true;
  };
  for (Segment left : segments) {
    while (left.depth > 0) {
      if (turn.steps == steps || turn.count == Turn::kMostParts) take();
      Segment part = left;
      part.depth = std::min(left.depth, (steps - turn.steps) * kStepDepth);
      turn.add(Kind(), part, rows);
      left.depth -= part.depth;
      left.rows += part.depth / kStepDepth * Kind::kRow;
      left.panel += part.depth / kStepDepth * Kind::kPanel;
    }
  }
  take();
  _tile_release();
}

} // namespace

namespace levels {
const ProductKernels kAmxBfloat16 = [] {
  ProductKernels kernels = kAvx512Bfloat16;
  kernels.whole_step = kStepDepth;
  kernels.multiply = multiply<Bfloat16Steps>;
  return kernels;
}();
const ProductKernels kAmxSplit = [] {
  ProductKernels kernels = kAvx512Split;
  kernels.multiply = multiply<SplitSteps>;
  return kernels;
}();
} // namespace levels

} // namespace coppice::native
#endif
