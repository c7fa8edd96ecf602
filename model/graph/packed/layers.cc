// SPDX-License-Identifier: Apache-2.0
#include "model/graph/packed/layers.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "model/graph/autograd.h"

namespace coppice::graph::packed {
namespace {

// Logits held at once: 512 MB of float32.
constexpr std::int64_t kLossValues = std::int64_t{1} << 27U;

// (K N, out) of a (K, N, in) tensor and (in, out), as one product.
at::Tensor flat_product(const at::Tensor& x, const at::Tensor& w) {
  return at::matmul(x.view({-1, x.size(-1)}), w).view({x.size(0), x.size(1), w.size(1)});
}

at::Tensor transposed(const at::Tensor& batched) { return batched.transpose(1, 2); }

std::vector<at::Tensor> linear_backward(const at::Tensor& x, const at::Tensor& w,
                                        const std::vector<Lora>& loras,
                                        const std::vector<at::Tensor>& us, const at::Tensor& dy,
                                        bool input_is_fixed) {
  at::Tensor dx;
  if (!input_is_fixed) dx = flat_product(dy, w);
  for (std::size_t i = 0; i < loras.size(); ++i) {
    const Lora& lora = loras[i];
    const bool wants_a = lora.da.defined();
    if (lora.db.defined()) {
      at::Tensor db = lora.db;
      at::baddbmm_out(db, db, transposed(dy), us[i], 0, lora.scale);
    }
    if (!wants_a && input_is_fixed) continue;
    const at::Tensor du = at::bmm(dy, lora.b);
    if (wants_a) {
      at::Tensor da = lora.da;
      at::baddbmm_out(da, da, transposed(du), x, 0, lora.scale);
    }
    if (!input_is_fixed) dx.baddbmm_(du, lora.a, 1, lora.scale);
  }
  return {dx};
}

// y of the rotation by `sign` times the angles. All views are (rows, T, heads, pairs).
void rotate_pairs(const at::Tensor& x0, const at::Tensor& x1, const RotaryTable& table, double sign,
                  at::Tensor y0, at::Tensor y1) {
  at::mul_out(y0, x0, table.cosines);
  y0.addcmul_(x1, table.sines, -sign);
  at::mul_out(y1, x1, table.cosines);
  y1.addcmul_(x0, table.sines, sign);
}

at::Tensor rotated(const at::Tensor& x, const RotaryTable& table, RopeOrder order,
                   std::int64_t head_width, double sign) {
  const std::int64_t sequence = table.cosines.size(0);
  const std::int64_t pairs = table.cosines.size(1);
  const RotaryTable angles{table.cosines.view({1, sequence, 1, pairs}),
                           table.sines.view({1, sequence, 1, pairs})};
  at::Tensor y = at::empty_like(x);
  const auto heads = [&](const at::Tensor& of) {
    return of.view({-1, sequence, x.size(2) / head_width, head_width});
  };
  const at::Tensor from = heads(x), to = heads(y);
  const auto first = [&](const at::Tensor& of) {
    return order == RopeOrder::kHalves ? of.narrow(-1, 0, pairs) : of.slice(-1, 0, 2 * pairs, 2);
  };
  const auto second = [&](const at::Tensor& of) {
    return order == RopeOrder::kHalves ? of.narrow(-1, pairs, pairs)
                                       : of.slice(-1, 1, 2 * pairs, 2);
  };
  rotate_pairs(first(from), second(from), angles, sign, first(to), second(to));
  if (2 * pairs < head_width) {
    const std::int64_t rest = head_width - 2 * pairs;
    to.narrow(-1, 2 * pairs, rest).copy_(from.narrow(-1, 2 * pairs, rest));
  }
  return y;
}

// What an attention with a cap or a window takes: scores as a whole.
at::Tensor plain_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                           const AttentionShape& shape) {
  const std::int64_t group = shape.heads / shape.kv_heads;
  const std::int64_t tokens = q.size(2);
  const at::Tensor keys = k.repeat_interleave(group, 1), values = v.repeat_interleave(group, 1);
  at::Tensor scores = at::matmul(q, keys.transpose(2, 3)).to(at::kFloat).mul(shape.scale);
  if (shape.cap > 0) scores = at::tanh(scores / shape.cap) * shape.cap;
  const at::Tensor place = at::arange(tokens, q.options().dtype(at::kLong));
  const at::Tensor distance = place.unsqueeze(1) - place.unsqueeze(0);
  at::Tensor unseen = distance.lt(0);
  if (shape.window > 0) unseen = unseen.logical_or(distance.ge(shape.window));
  scores = scores.masked_fill(unseen, -std::numeric_limits<double>::infinity());
  return at::matmul(at::softmax(scores, -1).to(q.scalar_type()), values);
}

// float32 logits after the cap, and what a gradient of theirs is multiplied with before it.
struct CappedLogits {
  at::Tensor values;
  at::Tensor slope; // undefined without a cap
};
CappedLogits capped(const at::Tensor& hidden, const at::Tensor& head, double cap) {
  const at::Tensor raw = at::matmul(hidden, head.t());
  if (cap <= 0) return {raw, {}};
  const at::Tensor bent = at::tanh(raw.to(at::kFloat) / cap);
  return {bent * cap, 1 - bent * bent};
}

} // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const std::vector<Lora>& loras,
                  bool input_is_fixed) {
  at::Tensor y;
  std::vector<at::Tensor> us;
  {
    const at::NoGradGuard no_gradient;
    y = flat_product(x, w.t());
    for (const Lora& lora : loras) {
      us.push_back(at::bmm(x, transposed(lora.a)));
      y.baddbmm_(us.back(), transposed(lora.b), 1, lora.scale);
    }
  }
  if (!needs_gradient({x})) return y;
  return record(y, {x},
                [x = x.detach(), w, loras, us = std::move(us),
                 input_is_fixed](const at::Tensor& output_gradient) {
                  return linear_backward(x, w, loras, us, output_gradient.contiguous(),
                                         input_is_fixed);
                });
}

