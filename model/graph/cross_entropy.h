// SPDX-License-Identifier: Apache-2.0
// The head and its loss, a chunk of positions at a time: the logits of a whole sequence are never
// held.
//
// The head is frozen, so the gradient of the hidden states is computed in the same chunk as the
// loss, and nothing is kept for a backward pass.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "model/graph/quantized_matrix.h"
#include "model/graph/worker_pool.h"

namespace coppice::graph {

// Positions whose logits are held at once.
inline constexpr std::int64_t kLossChunk = 128;

// From normed hidden states to logits.
struct OutputHead {
  QuantizedMatrix weights; // (V, d)
  float cap = 0;           // logits become cap tanh(logit / cap); 0: as they are
};
// (n, d) to (n, V).
void compute_logits(WorkerPool& pool, const MatrixView& hidden, const OutputHead& head,
                    const MatrixView& logits);

struct CrossEntropy {
  std::vector<double> nats;          // -log p(target) of each row
  std::vector<std::uint8_t> correct; // 1 where Score::correct counts the row
  at::Tensor dhidden; // (n, d): gradient of sum(weight * nats); undefined without weights
};

// hidden (n, d) after the final norm; targets and weights (n), weights may be empty: loss only.
CrossEntropy cross_entropy(WorkerPool& pool, const at::Tensor& hidden, const OutputHead& head,
                           std::span<const std::int32_t> targets, std::span<const float> weights);

} // namespace coppice::graph
