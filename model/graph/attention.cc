// SPDX-License-Identifier: Apache-2.0
#include "model/graph/attention.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>

#include "model/graph/autograd.h"
#include "model/row_kernels.h"

namespace coppice::graph {
namespace {

constexpr std::int64_t kQueryBlock = 64;

// One head of one sequence. The i-th of the n queries is the token of the (m - n + i)-th of the m
// keys.
struct HeadInput {
  MatrixView q; // (n, head_width)
  MatrixView k; // (m, head_width)
  MatrixView v; // (m, head_width)
  const AttentionShape& shape;

  // The keys that a query sees.
  TokenRange visible(std::int64_t query) const {
    const std::int64_t end = k.rows - q.rows + query + 1;
    return {shape.window > 0 ? std::max(end - shape.window, std::int64_t{0}) : 0, end};
  }
};

// A block of queries against the keys that any of them sees.
struct ScoreBlock {
  ScoreBlock(const HeadInput& input, std::int64_t block)
      : head(input),
        queries(block, kQueryBlock, input.q.rows),
        keys{input.visible(queries.begin).begin, input.visible(queries.end - 1).end} {}

  MatrixView view(ScratchSlot slot) const {
    return {scratch(slot, static_cast<std::size_t>(kQueryBlock * keys.count())), queries.count(),
            keys.count(), keys.count()};
  }
  // q k^T, scaled and capped; where a query doesn't see a key the value means nothing.
  void compute_scores(const MatrixView& scores) const {
    multiply_transposed(head.q.row_range(queries.begin, queries.end),
                        head.k.row_range(keys.begin, keys.end), scores, Into::kReplace,
                        head.shape.scale);
    if (head.shape.cap <= 0) return;
    for (std::int64_t row = 0; row < scores.rows; ++row) {
      cap_row(scores.data + row * scores.stride, head.shape.cap,
              static_cast<std::size_t>(scores.columns));
    }
  }
  // The columns that a query sees.
  TokenRange seen(std::int64_t query) const {
    const TokenRange visible = head.visible(query);
    return {visible.begin - keys.begin, visible.end - keys.begin};
  }

