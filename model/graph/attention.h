// SPDX-License-Identifier: Apache-2.0
// Causal attention with grouped queries (Ainslie et al. 2023), a block of queries at a time.
//
// A token attends to the tokens of its own sequence up to itself, or to the last few of them. The
// weights of a block, (block,
// keys), are all that is held of the T x T matrix: the backward pass computes them again from each
// query's log-sum-exp (Dao et al. 2022, algorithm 4).
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "model/graph/lora.h"
#include "model/graph/product.h"
#include "model/graph/worker_pool.h"

namespace coppice::graph {

struct AttentionShape {
  std::int64_t heads = 0;    // h; q has h * head_width columns
  std::int64_t kv_heads = 0; // h_kv; k and v have h_kv * head_width columns
  std::int64_t head_width = 0;
  float scale = 1;         // of q k
  float cap = 0;           // scores become cap tanh(score / cap); 0: as they are
  std::int64_t window = 0; // a token sees itself and window - 1 before it; 0: all before it
};

// q (T, h * head_width), k and v (T, h_kv * head_width) to (T, h * head_width). `sequences` cover
// the T tokens and outlive the backward pass.
at::Tensor attention(WorkerPool& pool, const at::Tensor& q, const at::Tensor& k,
                     const at::Tensor& v, std::span<const TokenRange> sequences,
                     const AttentionShape& shape);

// The last tokens of one sequence, with the keys and values of all of it: q (n, ...), k and v (m,
// ...), n <= m. Not differentiable.
at::Tensor attention_with_cache(WorkerPool& pool, const at::Tensor& q, const MatrixView& k,
                                const MatrixView& v, const AttentionShape& shape);

} // namespace coppice::graph
