// SPDX-License-Identifier: Apache-2.0
// A frozen weight matrix as the base file holds it, and its way into panels: blocks are dequantized
// some rows at a time, never the matrix.
#pragma once

#include "formats/gguf_reader.h"
#include "model/native/buffer.h"
#include "model/native/product_kernels.h"
#include "model/quantized_blocks.h"

namespace coppice::native {

// A view into the mapped file, of all rows of a tensor or of some of them; as long-lived as the
// file. (out, in), y = W x. Thread-safe.
class WeightMatrix {
 public:
  WeightMatrix() = default;
  explicit WeightMatrix(const GgufTensor& tensor); // 2-D, checked by BaseModel::open

  std::size_t rows() const { return rows_; }
  std::size_t columns() const { return columns_; }
  BlockType type() const { return type_; }
  std::size_t row_bytes() const { return row_bytes_; }
  const std::uint8_t* row(std::size_t i) const { return data_ + i * row_bytes_; }
  // Column ranges begin at multiples of this: the weights of a block.
  std::size_t column_step() const { return column_step_; }
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

 private:
  const std::uint8_t* data_ = nullptr;
  BlockType type_ = BlockType::kF32;
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
  std::size_t column_step_ = 1;
  std::size_t row_bytes_ = 0;
  std::size_t step_bytes_ = 0; // of a block
  DequantizeRow* dequantize_row_ = nullptr;
};

} // namespace coppice::native