  const HeadInput& head;
  BlockRange queries;
  TokenRange keys;
};

void clear_unseen(float* row, const TokenRange& seen, std::int64_t columns) {
  std::fill(row, row + seen.begin, 0.0F);
  std::fill(row + seen.end, row + columns, 0.0F);
}

void softmax_forward(const HeadInput& head, const MatrixView& out, float* log_sums) {
  for (std::int64_t index = 0; index < block_count(head.q.rows, kQueryBlock); ++index) {
    const ScoreBlock block(head, index);
    const auto [begin, end] = block.queries;
    const MatrixView p = block.view(ScratchSlot::kScores);
    block.compute_scores(p);
    for (std::int64_t query = begin; query < end; ++query) {
      float* row = p.data + (query - begin) * p.stride;
      const TokenRange seen = block.seen(query);
      const auto count = static_cast<std::size_t>(seen.count());
      const float top = maximum(row + seen.begin, count);
      const float sum = exponentiate_row(row + seen.begin, top, count);
      scale_row(row + seen.begin, 1.0F / sum, count);
      clear_unseen(row, seen, p.columns);
      log_sums[query] = top + std::log(sum);
    }
    multiply(p, head.v.row_range(block.keys.begin, block.keys.end), out.row_range(begin, end));
  }
}

struct HeadGradient {
  MatrixView dq; // (n, head_width), replaced
  MatrixView dk; // (m, head_width), added to: heads of a group share keys
  MatrixView dv; // (m, head_width), added to
};

// Turns a query's scores, `p`, into its weights, and the gradient of its weights, `d`, into that of
// q k. `mean` is sum(p d).
void softmax_backward_query(const AttentionShape& shape, float log_sum, float mean, std::size_t n,
                            float* p, float* d) {
  float* slope = shape.cap > 0 ? scratch(ScratchSlot::kWeights, n) : nullptr;
  if (slope != nullptr) cap_slope_row(p, shape.cap, n, slope);
  exponentiate_row(p, log_sum, n);
  softmax_backward_row(p, mean, shape.scale, n, d);
  if (slope != nullptr) multiply_row(d, slope, n, d);
}

void softmax_backward(const HeadInput& head, const MatrixView& out, const float* log_sums,
                      const MatrixView& dout, const HeadGradient& gradient) {
  const auto width = static_cast<std::size_t>(head.q.columns);
  for (std::int64_t index = 0; index < block_count(head.q.rows, kQueryBlock); ++index) {
    const ScoreBlock block(head, index);
    const auto [begin, end] = block.queries;
    const auto [first, last] = block.keys;
    const MatrixView p = block.view(ScratchSlot::kScores);
    const MatrixView d = block.view(ScratchSlot::kGradients);
    block.compute_scores(p);
    multiply_transposed(dout.row_range(begin, end), head.v.row_range(first, last), d);
    for (std::int64_t query = begin; query < end; ++query) {
      float* p_row = p.data + (query - begin) * p.stride;
      float* d_row = d.data + (query - begin) * d.stride;
      const TokenRange seen = block.seen(query);
      // sum(p dp) over the keys equals out . dout, which is shorter.
      const float mean = dot(out.data + query * out.stride, dout.data + query * dout.stride, width);
      softmax_backward_query(head.shape, log_sums[query], mean,
                             static_cast<std::size_t>(seen.count()), p_row + seen.begin,
                             d_row + seen.begin);
      clear_unseen(p_row, seen, p.columns);
      clear_unseen(d_row, seen, d.columns);
    }
    transposed_multiply(p, dout.row_range(begin, end), gradient.dv.row_range(first, last),
                        Into::kAdd);
    multiply(d, head.k.row_range(first, last), gradient.dq.row_range(begin, end));
    transposed_multiply(d, head.q.row_range(begin, end), gradient.dk.row_range(first, last),
                        Into::kAdd);
  }
}

// Columns of one head.
MatrixView head_of(const MatrixView& all, std::int64_t head, std::int64_t width) {
  return all.column_range(head * width, (head + 1) * width);
}

HeadInput head_input(const MatrixView& q, const MatrixView& k, const MatrixView& v,
                     std::int64_t head, const AttentionShape& shape) {
  const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
  return {head_of(q, head, shape.head_width), head_of(k, kv_head, shape.head_width),
          head_of(v, kv_head, shape.head_width), shape};
}

struct Saved {
  at::Tensor q, k, v;
  at::Tensor out;
  std::vector<float> log_sums; // (h, T)
};

std::vector<at::Tensor> attention_backward(WorkerPool& pool, const Saved& saved,
                                           std::span<const TokenRange> sequences,
                                           const AttentionShape& shape, const at::Tensor& dout) {
  at::Tensor dq = at::empty_like(saved.q);
  at::Tensor dk = at::zeros_like(saved.k);
  at::Tensor dv = at::zeros_like(saved.v);
  const std::int64_t tokens = saved.q.size(0);
  const std::int64_t group = shape.heads / shape.kv_heads;
  // A task owns a key-value head: its query heads add to dk and dv in order.
  pool.run(static_cast<std::int64_t>(sequences.size()) * shape.kv_heads, [&](std::int64_t index) {
    const auto [begin, end] = sequences[static_cast<std::size_t>(index / shape.kv_heads)];
    const std::int64_t kv_head = index % shape.kv_heads;
    const auto rows = [begin = begin, end = end](const at::Tensor& tensor) {
      return MatrixView::of(tensor).row_range(begin, end);
    };
    for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      softmax_backward(
          head_input(rows(saved.q), rows(saved.k), rows(saved.v), head, shape),
          head_of(rows(saved.out), head, shape.head_width),
          &saved.log_sums[static_cast<std::size_t>(head * tokens + begin)],
          head_of(rows(dout), head, shape.head_width),
          {head_of(rows(dq), head, shape.head_width), head_of(rows(dk), kv_head, shape.head_width),
           head_of(rows(dv), kv_head, shape.head_width)});
    }
  });
  return {dq, dk, dv};
}

} // namespace

at::Tensor attention(WorkerPool& pool, const at::Tensor& q, const at::Tensor& k,
                     const at::Tensor& v, std::span<const TokenRange> sequences,
                     const AttentionShape& shape) {
  const std::int64_t tokens = q.size(0);
  at::Tensor out = at::empty_like(q);
  std::vector<float> log_sums(static_cast<std::size_t>(shape.heads * tokens));
  pool.run(static_cast<std::int64_t>(sequences.size()) * shape.heads, [&](std::int64_t index) {
    const auto [begin, end] = sequences[static_cast<std::size_t>(index / shape.heads)];
    const std::int64_t head = index % shape.heads;
    softmax_forward(
        head_input(MatrixView::of(q).row_range(begin, end), MatrixView::of(k).row_range(begin, end),
                   MatrixView::of(v).row_range(begin, end), head, shape),
        head_of(MatrixView::of(out).row_range(begin, end), head, shape.head_width),
        &log_sums[static_cast<std::size_t>(head * tokens + begin)]);
  });
  if (!needs_gradient({q, k, v})) return out;
  Saved saved{q.detach(), k.detach(), v.detach(), out.detach(), std::move(log_sums)};
  return record(out, {q, k, v},
                [&pool, sequences, shape, saved = std::move(saved)](const at::Tensor& dout) {
                  return attention_backward(pool, saved, sequences, shape, dout.contiguous());
                });
}

at::Tensor attention_with_cache(WorkerPool& pool, const at::Tensor& q, const MatrixView& k,
                                const MatrixView& v, const AttentionShape& shape) {
  at::Tensor out = at::empty_like(q);
  std::vector<float> log_sums(static_cast<std::size_t>(shape.heads * q.size(0)));
  pool.run(shape.heads, [&](std::int64_t head) {
    softmax_forward(head_input(MatrixView::of(q), k, v, head, shape),
                    head_of(MatrixView::of(out), head, shape.head_width),
                    &log_sums[static_cast<std::size_t>(head * q.size(0))]);
  });
  return out;
}

} // namespace coppice::graph
