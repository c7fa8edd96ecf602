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

// What belongs to each row of logits.
struct RowLosses {
  const std::int32_t* targets;
  const float* weights; // or nullptr
  double* nats;
  std::uint8_t* correct;
};

// Each row of logits to its loss and, if there are weights, to the gradient of weight * loss:
// weight * (softmax - one at the target), times the cap's slope.
void loss_rows(WorkerPool& pool, const MatrixView& logits, float cap, const RowLosses& losses) {
  const auto [targets, weights, nats, correct] = losses;
  const auto width = static_cast<std::size_t>(logits.columns);
  pool.run(
      block_count(logits.rows, kRowsOfTask), [&, targets = targets, weights = weights, nats = nats,
                                              correct = correct](std::int64_t index) {
        const BlockRange rows(index, kRowsOfTask, logits.rows);
        const bool sloped = cap > 0 && weights != nullptr;
        float* slope = sloped ? scratch(ScratchSlot::kScores, width) : nullptr;
        for (std::int64_t i = rows.begin; i < rows.end; ++i) {
          float* row = logits.data + i * logits.stride;
          const float target_logit = row[targets[i]];
          if (sloped) cap_slope_row(row, cap, width, slope);
          const float top = maximum(row, width);
          correct[i] = is_first_maximum(row, static_cast<std::size_t>(targets[i]), top) ? 1 : 0;
          const float sum = exponentiate_row(row, top, width);
          nats[i] = std::log(static_cast<double>(sum)) + static_cast<double>(top) -
                    static_cast<double>(target_logit);
          if (weights == nullptr) continue;
          scale_row(row, weights[i] / sum, width);
          row[targets[i]] -= weights[i];
          if (sloped) multiply_row(row, slope, width, row);
        }
      });
}

} // namespace

void compute_logits(WorkerPool& pool, const MatrixView& hidden, const OutputHead& head,
                    const MatrixView& logits) {
  base_product(pool, hidden, head.weights, logits);
  if (head.cap <= 0) return;
  pool.run(block_count(logits.rows, kRowsOfTask), [&](std::int64_t index) {
    const BlockRange rows(index, kRowsOfTask, logits.rows);
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      cap_row(logits.data + i * logits.stride, head.cap, static_cast<std::size_t>(logits.columns));
    }
  });
}

CrossEntropy cross_entropy(WorkerPool& pool, const at::Tensor& hidden, const OutputHead& head,
                           std::span<const std::int32_t> targets, std::span<const float> weights) {
  const std::int64_t rows = hidden.size(0);
  CrossEntropy result;
  result.nats.resize(targets.size());
  result.correct.resize(targets.size());
  if (!weights.empty()) result.dhidden = at::empty_like(hidden);
  const at::Tensor buffer =
      at::empty({std::min(rows, kLossChunk), head.weights.rows()}, at::kFloat);
  for (std::int64_t index = 0; index < block_count(rows, kLossChunk); ++index) {
    const BlockRange chunk(index, kLossChunk, rows);
    const MatrixView logits = MatrixView::of(buffer).row_range(0, chunk.count());
    compute_logits(pool, MatrixView::of(hidden).row_range(chunk.begin, chunk.end), head, logits);
    loss_rows(pool, logits, head.cap,
              {.targets = targets.data() + chunk.begin,
               .weights = weights.empty() ? nullptr : weights.data() + chunk.begin,
               .nats = result.nats.data() + chunk.begin,
               .correct = result.correct.data() + chunk.begin});
    if (weights.empty()) continue;
    base_product_backward(pool, logits, head.weights,
                          MatrixView::of(result.dhidden).row_range(chunk.begin, chunk.end));
  }
  return result;
}

} // namespace coppice::graph
