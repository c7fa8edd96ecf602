// SPDX-License-Identifier: Apache-2.0
#include "model/graph/packed/transformer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "base/check.h"
#include "base/text.h"
#include "model/graph/layers.h"
#include "model/weight_rows.h"

namespace coppice::graph::packed {
namespace {

// A tensor of the file as float32: (rows, columns), or (columns) of one row.
at::Tensor read(const BaseModel& base, const std::string& name) {
  // BaseModel::open has checked that every tensor is there, and its type.
  const WeightRows rows = WeightRows::open(base.file(), name).value();
  const auto count = static_cast<std::int64_t>(rows.rows());
  const auto columns = static_cast<std::int64_t>(rows.columns());
  const at::Tensor values = at::empty({count, columns}, at::kFloat);
  float* to = values.data_ptr<float>();
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    rows.dequantize(row, {to + row * rows.columns(), rows.columns()});
  }
  return base.file().find_tensor(name).value()->dims.size() == 1 ? values.view({columns}) : values;
}

std::vector<float> read_vector(const BaseModel& base, const std::string& name) {
  const at::Tensor values = read(base, name);
  const float* const data = values.const_data_ptr<float>();
  return {data, data + values.numel()};
}

// The columns of a fused product that belong to one of its matrices.
at::Tensor part_of(const at::Tensor& fused, std::int64_t first, std::int64_t columns) {
  return fused.narrow(2, first, columns).contiguous();
}

} // namespace

PackedTokens packed_tokens(const Pack& pack, const PackRows& layout, const Compute& compute) {
  PackedTokens tokens{.ids = to_device(layout.ids, compute)
                                 .view({static_cast<std::int64_t>(pack.rows.size()), pack.width}),
                      .sequence = pack.length};
  if (layout.into_sequences.places.empty()) return tokens;
  const auto arrangement = [&](const TokenPlaces& of, std::int64_t rows) {
    return Arrangement{.places = to_device(of.places, compute).view({rows, -1}),
                       .filled = to_device(of.filled, compute).to(compute.type).unsqueeze(1)};
  };
  tokens.regrouping = {.sequences = arrangement(layout.into_sequences, 1),
                       .rows = arrangement(layout.into_rows, tokens.ids.size(0))};
  return tokens;
}

LoraTable::LoraTable(const ModelConfig& config)
    : modules_(modules_of(config)), lists_(config.layers * kModules) {}

Transformer::Transformer(std::shared_ptr<const BaseModel> base, const Compute& compute)
    : base_(std::move(base)), compute_(compute) {
  const ModelConfig& config = base_->config();
  const auto load = [&](const char* name) { return read(*base_, name).to(compute_.low()); };
  embedding_ = load("token_embd.weight");
  head_ = config.tied_output ? embedding_ : load("output.weight");
  output_norm_ = load("output_norm.weight");
  angles_ = load_angles(config.rope);
  if (config.has_local_rope) local_angles_ = load_angles(config.local_rope);
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    layers_.push_back(load_layer(layer));
  }
}

Transformer::Layer Transformer::load_layer(std::uint32_t layer) const {
  const ModelConfig& config = base_->config();
  const auto load = [&](bool present, const char* part) {
    if (!present) return at::Tensor();
    return read(*base_, cat("blk.", layer, ".", part)).to(compute_.low());
  };
  return {.attention_norm = load(true, "attn_norm.weight"),
          .q = load(!config.fused_qkv, "attn_q.weight"),
          .k = load(!config.fused_qkv, "attn_k.weight"),
          .v = load(!config.fused_qkv, "attn_v.weight"),
          .qkv = load(config.fused_qkv, "attn_qkv.weight"),
          .output = load(true, "attn_output.weight"),
          .q_bias = load(config.qkv_bias, "attn_q.bias"),
          .k_bias = load(config.qkv_bias, "attn_k.bias"),
          .v_bias = load(config.qkv_bias, "attn_v.bias"),
          .q_norm = load(config.qk_norm, "attn_q_norm.weight"),
          .k_norm = load(config.qk_norm, "attn_k_norm.weight"),
          .attention_sub_norm = load(config.sub_norms, "attn_sub_norm.weight"),
          .post_attention_norm = load(config.post_norms, "post_attention_norm.weight"),
          .feed_forward_norm = load(true, "ffn_norm.weight"),
          .gate = load(!config.fused_gate_up, "ffn_gate.weight"),
          .up = load(!config.fused_gate_up, "ffn_up.weight"),
          .gate_up = load(config.fused_gate_up, "ffn_up.weight"),
          .down = load(true, "ffn_down.weight"),
          .feed_forward_sub_norm = load(config.sub_norms, "ffn_sub_norm.weight"),
          .post_feed_forward_norm = load(config.post_norms, "post_ffw_norm.weight")};
}

Transformer::Angles Transformer::load_angles(const RopeConfig& config) const {
  Angles angles{.config = config, .divisors = {}};
  if (config.short_context != 0) {
    angles.divisors = read_vector(*base_, "rope_factors_short.weight");
  } else if (base_->file().has_tensor("rope_freqs.weight")) {
    angles.divisors = read_vector(*base_, "rope_freqs.weight");
  }
  return angles;
}

void Transformer::ensure(Angles& angles, std::int64_t positions) const {
  if (angles.table.cosines.defined() && angles.table.cosines.size(0) >= positions) return;
  RopeTable table(base_->config().rope_width, angles.config, angles.divisors);
  table.ensure(positions);
  const auto on_device = [&](const float* values) {
    return at::from_blob(const_cast<float*>(values), {positions, table.pairs()}, at::kFloat)
        .to(compute_.low(), false, true);
  };
  angles.table = {on_device(table.cosines(0)), on_device(table.sines(0))};
}

