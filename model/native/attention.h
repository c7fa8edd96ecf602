// SPDX-License-Identifier: Apache-2.0
// Causal attention with grouped heads (Ainslie et al. 2023), in tiles of 48 queries.
//
// A tile's scores against all its keys are held, never the whole matrix. Scores are scaled, capped
// (c tanh(s / c), Gemma 2), masked to the past and the window, and their softmax's logarithm of the
// sum is kept for the backward pass, which computes them again (Dao et al. 2022, algorithm 4).
#pragma once

#include <cstdint>
#include <span>

#include "model/native/buffer.h"
#include "model/native/product_kernels.h"
#include "model/native/worker_pool.h"

namespace coppice::native {

struct AttentionShape {
  std::size_t heads = 0;
  std::size_t kv_heads = 0;
  std::size_t head_width = 0;
  float scale = 1;
  float cap = 0;          // 0: none
  std::size_t window = 0; // a query sees itself and window - 1 keys before it; 0: all before it
};

// One sequence: query i sees keys up to `offset` + i. Keys and values (offset + T, h_kv columns).
// Floats: a head's are made elements where they are multiplied, of a precision that suits.
struct AttentionSequence {
  FloatRows q;     // (T, h columns)
  FloatRows k;     // (offset + T, h_kv columns)
  FloatRows v;     // likewise
  FloatRows out;   // (T, h columns); not read on the way back
  float* log_sums; // (T, h), or null
  std::size_t offset = 0;
};

void attention_forward(WorkerPool& pool, const ProductKernels& kernels, const AttentionShape& shape,
                       std::span<const AttentionSequence> sequences);

// With offset 0. Gradients are written, not added.
struct AttentionGradients {
  ElementRows d_out; // (T, h columns)
  FloatRows dq;      // (T, h columns)
  FloatRows dk;      // (T, h_kv columns)
  FloatRows dv;
};

// `scores` are the kernels of the way there, so that the probabilities are the same again.
void attention_backward(WorkerPool& pool, const ProductKernels& scores,
                        const ProductKernels& kernels, const AttentionShape& shape,
                        std::span<const AttentionSequence> sequences,
                        std::span<const AttentionGradients> gradients);

} // namespace coppice::native
