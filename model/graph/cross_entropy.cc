// SPDX-License-Identifier: Apache-2.0
#include "model/graph/cross_entropy.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>

#include "model/graph/linear.h"
#include "model/row_kernels.h"

namespace coppice::graph {
namespace {

constexpr std::int64_t kRowsOfTask = 8;

// Each row of logits to its loss and, if `weights` is not empty, to the gradient of weight * loss:
// weight * (softmax - one at the target).
void loss_rows(WorkerPool& pool, const MatrixView& logits, const std::int32_t* targets,
               const float* weights, double* nats) {
  const auto width = static_cast<std::size_t>(logits.columns);
  pool.run(block_count(logits.rows, kRowsOfTask), [&](std::int64_t index) {
    const BlockRange rows(index, kRowsOfTask, logits.rows);
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      float* row = logits.data + i * logits.stride;
      const float target_logit = row[targets[i]];
      const float top = maximum(row, width);
      const float sum = exponentiate_row(row, top, width);
      nats[i] = std::log(static_cast<double>(sum)) + static_cast<double>(top) -
                static_cast<double>(target_logit);
      if (weights == nullptr) continue;
      scale_row(row, weights[i] / sum, width);
      row[targets[i]] -= weights[i];
    }
  });
}

} // namespace

CrossEntropy cross_entropy(WorkerPool& pool, const at::Tensor& hidden, const QuantizedMatrix& head,
                           std::span<const std::int32_t> targets, std::span<const float> weights) {
  const std::int64_t rows = hidden.size(0);
  CrossEntropy result;
  result.nats.resize(targets.size());
  if (!weights.empty()) result.dhidden = at::empty_like(hidden);
  const at::Tensor buffer = at::empty({std::min(rows, kLossChunk), head.rows()}, at::kFloat);
  for (std::int64_t index = 0; index < block_count(rows, kLossChunk); ++index) {
    const BlockRange chunk(index, kLossChunk, rows);
    const MatrixView logits = MatrixView::of(buffer).row_range(0, chunk.count());
    base_product(pool, MatrixView::of(hidden).row_range(chunk.begin, chunk.end), head, logits);
    loss_rows(pool, logits, targets.data() + chunk.begin,
              weights.empty() ? nullptr : weights.data() + chunk.begin,
              result.nats.data() + chunk.begin);
    if (weights.empty()) continue;
    base_product_backward(pool, logits, head,
                          MatrixView::of(result.dhidden).row_range(chunk.begin, chunk.end));
  }
  return result;
}

} // namespace coppice::graph
