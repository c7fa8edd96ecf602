// SPDX-License-Identifier: Apache-2.0
// Matrix products over plain memory, on the calling thread alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace coppice::graph {

// A row-major (rows, columns) window into memory that somebody else owns.
struct MatrixView {
  float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0; // floats from one row to the next

  static MatrixView of(const at::Tensor& tensor); // 2-D, with contiguous rows
  // For products only: an input is never written.
  static MatrixView of(const float* data, std::int64_t rows, std::int64_t columns) {
    return {const_cast<float*>(data), rows, columns, columns};
  }
  MatrixView row_range(std::int64_t begin, std::int64_t end) const {
    return {data + begin * stride, end - begin, columns, stride};
  }
  MatrixView column_range(std::int64_t begin, std::int64_t end) const {
    return {data + begin, rows, end - begin, stride};
  }
};

enum class Into { kReplace, kAdd };

// out = scale * a b            (m, k) (k, n)
void multiply(const MatrixView& a, const MatrixView& b, const MatrixView& out,
              Into into = Into::kReplace, float scale = 1.0F);
// out = scale * a b^T          (m, k) (n, k)
void multiply_transposed(const MatrixView& a, const MatrixView& b, const MatrixView& out,
                         Into into = Into::kReplace, float scale = 1.0F);
// out = scale * a^T b          (k, m) (k, n)
void transposed_multiply(const MatrixView& a, const MatrixView& b, const MatrixView& out,
                         Into into = Into::kReplace, float scale = 1.0F);

} // namespace coppice::graph
