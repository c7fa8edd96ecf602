// SPDX-License-Identifier: Apache-2.0
#include "model/native/weight_matrix.h"

#include <algorithm>

namespace coppice::native {
namespace {

// Floats dequantized at once: they, and the elements made of them, stay in the first-level cache.
constexpr std::size_t kChunk = 1024;

} // namespace

WeightMatrix WeightMatrix::row_range(std::size_t begin, std::size_t count) const {
  COPPICE_CHECK(begin + count <= rows_);
  WeightMatrix part = *this;
  part.first_ += begin;
  part.rows_ = count;
  return part;
}

void WeightMatrix::dequantize(std::size_t row, std::size_t column, std::size_t n,
                              float* out) const {
  view_.dequantize(first_ + row, column, {out, n});
}

const std::byte* WeightMatrix::kept_for_forward(const ProductKernels& kernels,
                                                std::size_t row) const {
  const std::size_t at = first_ + row;
  const bool fits = kept_ && kept_->forward_kernels == &kernels && at % kPanelColumns == 0;
  return fits ? kept_->forward_of(at, columns()) : nullptr;
}

const std::byte* WeightMatrix::kept_for_backward(const ProductKernels& kernels,
                                                 std::size_t column) const {
  const bool fits = kept_ && kept_->backward_kernels == &kernels && rows_ == view_.rows();
  return fits ? kept_->backward_of(column, rows_) : nullptr;
}

void WeightMatrix::pack_for_forward(const ProductKernels& kernels, std::size_t row,
                                    std::size_t count, std::size_t column, std::size_t depth,
                                    Scratch& scratch, std::byte* panel) const {
  float* floats = scratch.floats(Slot::kWeights, kChunk);
  for (std::size_t at = 0; at < depth; at += kChunk) {
    const std::size_t n = std::min(kChunk, depth - at);
    const std::size_t stride = kernels.padded(n);
    std::byte* rows = scratch.bytes(Slot::kRows, kPanelColumns * stride * kernels.element_bytes);
    for (std::size_t i = 0; i < count; ++i) {
      dequantize(row + i, column + at, n, floats);
      kernels.from_float(floats, n, rows + i * stride * kernels.element_bytes);
    }
    kernels.pack_transposed(rows, stride, count, n, panel + kernels.panel_bytes(at));
  }
}

void WeightMatrix::pack_for_backward(const ProductKernels& kernels, std::size_t row,
                                     std::size_t depth, std::size_t column, std::size_t columns,
                                     Scratch& scratch, std::byte* panels) const {
  // Some rows at a time, an even number, so that they are packed while they are in the cache.
  const std::size_t height = std::max<std::size_t>(2, kChunk / columns / 2 * 2) * 8;
  float* floats = scratch.floats(Slot::kWeights, columns);
  std::byte* rows = scratch.bytes(Slot::kRows, height * columns * kernels.element_bytes);
  const std::size_t panel_bytes = kernels.panel_bytes(depth);
  for (std::size_t at = 0; at < depth; at += height) {
    const std::size_t n = std::min(height, depth - at);
    for (std::size_t i = 0; i < n; ++i) {
      dequantize(row + at + i, column, columns, floats);
      kernels.from_float(floats, columns, rows + i * columns * kernels.element_bytes);
    }
    for (std::size_t part = 0; part < columns; part += kPanelColumns) {
      kernels.pack_rows(rows + part * kernels.element_bytes, columns, n,
                        std::min(kPanelColumns, columns - part),
                        panels + part / kPanelColumns * panel_bytes + kernels.panel_bytes(at));
    }
  }
}

} // namespace coppice::native
