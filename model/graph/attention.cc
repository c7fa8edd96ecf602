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

// One head of one sequence. The i-th of the n queries sees the first m - n + i + 1 of the m keys.
struct HeadInput {
  MatrixView q; // (n, head_width)
  MatrixView k; // (m, head_width)
  MatrixView v; // (m, head_width)
  std::int64_t visible(std::int64_t query) const { return k.rows - q.rows + query + 1; }
};

float score_scale(const HeadInput& head) {
  return 1.0F / std::sqrt(static_cast<float>(head.q.columns));
}

// A block of queries against the keys that its last query sees.
struct ScoreBlock {
  ScoreBlock(const HeadInput& head, std::int64_t block)
      : queries(block, kQueryBlock, head.q.rows), keys(head.visible(queries.end - 1)) {}
  MatrixView view(ScratchSlot slot) const {
    return {scratch(slot, static_cast<std::size_t>(kQueryBlock * keys)), queries.count(), keys,
            keys};
  }
  BlockRange queries;
  std::int64_t keys;
};

void softmax_forward(const HeadInput& head, const MatrixView& out, float* log_sums) {
  for (std::int64_t index = 0; index < block_count(head.q.rows, kQueryBlock); ++index) {
    const ScoreBlock block(head, index);
    const auto [begin, end] = block.queries;
    const MatrixView p = block.view(ScratchSlot::kScores);
    multiply_transposed(head.q.row_range(begin, end), head.k.row_range(0, block.keys), p,
                        Into::kReplace, score_scale(head));
    for (std::int64_t query = begin; query < end; ++query) {
      float* row = p.data + (query - begin) * p.stride;
      const auto seen = static_cast<std::size_t>(head.visible(query));
      const float top = maximum(row, seen);
      const float sum = exponentiate_row(row, top, seen);
      scale_row(row, 1.0F / sum, seen);
      std::fill(row + seen, row + p.columns, 0.0F);
      log_sums[query] = top + std::log(sum);
    }
    multiply(p, head.v.row_range(0, block.keys), out.row_range(begin, end));
  }
}

struct HeadGradient {
  MatrixView dq; // (n, head_width), replaced
  MatrixView dk; // (m, head_width), added to: heads of a group share keys
  MatrixView dv; // (m, head_width), added to
};

void softmax_backward(const HeadInput& head, const MatrixView& out, const float* log_sums,
                      const MatrixView& dout, const HeadGradient& gradient) {
  const float scale = score_scale(head);
  const auto width = static_cast<std::size_t>(head.q.columns);
  for (std::int64_t index = 0; index < block_count(head.q.rows, kQueryBlock); ++index) {
    const ScoreBlock block(head, index);
    const auto [begin, end] = block.queries;
    const MatrixView q = head.q.row_range(begin, end);
    const MatrixView k = head.k.row_range(0, block.keys);
    const MatrixView p = block.view(ScratchSlot::kScores);
    const MatrixView d = block.view(ScratchSlot::kGradients);
    multiply_transposed(q, k, p, Into::kReplace, scale);
    multiply_transposed(dout.row_range(begin, end), head.v.row_range(0, block.keys), d);
    for (std::int64_t query = begin; query < end; ++query) {
      float* p_row = p.data + (query - begin) * p.stride;
      float* d_row = d.data + (query - begin) * d.stride;
      const auto seen = static_cast<std::size_t>(head.visible(query));
      exponentiate_row(p_row, log_sums[query], seen);
      // sum(p dp) over the keys equals out . dout, which is shorter.
      const float mean = dot(out.data + query * out.stride, dout.data + query * dout.stride, width);
      softmax_backward_row(p_row, mean, scale, seen, d_row);
      std::fill(p_row + seen, p_row + p.columns, 0.0F);
      std::fill(d_row + seen, d_row + d.columns, 0.0F);
    }
    transposed_multiply(p, dout.row_range(begin, end), gradient.dv.row_range(0, block.keys),
                        Into::kAdd);
    multiply(d, k, gradient.dq.row_range(begin, end));
    transposed_multiply(d, q, gradient.dk.row_range(0, block.keys), Into::kAdd);
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
          head_of(v, kv_head, shape.head_width)};
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
