// SPDX-License-Identifier: Apache-2.0
// A frozen quantized linear layer with LoRA: y = x W^T + sum over adapters of scale (x A^T) B^T.
//
// W is dequantized a block at a time, for all tokens of the pass, forward and backward: no
// full-precision copy of the base is ever held, and no gradient of W is computed. W's product runs
// over all clients' tokens at once, LoRA's over each client's range.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "model/graph/lora.h"
#include "model/graph/quantized_matrix.h"
#include "model/graph/worker_pool.h"

namespace coppice::graph {

// x (T, in) to (T, out). `clients` are the ranges of x's rows, one for each client of `lora`.
// Recorded for x and the trainable A and B.
at::Tensor linear(WorkerPool& pool, const at::Tensor& x, const QuantizedMatrix& w,
                  const LinearLora& lora, std::span<const TokenRange> clients);

// The base product and its transpose alone, on plain memory: y = x W^T, and dx = dy W.
void base_product(WorkerPool& pool, const MatrixView& x, const QuantizedMatrix& w,
                  const MatrixView& y);
void base_product_backward(WorkerPool& pool, const MatrixView& dy, const QuantizedMatrix& w,
                           const MatrixView& dx);

} // namespace coppice::graph
