// SPDX-License-Identifier: Apache-2.0
#include "model/native/attention.h"

#include "model/native/attention_tile.h"

namespace coppice::native {
namespace {

constexpr std::size_t kTaskQueries = 5 * kQueryTile;

// Scores to probabilities, unnormalized; zero where a query doesn't see. 1 / sum to `scales`.
void softmax_rows(const AttentionShape& shape, const AttentionSequence& sequence,
                  const QueryTile& tile, std::size_t head, float* scores, std::size_t stride,
                  float* scales) {
  for (std::size_t i = 0; i < tile.count; ++i) {
    float* row = scores + i * stride;
    const Visible seen(shape, sequence, tile, i);
    const std::size_t n = seen.end - seen.begin;
    float* visible = row + seen.begin;
    scale_row(visible, shape.scale, n);
    if (shape.cap > 0) cap_row(visible, shape.cap, n);
    const float top = maximum(visible, n);
    const float sum = exponentiate_row(visible, top, n);
    std::fill(row, visible, 0.0F);
    std::fill(row + seen.end, row + stride, 0.0F);
    scales[i] = 1.0F / sum;
    if (sequence.log_sums != nullptr) {
      sequence.log_sums[(tile.begin + i) * shape.heads + head] = top + std::log(sum);
    }
  }
}

struct Task {
  std::size_t sequence;
  std::size_t kv_head;
  std::size_t begin; // queries
};

void forward_task(const ProductKernels& kernels, const AttentionShape& shape,
                  const AttentionSequence& sequence, const Task& task, Scratch& scratch) {
  const std::size_t width = shape.head_width;
  const std::size_t end = std::min(sequence.q.rows, task.begin + kTaskQueries);
  const std::size_t keys = sequence.offset + end;
  const auto of_head = [&](const FloatRows& rows) {
    return head_elements(kernels, rows.column_range(task.kv_head * width, width).row_range(0, keys),
                         Slot::kTransposed, scratch);
  };
  const ElementRows k = of_head(sequence.k);
  std::byte* k_panels = scratch.bytes(Slot::kPanel, key_panels_bytes(kernels, k));
  pack_keys(kernels, k, k_panels);
  const ElementRows v = of_head(sequence.v); // in k's place
  std::byte* v_panels = scratch.bytes(Slot::kPanelB, value_panels_bytes(kernels, v));
  pack_values(kernels, v, v_panels);

  const std::size_t group = shape.heads / shape.kv_heads;
  for (std::size_t at = task.begin; at < end; at += kQueryTile) {
    const QueryTile tile(shape, sequence, at);
    const std::size_t stride = kernels.padded(tile.keys());
    float* scores = scratch.floats(Slot::kScores, kQueryTile * stride);
    std::byte* weights = scratch.bytes(Slot::kScoresB, kQueryTile * stride * kernels.element_bytes);
    float* mixed = scratch.floats(Slot::kOutput, kQueryTile * width);
    for (std::size_t head = task.kv_head * group; head < (task.kv_head + 1) * group; ++head) {
      const ElementRows q = head_elements(
          kernels, sequence.q.column_range(head * width, width).row_range(at, tile.count),
          Slot::kRows, scratch);
      tile_products(kernels, q, tile, k_panels, scores, stride);
      float scales[kQueryTile];
      softmax_rows(shape, sequence, tile, head, scores, stride, scales);
      kernels.from_float(scores, tile.count * stride, weights);
      for (std::size_t column = 0; column < width; column += kPanelColumns) {
        const std::byte* panel = v_panels + column / kPanelColumns * kernels.panel_bytes(keys) +
                                 kernels.panel_bytes(tile.first);
        const Segment segment{
            .rows = weights, .stride = stride, .depth = tile.keys(), .panel = panel};
        kernels.multiply(tile.count, std::min(kPanelColumns, width - column), {&segment, 1},
                         mixed + column, width, false);
      }
      for (std::size_t i = 0; i < tile.count; ++i) {
        float* out = sequence.out.row(tile.begin + i) + head * width;
        std::copy_n(mixed + i * width, width, out);
        scale_row(out, scales[i], width);
      }
    }
  }
}

} // namespace

void attention_forward(WorkerPool& pool, const ProductKernels& kernels, const AttentionShape& shape,
                       std::span<const AttentionSequence> sequences) {
  std::vector<Task> tasks;
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    for (std::size_t begin = 0; begin < sequences[s].q.rows; begin += kTaskQueries) {
      for (std::size_t head = 0; head < shape.kv_heads; ++head) tasks.push_back({s, head, begin});
    }
  }
  pool.run(tasks.size(), [&](std::size_t i, Scratch& scratch) {
    forward_task(kernels, shape, sequences[tasks[i].sequence], tasks[i], scratch);
  });
}

} // namespace coppice::native
