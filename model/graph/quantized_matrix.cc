// SPDX-License-Identifier: Apache-2.0
#include "model/graph/quantized_matrix.h"

#include "model/graph/kernels.h"
#include "model/quantized_blocks.h"

namespace coppice::graph {

QuantizedMatrix::QuantizedMatrix(const GgufTensor& tensor)
    : data_(tensor.data.data()),
      rows_(static_cast<std::int64_t>(tensor.dims[1])),
      columns_(static_cast<std::int64_t>(tensor.dims[0])),
      column_step_(block_type_info(tensor.type).block_elements),
      row_bytes_(tensor.data.size() / tensor.dims[1]),
      step_bytes_(block_type_info(tensor.type).block_bytes),
      type_(tensor.type) {}

void QuantizedMatrix::dequantize(std::int64_t row, std::int64_t column,
                                 const MatrixView& out) const {
  const auto width = static_cast<std::size_t>(out.columns);
  const std::size_t blocks = width / static_cast<std::size_t>(column_step_);
  const std::uint8_t* from = data_ + static_cast<std::size_t>(row) * row_bytes_ +
                             static_cast<std::size_t>(column / column_step_) * step_bytes_;
  for (std::int64_t i = 0; i < out.rows; ++i, from += row_bytes_) {
    float* to = out.data + i * out.stride;
    switch (type_) {
      case BlockType::kQ4_0: dequantize_q4_0(from, width, to); break;
      case BlockType::kQ8_0: dequantize_q8_0(from, width, to); break;
      default: dequantize_row(type_, {from, blocks * step_bytes_}, {to, width});
    }
  }
}

} // namespace coppice::graph
