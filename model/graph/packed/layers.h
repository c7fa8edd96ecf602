// SPDX-License-Identifier: Apache-2.0
// The layers of a packed forward pass: plain ATen on any device, in the type of their inputs.
//
// K rows of N tokens lie in a (K, N, width) tensor, a row a client's. Nothing here adds with
// atomics: results repeat bit for bit for equal packs on one kind of device.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/base_model.h"

namespace coppice::graph::packed {

// y += scale (x A^T) B^T, each client by its own factors.
struct Lora {
  at::Tensor a; // (K, r, in), or (1, r, in) expanded
  at::Tensor b; // (K, out, r)
  float scale = 1;
  // The backward pass writes the gradients here; undefined: not wanted.
  at::Tensor da;
  at::Tensor db;
};

// x (K, N, in) to (K, N, out): W once over all clients' tokens, LoRA as batched products. Where
// nothing that x depends on is trained, `input_is_fixed` saves its gradient.
at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const std::vector<Lora>& loras,
                  bool input_is_fixed);

// Which token of another arrangement each token of one is.
struct Arrangement {
  at::Tensor places; // (k, n): its index there, or any where there is none
  at::Tensor filled; // (k n, 1), 1 where there is one, else 0, in the type of the computation
};
// x in the arrangement `to`: (k, n, width). `from` is that of x, for the way back; what `to` takes
// for no token is some token's.
at::Tensor arranged(const at::Tensor& x, const Arrangement& to, const Arrangement& from);

// Cosines and sines by position, (positions, pairs).
struct RotaryTable {
  at::Tensor cosines;
  at::Tensor sines;
};
// x (K, N, heads * head_width) turned by each token's place in its sequence of T.
at::Tensor rotate(const at::Tensor& x, const RotaryTable& table, RopeOrder order,
                  std::int64_t head_width, std::int64_t sequence);

struct AttentionShape {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_width = 0;
  double scale = 1;
  double cap = 0;          // scores become cap tanh(score / cap); 0: as they are
  std::int64_t window = 0; // a token sees itself and window - 1 before it; 0: all before it
};
// Causal, within each sequence of T tokens.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const AttentionShape& shape, std::int64_t sequence);

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);
// activation(gate) * up
at::Tensor gated(Activation activation, const at::Tensor& gate, const at::Tensor& up);

// -log p(target) of each row, (n) float32, and the gradient of sum(weight * nats), (n, d). Without
// weights there is no gradient, but whether Score::correct counts a row, (n) bool. `head` (V, d);
// cap as OutputHead's.
struct Loss {
  at::Tensor nats;
  at::Tensor correct;
  at::Tensor dhidden;
};
Loss cross_entropy(const at::Tensor& hidden, const at::Tensor& head, double cap,
                   const at::Tensor& targets, const at::Tensor& weights);
// (n, V) float32
at::Tensor logits(const at::Tensor& hidden, const at::Tensor& head, double cap);

} // namespace coppice::graph::packed
