// SPDX-License-Identifier: Apache-2.0
// A tile of attention scores; private to attention*.cc.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/native/attention.h"
#include "model/row_kernels.h"

namespace coppice::native {

inline constexpr std::size_t kQueryTile = 48;

// Queries [begin, begin + count) of a sequence, and the keys [first, last) that they may see;
// `first` is a multiple of a panel's columns.
struct QueryTile {
  QueryTile(const AttentionShape& shape, const AttentionSequence& sequence, std::size_t at)
      : begin(at),
        count(std::min(kQueryTile, sequence.q.rows - at)),
        last(sequence.offset + at + count) {
    const std::size_t earliest = sequence.offset + at + 1;
    if (shape.window > 0 && earliest > shape.window) {
      first = (earliest - shape.window) / kPanelColumns * kPanelColumns;
    }
  }
  std::size_t begin;
  std::size_t count;
  std::size_t first = 0;
  std::size_t last;
  std::size_t keys() const { return last - first; }
};

// Some rows of a head as elements in a slot of `scratch`.
inline ElementRows head_elements(const ProductKernels& kernels, const FloatRows& rows, Slot slot,
                                 Scratch& scratch) {
  const std::size_t stride = kernels.padded(rows.columns);
  const ElementRows made{.data = scratch.bytes(slot, rows.rows * stride * kernels.element_bytes),
                         .rows = rows.rows,
                         .columns = rows.columns,
                         .stride = stride,
                         .bytes = kernels.element_bytes};
  for (std::size_t i = 0; i < rows.rows; ++i) {
    kernels.from_float(rows.row(i), rows.columns, made.at(i));
    if (kernels.depth_step == 2 && stride > rows.columns) {
      std::memset(made.at(i, rows.columns), 0, kernels.element_bytes);
    }
  }
  return made;
}

// Panels of 64 rows each, transposed: for products with the rows of a (T, width) matrix.
inline void pack_keys(const ProductKernels& kernels, const ElementRows& rows, std::byte* panels) {
  for (std::size_t at = 0; at < rows.rows; at += kPanelColumns) {
    kernels.pack_transposed(rows.at(at), rows.stride, std::min(kPanelColumns, rows.rows - at),
                            rows.columns,
                            panels + at / kPanelColumns * kernels.panel_bytes(rows.columns));
  }
}

inline std::size_t key_panels_bytes(const ProductKernels& kernels, const ElementRows& rows) {
  return (rows.rows + kPanelColumns - 1) / kPanelColumns * kernels.panel_bytes(rows.columns);
}

// Panels of 64 columns each, as they stand: for products that sum over rows.
inline void pack_values(const ProductKernels& kernels, const ElementRows& rows, std::byte* panels) {
  for (std::size_t at = 0; at < rows.columns; at += kPanelColumns) {
    kernels.pack_rows(rows.at(0, at), rows.stride, rows.rows,
                      std::min(kPanelColumns, rows.columns - at),
                      panels + at / kPanelColumns * kernels.panel_bytes(rows.rows));
  }
}

inline std::size_t value_panels_bytes(const ProductKernels& kernels, const ElementRows& rows) {
  return (rows.columns + kPanelColumns - 1) / kPanelColumns * kernels.panel_bytes(rows.rows);
}

// out (tile, keys) = the tile's queries times the packed keys.
inline void tile_products(const ProductKernels& kernels, const ElementRows& queries,
                          const QueryTile& tile, const std::byte* key_panels, float* out,
                          std::size_t stride) {
  for (std::size_t key = tile.first; key < tile.last; key += kPanelColumns) {
    const Segment segment{
        .rows = queries.data,
        .stride = queries.stride,
        .depth = queries.columns,
        .panel = key_panels + key / kPanelColumns * kernels.panel_bytes(queries.columns)};
    kernels.multiply(tile.count, std::min(kPanelColumns, tile.last - key), {&segment, 1},
                     out + key - tile.first, stride, false);
  }
}

// The keys that query `row` of the tile sees, relative to the tile's first: [begin, end).
struct Visible {
  Visible(const AttentionShape& shape, const AttentionSequence& sequence, const QueryTile& tile,
          std::size_t row) {
    const std::size_t position = sequence.offset + tile.begin + row;
    end = position + 1 - tile.first;
    const std::size_t earliest =
        shape.window > 0 && position + 1 > shape.window ? position + 1 - shape.window : 0;
    begin = earliest > tile.first ? earliest - tile.first : 0;
  }
  std::size_t begin = 0;
  std::size_t end = 0;
};

} // namespace coppice::native
