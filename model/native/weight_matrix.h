// SPDX-License-Identifier: Apache-2.0
// A frozen weight matrix as the base file holds it, and its way into panels: blocks are dequantized
// some rows at a time, never the matrix, unless its panels are to be kept.
#pragma once

#include "model/native/buffer.h"
#include "model/native/kept_panels.h"
#include "model/native/product_kernels.h"
#include "model/weight_rows.h"

namespace coppice::native {

// A view into the mapped file, of all rows of a tensor or of some of them; as long-lived as the
// file. (out, in), y = W x. Thread-safe.
class WeightMatrix {
 public:
  WeightMatrix() = default;
  explicit WeightMatrix(const WeightRows& view) : view_(view), rows_(view.rows()) {}

  std::size_t rows() const { return rows_; }
  std::size_t columns() const { return view_.columns(); }
  BlockType type() const { return view_.type(); } // kI8 if NF4
  float scale() const { return view_.scale(); } // of the blocks; dequantize() has multiplied it in
  std::size_t row_bytes() const { return view_.row_bytes(); }
  const std::uint8_t* row(std::size_t i) const { return view_.row(first_ + i); }
  // Column ranges begin at multiples of this: the weights of a block.
  std::size_t column_step() const { return view_.column_step(); }
  WeightMatrix row_range(std::size_t begin, std::size_t count) const;

  // Columns [column, column + n) of one row.
  void dequantize(std::size_t row, std::size_t column, std::size_t n, float* out) const;

  // A panel whose columns are rows [row, row + count) of W, over columns [column, column + depth):
  // for y = x W^T. count <= 64.
  void pack_for_forward(const ProductKernels& kernels, std::size_t row, std::size_t count,
                        std::size_t column, std::size_t depth, Scratch& scratch,
                        std::byte* panel) const;
  // Panels of W's columns [column, column + columns) in steps of 64, over rows [row, row + depth):
  // for dx = dy W. One panel after the other.
  void pack_for_backward(const ProductKernels& kernels, std::size_t row, std::size_t depth,
                         std::size_t column, std::size_t columns, Scratch& scratch,
                         std::byte* panels) const;

  // Both are kept from here on, in this view and its row ranges.
  void keep_panels(const EngineKernels& kernels) { kept_ = kept_panels(kernels, *this); }
  // What pack_for_forward() would make, or null where it isn't kept.
  const std::byte* kept_for_forward(const ProductKernels& kernels, std::size_t row) const;
  // The panel of 64 columns from `column` on, over all rows; likewise.
  const std::byte* kept_for_backward(const ProductKernels& kernels, std::size_t column) const;

 private:
  WeightRows view_;
  std::size_t first_ = 0; // of the view's rows
  std::size_t rows_ = 0;
  std::shared_ptr<const KeptPanels> kept_;
};

} // namespace coppice::native
