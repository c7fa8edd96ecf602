// SPDX-License-Identifier: Apache-2.0
// The layers between the linear ones, each with its backward pass. All tensors (T, width) float32.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <span>
#include <vector>

#include "model/base_model.h"
#include "model/graph/quantized_matrix.h"
#include "model/graph/worker_pool.h"

namespace coppice::graph {

// The tokens' rows of the embedding, dequantized. Not differentiable.
at::Tensor embed(WorkerPool& pool, const QuantizedMatrix& embedding,
                 std::span<const std::int32_t> tokens);

// See row_kernels.h: rms_norm_row. `weight` (width) outlives the backward pass.
at::Tensor rms_norm(WorkerPool& pool, const at::Tensor& x, std::span<const float> weight,
                    float epsilon);

// The same for each part of x's rows that is as wide as `weight`: the heads of q or k.
at::Tensor rms_norm_heads(WorkerPool& pool, const at::Tensor& x, std::span<const float> weight,
                          float epsilon);

// activation(gate) * up
at::Tensor gated(WorkerPool& pool, Activation activation, const at::Tensor& gate,
                 const at::Tensor& up);

// The angles of rotary embeddings for positions from 0 on, computed in double and kept as float32.
class RopeTable {
 public:
  // The i-th of width / 2 pairs turns by position * base^(-2i / width) / divisors[i]; no divisors:
  // all 1. See RopeConfig.
  RopeTable(std::int64_t width, const RopeConfig& config, std::span<const float> divisors);
  void ensure(std::int64_t positions);
  std::int64_t pairs() const { return static_cast<std::int64_t>(frequencies_.size()); }
  // Both times the magnitude.
  const float* cosines(std::int64_t position) const { return &cosines_[index(position)]; }
  const float* sines(std::int64_t position) const { return &sines_[index(position)]; }

 private:
  std::size_t index(std::int64_t position) const {
    return static_cast<std::size_t>(position) * frequencies_.size();
  }
  double magnitude_;
  std::vector<double> frequencies_;
  std::vector<float> cosines_; // (positions, pairs)
  std::vector<float> sines_;
};

// Where a token stands.
struct TokenPlace {
  std::int64_t position = 0; // within its text
  std::int64_t length = 0;   // of its text, as far as it is known
};

// The angles of one kind of layer: texts of more than `short_context` tokens take the long table.
struct Rope {
  RopeTable usual;
  std::optional<RopeTable> longer;
  std::int64_t short_context = 0;
  RopeOrder order = RopeOrder::kAdjacentPairs;
  std::int64_t head_width = 0;

  const RopeTable& table(const TokenPlace& place) const {
    return longer && place.length > short_context ? *longer : usual;
  }
  void ensure(std::int64_t positions);
};

// Each head of each row turned by its token's place. `rope` covers them; both outlive the backward
// pass.
at::Tensor rotate(WorkerPool& pool, const at::Tensor& x, const Rope& rope,
                  std::span<const TokenPlace> places);

} // namespace coppice::graph