std::uint64_t Transformer::activation_bytes_per_token() const {
  const ModelConfig& config = base_->config();
  const std::uint64_t q = std::uint64_t{config.heads} * config.head_width;
  const std::uint64_t kv = std::uint64_t{config.kv_heads} * config.head_width;
  // two sums and norms of the residual stream; q and k before and after they turn, v, and what
  // attention gives; gate, up, the activation and its product
  const std::uint64_t values =
      4 * std::uint64_t{config.width} + 3 * q + 3 * kv + 4 * std::uint64_t{config.feed_forward};
  return at::elementSize(compute_.type) * config.layers * values;
}

at::Tensor Transformer::norm_if(const at::Tensor& x, const at::Tensor& weight) const {
  return weight.defined() ? rms_norm(x, weight, base_->config().norm_epsilon) : x;
}

at::Tensor Transformer::attention_block(const at::Tensor& x, std::size_t layer,
                                        const PackedTokens& tokens, const LoraTable& loras) const {
  const Layer& w = layers_[layer];
  const ModelConfig& config = base_->config();
  const auto number = static_cast<std::uint32_t>(layer);
  const at::Tensor in = norm_if(x, w.attention_norm);
  // Below the first layer's adapters nothing is trained.
  const auto project = [&](const at::Tensor& weights, Module module) {
    return linear(in, weights, loras.at(layer, module), layer == 0);
  };
  at::Tensor q, k, v;
  if (config.fused_qkv) {
    const std::int64_t wide = std::int64_t{config.heads} * config.head_width;
    const std::int64_t narrow = std::int64_t{config.kv_heads} * config.head_width;
    const at::Tensor all = project(w.qkv, Module::kQkv);
    q = part_of(all, 0, wide);
    k = part_of(all, wide, narrow);
    v = part_of(all, wide + narrow, narrow);
  } else {
    q = project(w.q, Module::kQ);
    k = project(w.k, Module::kK);
    v = project(w.v, Module::kV);
  }
  if (config.qkv_bias) {
    q = q + w.q_bias;
    k = k + w.k_bias;
    v = v + w.v_bias;
  }
  const std::optional<Regrouping>& other = tokens.regrouping;
  const auto sequences = [&](const at::Tensor& of) {
    return other ? arranged(of, other->sequences, other->rows) : of;
  };
  const auto prepare = [&](const at::Tensor& heads, const at::Tensor& norm) {
    at::Tensor to = heads;
    if (norm.defined()) {
      to = norm_if(heads.view({heads.size(0), -1, config.head_width}), norm).view(heads.sizes());
    }
    to = sequences(to);
    if (!config.rotates(number)) return to;
    const bool local = local_angles_.has_value() && config.has_window(number);
    return rotate(to, local ? local_angles_->table : angles_.table, config.rope_order,
                  config.head_width, tokens.sequence);
  };
  const AttentionShape shape{.heads = config.heads,
                             .kv_heads = config.kv_heads,
                             .head_width = config.head_width,
                             .scale = config.attention_scale,
                             .cap = config.attention_cap,
                             .window = config.has_window(number) ? config.window : 0};
  at::Tensor mixed =
      attention(prepare(q, w.q_norm), prepare(k, w.k_norm), sequences(v), shape, tokens.sequence);
  if (other) mixed = arranged(mixed, other->rows, other->sequences);
  const at::Tensor out = linear(norm_if(mixed, w.attention_sub_norm), w.output,
                                loras.at(layer, Module::kOutput), false);
  return norm_if(out, w.post_attention_norm);
}

at::Tensor Transformer::feed_forward_block(const at::Tensor& x, std::size_t layer,
                                           const LoraTable& loras) const {
  const Layer& w = layers_[layer];
  const ModelConfig& config = base_->config();
  const at::Tensor in = norm_if(x, w.feed_forward_norm);
  const auto project = [&](const at::Tensor& from, const at::Tensor& weights, Module module) {
    return linear(from, weights, loras.at(layer, module), false);
  };
  at::Tensor gate, up;
  if (config.fused_gate_up) {
    const at::Tensor both = project(in, w.gate_up, Module::kGateUp);
    gate = part_of(both, 0, config.feed_forward);
    up = part_of(both, config.feed_forward, config.feed_forward);
  } else {
    gate = project(in, w.gate, Module::kGate);
    up = project(in, w.up, Module::kUp);
  }
  const at::Tensor inner = norm_if(gated(config.activation, gate, up), w.feed_forward_sub_norm);
  return norm_if(project(inner, w.down, Module::kDown), w.post_feed_forward_norm);
}

Result<at::Tensor> Transformer::hidden(const PackedTokens& tokens, const LoraTable& loras) {
  const ModelConfig& config = base_->config();
  if (config.rope.short_context != 0 && tokens.sequence > config.rope.short_context) {
    return Error{ErrorCode::kUnsupported,
                 cat("sequences of over ", config.rope.short_context,
                     " tokens take LongRoPE's other table, which packs don't compute with; use "
                     "shorter windows, or the CPU")};
  }
  ensure(angles_, tokens.sequence);
  if (local_angles_) ensure(*local_angles_, tokens.sequence);
  at::Tensor x = at::embedding(embedding_, tokens.ids);
  if (config.embedding_scale != 1.0F) x = x * config.embedding_scale;
  // Adapters' gradients are written by the layers themselves; the graph of the backward pass hangs
  // on the embedding.
  if (at::GradMode::is_enabled()) x.requires_grad_();
  for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
    x = x + attention_block(x, layer, tokens, loras);
    x = x + feed_forward_block(x, layer, loras);
  }
  return norm_if(x, output_norm_);
}

} // namespace coppice::graph::packed
