// SPDX-License-Identifier: Apache-2.0
// A frozen weight matrix as the base file holds it: rows of blocks, dequantized on demand.
#pragma once

#include "formats/gguf_reader.h"
#include "model/graph/product.h"
#include "model/quantized_blocks.h"

namespace coppice::graph {

// A view into the mapped file; as long-lived as the file. Thread-safe.
class QuantizedMatrix {
 public:
  QuantizedMatrix() = default;
  explicit QuantizedMatrix(const GgufTensor& tensor); // 2-D, checked by BaseModel::open

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  // Column ranges begin at a multiple of this: the weights of a block.
  std::int64_t column_step() const { return column_step_; }

  // Rows [row, row + out.rows) and columns [column, column + out.columns) to `out`.
  void dequantize(std::int64_t row, std::int64_t column, const MatrixView& out) const;

 private:
  const std::uint8_t* data_ = nullptr;
  std::int64_t rows_ = 0;
  std::int64_t columns_ = 0;
  std::int64_t column_step_ = 1;
  std::size_t row_bytes_ = 0;
  std::size_t step_bytes_ = 0; // of a block
  DequantizeRow* dequantize_row_ = nullptr;
};

} // namespace coppice::graph
