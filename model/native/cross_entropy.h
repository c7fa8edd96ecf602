// SPDX-License-Identifier: Apache-2.0
// The loss over the vocabulary, fused with the output product: some rows of logits at a time, and
// their gradient's way back through the head at once, so that (T, V) is never held.
#pragma once

#include <span>

#include "model/native/linear.h"
#include "model/tokenizer.h"

namespace coppice::native {

struct OutputHead {
  WeightMatrix weight; // (V, d)
  float cap = 0;       // logits = cap tanh(z / cap); 0: none
};

// Logits (rows, V) of normalized hidden states (rows, d).
void output_logits(WorkerPool& pool, const ProductKernels& kernels, const OutputHead& head,
                   const ElementRows& hidden, const FloatRows& logits);

// Nats of each row's target; `hidden` are elements of the precise kernels. With `weights`, d_hidden
// (rows, d) becomes the gradient of the sum of weight * nats.
struct CrossEntropy {
  ElementRows hidden; // (rows, d)
  std::span<const TokenId> targets;
  std::span<const float> weights; // (rows), or empty
  std::span<double> nats;
  std::span<std::uint8_t> correct; // 1 where Score::correct counts the row; or empty
  FloatRows d_hidden;              // with weights
};
void cross_entropy(WorkerPool& pool, const EngineKernels& kernels, const OutputHead& head,
                   const CrossEntropy& work, Buffer& memory);
// What it takes in `memory` for so many rows.
std::uint64_t cross_entropy_bytes(std::size_t vocabulary, std::size_t rows);

} // namespace coppice::native
