// SPDX-License-Identifier: Apache-2.0
#include "model/graph/linear.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "model/graph/autograd.h"
#include "model/row_kernels.h"

namespace coppice::graph {
namespace {

constexpr std::int64_t kRowBlock = 64;     // rows of W in a task of the forward product
constexpr std::int64_t kColumnBlock = 128; // columns of W in a task of the backward product
constexpr std::int64_t kInnerRows = 1024;  // rows of W that such a task dequantizes at once
constexpr std::int64_t kTokenBlock = 128;  // tokens in a task of LoRA's products
constexpr std::int64_t kFewTokens = 4; // up to here a row of W is used while it is in the L1 cache

// A client's tokens, or its part of a tensor with a leading client dimension.
MatrixView client_part(const at::Tensor& tensor, std::size_t client) {
  return MatrixView::of(tensor.select(0, static_cast<std::int64_t>(client)));
}

struct TokenTask {
  std::size_t client;
  std::int64_t begin;
  std::int64_t end;
};

std::vector<TokenTask> token_tasks(std::span<const TokenRange> clients) {
  std::vector<TokenTask> tasks;
  for (std::size_t client = 0; client < clients.size(); ++client) {
    for (std::int64_t t = clients[client].begin; t < clients[client].end; t += kTokenBlock) {
      tasks.push_back({client, t, std::min(t + kTokenBlock, clients[client].end)});
    }
  }
  return tasks;
}

bool has_lora(const LinearLora& lora) {
  return lora.trainable.defined() ||
         std::any_of(lora.frozen.begin(), lora.frozen.end(),
                     [](const auto& client) { return !client.empty(); });
}

MatrixView low_rank(std::int64_t tokens, std::int64_t rank) {
  return {scratch(ScratchSlot::kScores, static_cast<std::size_t>(tokens * rank)), tokens, rank,
          rank};
}

// y += scale (x A^T) B^T for every adapter. Returns u = x A^T (T, rank) of the trainable one.
at::Tensor add_lora(WorkerPool& pool, const MatrixView& x, const LinearLora& lora,
                    std::span<const TokenRange> clients, const MatrixView& y) {
  const TrainableLora& trainable = lora.trainable;
  at::Tensor u;
  if (trainable.defined()) u = at::empty({x.rows, trainable.a.size(1)}, at::kFloat);
  const auto tasks = token_tasks(clients);
  pool.run(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t index) {
    const auto [client, begin, end] = tasks[static_cast<std::size_t>(index)];
    const MatrixView x_part = x.row_range(begin, end);
    const MatrixView y_part = y.row_range(begin, end);
    for (const FrozenLora& frozen : lora.frozen[client]) {
      const MatrixView low = low_rank(end - begin, frozen.rank);
      multiply_transposed(x_part, MatrixView::of(frozen.a, frozen.rank, x.columns), low);
      multiply_transposed(low, MatrixView::of(frozen.b, y.columns, frozen.rank), y_part, Into::kAdd,
                          frozen.scale);
    }
    if (trainable.defined()) {
      const MatrixView low = MatrixView::of(u).row_range(begin, end);
      multiply_transposed(x_part, client_part(trainable.a, client), low);
      multiply_transposed(low, client_part(trainable.b, client), y_part, Into::kAdd,
                          trainable.scale);
    }
  });
  return u;
}

// dx += scale (dy B) A for every adapter, if dx is wanted. Returns du = scale dy B (T, rank) of the
// trainable one.
at::Tensor add_lora_backward(WorkerPool& pool, const MatrixView& dy, const LinearLora& lora,
                             std::span<const TokenRange> clients, const at::Tensor& dx) {
  const TrainableLora& trainable = lora.trainable;
  at::Tensor du;
  if (trainable.defined()) du = at::empty({dy.rows, trainable.a.size(1)}, at::kFloat);
  const auto tasks = token_tasks(clients);
  pool.run(static_cast<std::int64_t>(tasks.size()), [&](std::int64_t index) {
    const auto [client, begin, end] = tasks[static_cast<std::size_t>(index)];
    const MatrixView dy_part = dy.row_range(begin, end);
    if (trainable.defined()) {
      const MatrixView low = MatrixView::of(du).row_range(begin, end);
      multiply(dy_part, client_part(trainable.b, client), low, Into::kReplace, trainable.scale);
      if (dx.defined()) {
        multiply(low, client_part(trainable.a, client), MatrixView::of(dx).row_range(begin, end),
                 Into::kAdd);
      }
    }
    if (!dx.defined()) return;
    const MatrixView dx_part = MatrixView::of(dx).row_range(begin, end);
    for (const FrozenLora& frozen : lora.frozen[client]) {
      const MatrixView low = low_rank(end - begin, frozen.rank);
      multiply(dy_part, MatrixView::of(frozen.b, dy.columns, frozen.rank), low, Into::kReplace,
               frozen.scale);
      multiply(low, MatrixView::of(frozen.a, frozen.rank, dx_part.columns), dx_part, Into::kAdd);
    }
  });
  return du;
}

// dA = du^T x and dB = scale dy^T u, each client's over its own tokens. Undefined where not wanted.
struct LoraGradients {
  at::Tensor a;
  at::Tensor b;
};
LoraGradients lora_gradients(WorkerPool& pool, const at::Tensor& x, const at::Tensor& u,
                             const at::Tensor& dy, const at::Tensor& du,
                             const TrainableLora& trainable, std::span<const TokenRange> clients) {
  LoraGradients gradients;
  if (trainable.a.requires_grad())
    gradients.a = at::zeros_like(trainable.a, at::MemoryFormat::Contiguous);
  if (trainable.b.requires_grad())
    gradients.b = at::zeros_like(trainable.b, at::MemoryFormat::Contiguous);
  pool.run(2 * static_cast<std::int64_t>(clients.size()), [&](std::int64_t index) {
    const auto client = static_cast<std::size_t>(index / 2);
    const auto [begin, end] = clients[client];
    if (begin == end) return;
    if (index % 2 == 0 && gradients.a.defined()) {
      transposed_multiply(MatrixView::of(du).row_range(begin, end),
                          MatrixView::of(x).row_range(begin, end),
                          client_part(gradients.a, client));
    }
    if (index % 2 == 1 && gradients.b.defined()) {
      transposed_multiply(MatrixView::of(dy).row_range(begin, end),
                          MatrixView::of(u).row_range(begin, end), client_part(gradients.b, client),
                          Into::kReplace, trainable.scale);
    }
  });
  return gradients;
}

} // namespace

