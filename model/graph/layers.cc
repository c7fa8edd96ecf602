// SPDX-License-Identifier: Apache-2.0
#include "model/graph/layers.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <cmath>

#include "base/check.h"
#include "model/graph/autograd.h"
#include "model/row_kernels.h"

namespace coppice::graph {
namespace {

constexpr std::int64_t kRowsOfTask = 32;

// task(row) for each row, in tasks of kRowsOfTask.
template <typename Task>
void for_rows(WorkerPool& pool, std::int64_t rows, const Task& task) {
  pool.run(block_count(rows, kRowsOfTask), [&](std::int64_t index) {
    const BlockRange range(index, kRowsOfTask, rows);
    for (std::int64_t row = range.begin; row < range.end; ++row) task(row);
  });
}

void rotate_rows(WorkerPool& pool, const MatrixView& x, const Rope& rope,
                 std::span<const TokenPlace> places, float sign, const MatrixView& y) {
  const RopeShape shape{.heads = static_cast<std::size_t>(x.columns / rope.head_width),
                        .head_width = static_cast<std::size_t>(rope.head_width),
                        .pairs = static_cast<std::size_t>(rope.usual.pairs())};
  const auto turn = rope.order == RopeOrder::kHalves ? rotate_halves_row : rotate_row;
  for_rows(pool, x.rows, [&](std::int64_t row) {
    const TokenPlace& place = places[static_cast<std::size_t>(row)];
    const RopeTable& table = rope.table(place);
    turn(x.data + row * x.stride, table.cosines(place.position), table.sines(place.position), sign,
         shape, y.data + row * y.stride);
  });
}

// The row functions of an activation.
struct Gate {
  void (*forward)(const float* gate, const float* up, std::size_t n, float* y);
  void (*backward)(const float* gate, const float* up, const float* dy, std::size_t n, float* dgate,
                   float* dup, float* y);
};
Gate gate_of(Activation activation) {
  switch (activation) {
    case Activation::kSilu: return {swiglu, swiglu_backward};
    case Activation::kGeluTanh: return {geglu, geglu_backward};
    case Activation::kSquaredRelu: return {squared_reglu, squared_reglu_backward};
  }
  COPPICE_CHECK(false);
}

} // namespace

at::Tensor embed(WorkerPool& pool, const QuantizedMatrix& embedding,
                 std::span<const std::int32_t> tokens) {
  const auto rows = static_cast<std::int64_t>(tokens.size());
  at::Tensor x = at::empty({rows, embedding.columns()}, at::kFloat);
  const MatrixView out = MatrixView::of(x);
  for_rows(pool, rows, [&](std::int64_t row) {
    embedding.dequantize(tokens[static_cast<std::size_t>(row)], 0, out.row_range(row, row + 1));
  });
  return x;
}

at::Tensor rms_norm(WorkerPool& pool, const at::Tensor& x, std::span<const float> weight,
                    float epsilon) {
  at::Tensor y = at::empty_like(x);
  std::vector<float> factors(static_cast<std::size_t>(x.size(0)));
  const MatrixView in = MatrixView::of(x);
  const MatrixView out = MatrixView::of(y);
  for_rows(pool, in.rows, [&](std::int64_t row) {
    factors[static_cast<std::size_t>(row)] =
        rms_norm_row(in.data + row * in.stride, weight.data(), epsilon, weight.size(),
                     out.data + row * out.stride);
  });
  if (!needs_gradient({x})) return y;
  return record(y, {x},
                [&pool, x = x.detach(), weight,
                 factors = std::move(factors)](const at::Tensor& output_gradient) {
                  const at::Tensor dy = output_gradient.contiguous();
                  at::Tensor dx = at::empty_like(x);
                  const MatrixView saved = MatrixView::of(x);
                  const MatrixView from = MatrixView::of(dy);
                  const MatrixView to = MatrixView::of(dx);
                  for_rows(pool, saved.rows, [&](std::int64_t row) {
                    rms_norm_backward_row(saved.data + row * saved.stride, weight.data(),
                                          factors[static_cast<std::size_t>(row)],
                                          from.data + row * from.stride, weight.size(),
                                          to.data + row * to.stride);
                  });
                  return std::vector<at::Tensor>{dx};
                });
}

at::Tensor rms_norm_heads(WorkerPool& pool, const at::Tensor& x, std::span<const float> weight,
                          float epsilon) {
  const auto width = static_cast<std::int64_t>(weight.size());
  return rms_norm(pool, x.reshape({-1, width}), weight, epsilon).reshape(x.sizes());
}

at::Tensor gated(WorkerPool& pool, Activation activation, const at::Tensor& gate,
                 const at::Tensor& up) {
  const Gate rows = gate_of(activation);
  at::Tensor y = at::empty_like(gate);
  const MatrixView g = MatrixView::of(gate);
  const MatrixView u = MatrixView::of(up);
  const MatrixView out = MatrixView::of(y);
  const auto width = static_cast<std::size_t>(g.columns);
  for_rows(pool, g.rows, [&](std::int64_t row) {
    rows.forward(g.data + row * g.stride, u.data + row * u.stride, width,
                 out.data + row * out.stride);
  });
  if (!needs_gradient({gate, up})) return y;
  return record(y, {gate, up},
                [&pool, rows, gate = gate.detach(), up = up.detach(),
                 width](const at::Tensor& output_gradient) {
                  const at::Tensor dy = output_gradient.contiguous();
                  at::Tensor dgate = at::empty_like(gate);
                  at::Tensor dup = at::empty_like(up);
                  const float* saved_gate = gate.const_data_ptr<float>();
                  const float* saved_up = up.const_data_ptr<float>();
                  const float* from = dy.const_data_ptr<float>();
                  float* to_gate = dgate.data_ptr<float>();
                  float* to_up = dup.data_ptr<float>();
                  for_rows(pool, gate.size(0), [&](std::int64_t row) {
                    const std::size_t at = static_cast<std::size_t>(row) * width;
                    rows.backward(saved_gate + at, saved_up + at, from + at, width, to_gate + at,
                                  to_up + at, nullptr);
                  });
                  return std::vector<at::Tensor>{dgate, dup};
                });
}

RopeTable::RopeTable(std::int64_t width, const RopeConfig& config, std::span<const float> divisors)
    : magnitude_(config.magnitude) {
  for (std::int64_t i = 0; i < width / 2; ++i) {
    const double divisor = divisors.empty() ? 1.0 : divisors[static_cast<std::size_t>(i)];
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(width);
    frequencies_.push_back(std::pow(double{config.base}, exponent) / divisor /
                           double{config.linear_factor});
  }
}

void RopeTable::ensure(std::int64_t positions) {
  for (std::size_t at = cosines_.size() / frequencies_.size();
       at < static_cast<std::size_t>(positions); ++at) {
    for (const double frequency : frequencies_) {
      const double angle = static_cast<double>(at) * frequency;
      cosines_.push_back(static_cast<float>(magnitude_ * std::cos(angle)));
      sines_.push_back(static_cast<float>(magnitude_ * std::sin(angle)));
    }
  }
}

void Rope::ensure(std::int64_t positions) {
  usual.ensure(positions);
  if (longer) longer->ensure(positions);
}

at::Tensor rotate(WorkerPool& pool, const at::Tensor& x, const Rope& rope,
                  std::span<const TokenPlace> places) {
  at::Tensor y = at::empty_like(x);
  rotate_rows(pool, MatrixView::of(x), rope, places, 1.0F, MatrixView::of(y));
  if (!needs_gradient({x})) return y;
  return record(y, {x}, [&pool, &rope, places](const at::Tensor& output_gradient) {
    const at::Tensor dy = output_gradient.contiguous();
    at::Tensor dx = at::empty_like(dy);
    rotate_rows(pool, MatrixView::of(dy), rope, places, -1.0F, MatrixView::of(dx));
    return std::vector<at::Tensor>{dx};
  });
}

} // namespace coppice::graph
