// SPDX-License-Identifier: Apache-2.0
#include "model/graph/quantized_matrix.h"

namespace coppice::graph {

QuantizedMatrix::QuantizedMatrix(const GgufTensor& tensor)
    : data_(tensor.data.data()),
      rows_(static_cast<std::int64_t>(tensor.dims[1])),
      columns_(static_cast<std::int64_t>(tensor.dims[0])),
      column_step_(block_type_info(tensor.type).block_elements),
      row_bytes_(tensor.data.size() / tensor.dims[1]),
      step_bytes_(block_type_info(tensor.type).block_bytes),
      dequantize_row_(dequantizer(tensor.type)) {}

void QuantizedMatrix::dequantize(std::int64_t row, std::int64_t column,
                                 const MatrixView& out) const {
  const std::uint8_t* from = data_ + static_cast<std::size_t>(row) * row_bytes_ +
                             static_cast<std::size_t>(column / column_step_) * step_bytes_;
  for (std::int64_t i = 0; i < out.rows; ++i, from += row_bytes_) {
    dequantize_row_(from, static_cast<std::size_t>(out.columns), out.data + i * out.stride);
  }
}

} // namespace coppice::graph
