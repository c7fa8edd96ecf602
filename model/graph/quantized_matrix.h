// SPDX-License-Identifier: Apache-2.0
// A frozen weight matrix as the base file holds it: rows of blocks, dequantized on demand.
#pragma once

#include "model/graph/product.h"
#include "model/weight_rows.h"

namespace coppice::graph {

// A view into the mapped file; as long-lived as the file. Thread-safe.
class QuantizedMatrix {
 public:
  QuantizedMatrix() = default;
  explicit QuantizedMatrix(const WeightRows& rows) : rows_(rows) {}

  std::int64_t rows() const { return static_cast<std::int64_t>(rows_.rows()); }
  std::int64_t columns() const { return static_cast<std::int64_t>(rows_.columns()); }
  // Column ranges begin at a multiple of this: the weights of a block.
  std::int64_t column_step() const { return static_cast<std::int64_t>(rows_.column_step()); }

  // Rows [row, row + out.rows) and columns [column, column + out.columns) to `out`.
  void dequantize(std::int64_t row, std::int64_t column, const MatrixView& out) const;

 private:
  WeightRows rows_;
};

} // namespace coppice::graph
