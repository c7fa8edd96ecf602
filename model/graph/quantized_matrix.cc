// SPDX-License-Identifier: Apache-2.0
#include "model/graph/quantized_matrix.h"

namespace coppice::graph {

void QuantizedMatrix::dequantize(std::int64_t row, std::int64_t column,
                                 const MatrixView& out) const {
  for (std::int64_t i = 0; i < out.rows; ++i) {
    rows_.dequantize(static_cast<std::size_t>(row + i), static_cast<std::size_t>(column),
                     {out.data + i * out.stride, static_cast<std::size_t>(out.columns)});
  }
}

} // namespace coppice::graph
