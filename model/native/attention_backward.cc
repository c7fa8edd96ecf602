// SPDX-License-Identifier: Apache-2.0
#include "model/native/attention.h"
#include "model/native/attention_tile.h"

namespace coppice::native {
namespace {

// One key-value head of one sequence: its panels, and the sums of its gradients.
class BackwardTask {
 public:
  BackwardTask(const ProductKernels& scores, const ProductKernels& kernels,
               const AttentionShape& shape, const AttentionSequence& sequence,
               const AttentionGradients& gradients, std::size_t kv_head, Scratch& scratch);
  void head(std::size_t head);
  void store(std::size_t kv_head) const;

 private:
  void probabilities(const QueryTile& tile, std::size_t head);
  void score_gradients(const QueryTile& tile);
  void query_gradients(const QueryTile& tile, std::size_t head);
  // sums (keys, width) += scores^T rows
  void add_transposed(const QueryTile& tile, const float* scores, const ElementRows& rows,
                      float* sums);

  const ProductKernels& score_kernels_;
  const ProductKernels& kernels_;
  const AttentionShape& shape_;
  const AttentionSequence& sequence_;
  const AttentionGradients& gradients_;
  Scratch& scratch_;
  std::size_t width_;
  std::size_t keys_;
  std::size_t stride_; // floats of a row of scores
  std::byte* k_transposed_;
  std::byte* v_transposed_;
  std::byte* k_rows_;
  float* dk_; // (keys, width)
  float* dv_;
  float* p_;              // (tile, keys)
  float* ds_;             // (tile, keys)
  std::byte* elements_;   // (tile, keys), of ds
  std::byte* transposed_; // (keys, tile)
};

BackwardTask::BackwardTask(const ProductKernels& scores, const ProductKernels& kernels,
                           const AttentionShape& shape, const AttentionSequence& sequence,
                           const AttentionGradients& gradients, std::size_t kv_head,
                           Scratch& scratch)
    : score_kernels_(scores),
      kernels_(kernels),
      shape_(shape),
      sequence_(sequence),
      gradients_(gradients),
      scratch_(scratch),
      width_(shape.head_width),
      keys_(sequence.k.rows),
      stride_(kernels.padded(keys_)) {
  const auto of_head = [&](const ProductKernels& to, const FloatRows& rows) {
    return head_elements(to, rows.column_range(kv_head * width_, width_), Slot::kTransposed,
                         scratch);
  };
  // One after the other, as elements in the same place.
  const ElementRows precise_k = of_head(scores, sequence.k);
  k_transposed_ = scratch.bytes(Slot::kPanel, key_panels_bytes(scores, precise_k));
  pack_keys(scores, precise_k, k_transposed_);
  const ElementRows v = of_head(kernels, sequence.v);
  v_transposed_ = scratch.bytes(Slot::kPanelB, key_panels_bytes(kernels, v));
  pack_keys(kernels, v, v_transposed_);
  const ElementRows k = of_head(kernels, sequence.k);
  k_rows_ = scratch.bytes(Slot::kWeights, value_panels_bytes(kernels, k));
  pack_values(kernels, k, k_rows_);
  dk_ = scratch.floats(Slot::kSums, keys_ * width_);
  dv_ = scratch.floats(Slot::kSumsB, keys_ * width_);
  std::fill_n(dk_, keys_ * width_, 0.0F);
  std::fill_n(dv_, keys_ * width_, 0.0F);
  p_ = scratch.floats(Slot::kScores, kQueryTile * stride_);
  ds_ = scratch.floats(Slot::kScoresB, kQueryTile * stride_);
  elements_ = scratch.bytes(Slot::kScoresC, kQueryTile * stride_ * kernels.element_bytes);
  transposed_ = scratch.bytes(Slot::kTransposed, keys_ * kQueryTile * kernels.element_bytes);
}

void BackwardTask::head(std::size_t head) {
  for (std::size_t at = 0; at < sequence_.q.rows; at += kQueryTile) {
    const QueryTile tile(shape_, sequence_, at);
    const FloatRows q = sequence_.q.column_range(head * width_, width_).row_range(at, tile.count);
    const ElementRows d_out =
        gradients_.d_out.column_range(head * width_, width_).row_range(at, tile.count);
    const ElementRows precise_q = head_elements(score_kernels_, q, Slot::kOutput, scratch_);
    tile_products(score_kernels_, precise_q, tile, k_transposed_, p_, stride_);
    tile_products(kernels_, d_out, tile, v_transposed_, ds_, stride_);
    probabilities(tile, head);
    add_transposed(tile, p_, d_out, dv_);
    score_gradients(tile);
    add_transposed(tile, ds_, head_elements(kernels_, q, Slot::kOutput, scratch_), dk_);
    query_gradients(tile, head);
  }
}

// p = softmax of the scores; where they are capped, the cap's derivative goes into a place of its
// own, for score_gradients().
void BackwardTask::probabilities(const QueryTile& tile, std::size_t head) {
  for (std::size_t i = 0; i < tile.count; ++i) {
    float* row = p_ + i * stride_;
    const Visible seen(shape_, sequence_, tile, i);
    const std::size_t n = seen.end - seen.begin;
    float* visible = row + seen.begin;
    scale_row(visible, shape_.scale, n);
    if (shape_.cap > 0) {
      cap_row(visible, shape_.cap, n);
      float* slopes = scratch_.floats(Slot::kTransposedB, kQueryTile * stride_) + i * stride_;
      cap_slope_row(visible, shape_.cap, n, slopes + seen.begin);
    }
    const float log_sum = sequence_.log_sums[(tile.begin + i) * shape_.heads + head];
    exponentiate_row(visible, log_sum, n);
    std::fill(row, visible, 0.0F);
    std::fill(row + seen.end, row + tile.keys(), 0.0F);
  }
}

// ds = p (dp - mean) scale, with mean = sum(p dp); ds_ holds dp before. The mean is d_out . out as
// well, but then the roundings of both sides of the difference would be strangers: where a query
// looks at one key alone, the difference is nothing but them.
void BackwardTask::score_gradients(const QueryTile& tile) {
  for (std::size_t i = 0; i < tile.count; ++i) {
    const Visible seen(shape_, sequence_, tile, i);
    float* ds = ds_ + i * stride_;
    const float mean = dot(p_ + i * stride_ + seen.begin, ds + seen.begin, seen.end - seen.begin);
    softmax_backward_row(p_ + i * stride_, mean, shape_.scale, tile.keys(), ds);
    if (shape_.cap > 0) {
      const float* slopes = scratch_.floats(Slot::kTransposedB, kQueryTile * stride_) + i * stride_;
      for (std::size_t j = seen.begin; j < seen.end; ++j) ds[j] *= slopes[j];
    }
  }
}

void BackwardTask::query_gradients(const QueryTile& tile, std::size_t head) {
  const std::size_t padded = kernels_.padded(tile.keys());
  for (std::size_t i = 0; i < tile.count; ++i) {
    std::byte* row = elements_ + i * padded * kernels_.element_bytes;
    if (padded > tile.keys()) ds_[i * stride_ + tile.keys()] = 0;
    kernels_.from_float(ds_ + i * stride_, padded, row);
  }
  for (std::size_t column = 0; column < width_; column += kPanelColumns) {
    const std::byte* panel = k_rows_ + column / kPanelColumns * kernels_.panel_bytes(keys_) +
                             kernels_.panel_bytes(tile.first);
    const Segment segment{
        .rows = elements_, .stride = padded, .depth = tile.keys(), .panel = panel};
    kernels_.multiply(tile.count, std::min(kPanelColumns, width_ - column), {&segment, 1},
                      gradients_.dq.row(tile.begin) + head * width_ + column, gradients_.dq.stride,
                      false);
  }
}

void BackwardTask::add_transposed(const QueryTile& tile, const float* scores,
                                  const ElementRows& rows, float* sums) {
  const std::size_t stride = kernels_.padded(tile.count);
  if (stride > tile.count) {
    std::memset(transposed_, 0, tile.keys() * stride * kernels_.element_bytes);
  }
  kernels_.transpose(scores, stride_, tile.count, tile.keys(), transposed_, stride);
  std::byte* panel = scratch_.bytes(Slot::kRows, kernels_.panel_bytes(kQueryTile));
  for (std::size_t column = 0; column < width_; column += kPanelColumns) {
    const std::size_t count = std::min(kPanelColumns, width_ - column);
    kernels_.pack_rows(rows.at(0, column), rows.stride, tile.count, count, panel);
    const Segment segment{
        .rows = transposed_, .stride = stride, .depth = tile.count, .panel = panel};
    kernels_.multiply(tile.keys(), count, {&segment, 1}, sums + tile.first * width_ + column,
                      width_, true);
  }
}

void BackwardTask::store(std::size_t kv_head) const {
  for (std::size_t i = 0; i < keys_; ++i) {
    std::copy_n(dk_ + i * width_, width_, gradients_.dk.row(i) + kv_head * width_);
    std::copy_n(dv_ + i * width_, width_, gradients_.dv.row(i) + kv_head * width_);
  }
}

} // namespace

void attention_backward(WorkerPool& pool, const ProductKernels& scores,
                        const ProductKernels& kernels, const AttentionShape& shape,
                        std::span<const AttentionSequence> sequences,
                        std::span<const AttentionGradients> gradients) {
  const std::size_t group = shape.heads / shape.kv_heads;
  pool.run(sequences.size() * shape.kv_heads, [&](std::size_t i, Scratch& scratch) {
    const std::size_t s = i / shape.kv_heads;
    const std::size_t kv_head = i % shape.kv_heads;
    BackwardTask task(scores, kernels, shape, sequences[s], gradients[s], kv_head, scratch);
    for (std::size_t head = 0; head < group; ++head) task.head(kv_head * group + head);
    task.store(kv_head);
  });
}

} // namespace coppice::native