at::Tensor arranged(const at::Tensor& x, const Arrangement& to, const Arrangement& from) {
  const auto take = [](const at::Tensor& of, const Arrangement& by) {
    const at::NoGradGuard no_gradient;
    const std::int64_t width = of.size(-1);
    return at::index_select(of.reshape({-1, width}), 0, by.places.view({-1}))
        .view({by.places.size(0), by.places.size(1), width});
  };
  at::Tensor y = take(x.detach(), to);
  if (!needs_gradient({x})) return y;
  // Each token is in both arrangements once, so its gradient is taken, not added up.
  return record(y, {x}, [take, from](const at::Tensor& output_gradient) {
    const at::NoGradGuard no_gradient;
    at::Tensor dx = take(output_gradient, from);
    dx.view({-1, dx.size(-1)}).mul_(from.filled);
    return std::vector<at::Tensor>{dx};
  });
}

at::Tensor rotate(const at::Tensor& x, const RotaryTable& table, RopeOrder order,
                  std::int64_t head_width, std::int64_t sequence) {
  const RotaryTable used{table.cosines.narrow(0, 0, sequence), table.sines.narrow(0, 0, sequence)};
  const auto turn = [used, order, head_width](const at::Tensor& of, double sign) {
    const at::NoGradGuard no_gradient;
    return rotated(of, used, order, head_width, sign);
  };
  at::Tensor y = turn(x.detach(), 1);
  if (!needs_gradient({x})) return y;
  return record(y, {x}, [turn](const at::Tensor& output_gradient) {
    return std::vector<at::Tensor>{turn(output_gradient.contiguous(), -1)};
  });
}

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const AttentionShape& shape, std::int64_t sequence) {
  // (K S, heads, T, head_width)
  const auto heads = [&](const at::Tensor& of, std::int64_t count) {
    return of.view({-1, sequence, count, shape.head_width}).transpose(1, 2);
  };
  const at::Tensor queries = heads(q, shape.heads);
  const at::Tensor keys = heads(k, shape.kv_heads), values = heads(v, shape.kv_heads);
  const bool plain = shape.cap > 0 || (shape.window > 0 && shape.window < sequence);
  const at::Tensor mixed =
      plain ? plain_attention(queries, keys, values, shape)
            : at::scaled_dot_product_attention(queries, keys, values, {}, 0.0, true, shape.scale,
                                               shape.heads != shape.kv_heads);
  return mixed.transpose(1, 2).reshape(q.sizes());
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  return at::rms_norm(x, weight.sizes(), weight, epsilon);
}

at::Tensor gated(Activation activation, const at::Tensor& gate, const at::Tensor& up) {
  switch (activation) {
    case Activation::kSilu: return at::silu(gate) * up;
    case Activation::kGeluTanh: return at::gelu(gate, "tanh") * up;
    case Activation::kSquaredRelu: return at::relu(gate).square() * up;
  }
  COPPICE_CHECK(false);
}

at::Tensor logits(const at::Tensor& hidden, const at::Tensor& head, double cap) {
  return capped(hidden, head, cap).values.to(at::kFloat);
}

Loss cross_entropy(const at::Tensor& hidden, const at::Tensor& head, double cap,
                   const at::Tensor& targets, const at::Tensor& weights) {
  const at::NoGradGuard no_gradient;
  const std::int64_t rows = hidden.size(0);
  const std::int64_t chunk = std::max<std::int64_t>(kLossValues / head.size(0), 1);
  Loss loss{
      .nats = at::empty({rows}, hidden.options().dtype(at::kFloat)), .correct = {}, .dhidden = {}};
  if (weights.defined()) {
    loss.dhidden = at::empty_like(hidden);
  } else {
    loss.correct = at::empty({rows}, hidden.options().dtype(at::kBool));
  }
  for (std::int64_t begin = 0; begin < rows; begin += chunk) {
    const std::int64_t count = std::min(chunk, rows - begin);
    const auto part = [&](const at::Tensor& of) { return of.narrow(0, begin, count); };
    const CappedLogits values = capped(part(hidden), head, cap);
    at::Tensor p = at::log_softmax(values.values, -1, at::kFloat);
    const at::Tensor target = part(targets).unsqueeze(1);
    part(loss.nats).copy_(p.gather(1, target).squeeze(1).neg_());
    if (!weights.defined()) {
      // The logits', of which argmax takes the first highest: log p may round two of them to one.
      part(loss.correct).copy_(at::eq(at::argmax(values.values, -1), part(targets)));
      continue;
    }
    // The gradient of -log p(target) by a logit: its p, less 1 at the target.
    p.exp_();
    p.scatter_(1, target, p.gather(1, target).sub_(1));
    if (values.slope.defined()) p.mul_(values.slope);
    at::Tensor dlogits = at::empty_like(p, hidden.options());
    at::mul_out(dlogits, p, part(weights).unsqueeze(1));
    part(loss.dhidden).copy_(at::matmul(dlogits, head));
  }
  return loss;
}

} // namespace coppice::graph::packed
