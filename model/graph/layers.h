// SPDX-License-Identifier: Apache-2.0
// The layers between the linear ones, each with its backward pass. All tensors (T, width) float32.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "model/graph/quantized_matrix.h"
#include "model/graph/worker_pool.h"

namespace coppice::graph {

// The tokens' rows of the embedding, dequantized. Not differentiable.
at::Tensor embed(WorkerPool& pool, const QuantizedMatrix& embedding,
                 std::span<const std::int32_t> tokens);

// See row_kernels.h: rms_norm_row. `weight` (width) outlives the backward pass.
at::Tensor rms_norm(WorkerPool& pool, const at::Tensor& x, std::span<const float> weight,
                    float epsilon);

// silu(gate) * up
at::Tensor swiglu(WorkerPool& pool, const at::Tensor& gate, const at::Tensor& up);

// The angles of rotary embeddings for positions from 0 on, computed in double and kept as float32.
class RopeTable {
 public:
  // The i-th pair turns by position * base^(-2i / width) / divisors[i]; no divisors: all 1.
  RopeTable(std::int64_t width, double base, std::span<const float> divisors);
  void ensure(std::int64_t positions);
  std::int64_t pairs() const { return static_cast<std::int64_t>(frequencies_.size()); }
  const float* cosines(std::int64_t position) const { return &cosines_[index(position)]; }
  const float* sines(std::int64_t position) const { return &sines_[index(position)]; }

 private:
  std::size_t index(std::int64_t position) const {
    return static_cast<std::size_t>(position) * frequencies_.size();
  }
  std::vector<double> frequencies_;
  std::vector<float> cosines_; // (positions, pairs)
  std::vector<float> sines_;
};

// Each head of each row turned by its token's position. `table` covers them; both outlive the
// backward pass.
at::Tensor rotate(WorkerPool& pool, const at::Tensor& x, const RopeTable& table,
                  std::span<const std::int64_t> positions, std::int64_t head_width);

} // namespace coppice::graph