void base_product(WorkerPool& pool, const MatrixView& x, const QuantizedMatrix& w,
                  const MatrixView& y) {
  const std::int64_t columns = w.columns();
  pool.run(block_count(w.rows(), kRowBlock), [&](std::int64_t index) {
    const BlockRange rows(index, kRowBlock, w.rows());
    float* buffer = scratch(ScratchSlot::kWeights, static_cast<std::size_t>(kRowBlock * columns));
    if (x.rows > kFewTokens) {
      const MatrixView block{buffer, rows.count(), columns, columns};
      w.dequantize(rows.begin, 0, block);
      multiply_transposed(x, block, y.column_range(rows.begin, rows.end));
      return;
    }
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      w.dequantize(row, 0, {buffer, 1, columns, columns});
      for (std::int64_t t = 0; t < x.rows; ++t) {
        y.data[t * y.stride + row] =
            dot(x.data + t * x.stride, buffer, static_cast<std::size_t>(columns));
      }
    }
  });
}

void base_product_backward(WorkerPool& pool, const MatrixView& dy, const QuantizedMatrix& w,
                           const MatrixView& dx) {
  const std::int64_t width =
      std::max(w.column_step(), kColumnBlock / w.column_step() * w.column_step());
  pool.run(block_count(w.columns(), width), [&](std::int64_t index) {
    const BlockRange columns(index, width, w.columns());
    const MatrixView dx_part = dx.column_range(columns.begin, columns.end);
    for (std::int64_t inner = 0; inner < block_count(w.rows(), kInnerRows); ++inner) {
      const BlockRange rows(inner, kInnerRows, w.rows());
      const auto floats = static_cast<std::size_t>(kInnerRows * width);
      const MatrixView block{scratch(ScratchSlot::kWeights, floats), rows.count(), columns.count(),
                             columns.count()};
      w.dequantize(rows.begin, columns.begin, block);
      multiply(dy.column_range(rows.begin, rows.end), block, dx_part,
               inner == 0 ? Into::kReplace : Into::kAdd);
    }
  });
}

at::Tensor linear(WorkerPool& pool, const at::Tensor& x, const QuantizedMatrix& w,
                  const LinearLora& lora, std::span<const TokenRange> clients) {
  at::Tensor y = at::empty({x.size(0), w.rows()}, at::kFloat);
  base_product(pool, MatrixView::of(x), w, MatrixView::of(y));
  at::Tensor u;
  if (has_lora(lora)) u = add_lora(pool, MatrixView::of(x), lora, clients, MatrixView::of(y));

  const std::vector<at::Tensor> inputs = {x, lora.trainable.a, lora.trainable.b};
  if (!needs_gradient(inputs)) return y;
  const bool x_wanted = x.requires_grad();
  return record(
      y, inputs,
      [&pool, &w, &lora, clients, x = x.detach(), u, x_wanted](const at::Tensor& output_gradient) {
        const at::Tensor dy = output_gradient.contiguous();
        at::Tensor dx;
        if (x_wanted) {
          dx = at::empty_like(x);
          base_product_backward(pool, MatrixView::of(dy), w, MatrixView::of(dx));
        }
        LoraGradients gradients;
        if (has_lora(lora)) {
          const at::Tensor du = add_lora_backward(pool, MatrixView::of(dy), lora, clients, dx);
          if (lora.trainable.defined()) {
            gradients = lora_gradients(pool, x, u, dy, du, lora.trainable, clients);
          }
        }
        return std::vector<at::Tensor>{dx, gradients.a, gradients.b};
      });
}

} // namespace coppice::graph
