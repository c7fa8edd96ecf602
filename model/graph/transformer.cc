// SPDX-License-Identifier: Apache-2.0
#include "model/graph/transformer.h"

#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "base/text.h"
#include "model/graph/linear.h"
#include "model/quantized_blocks.h"

namespace coppice::graph {
namespace {

// BaseModel::open has checked that every tensor is there, with its shape.
const GgufTensor& tensor(const BaseModel& base, const std::string& name) {
  return *base.file().find_tensor(name).value();
}

QuantizedMatrix weights(const BaseModel& base, const std::string& name) {
  return QuantizedMatrix(WeightRows::open(base.file(), name).value());
}

std::vector<float> vector(const BaseModel& base, const std::string& name) {
  const GgufTensor& source = tensor(base, name);
  std::vector<float> values(source.elements());
  dequantize_row(source.type, source.data, values);
  return values;
}

std::vector<float> vector_if(const BaseModel& base, bool present, const std::string& name) {
  return present ? vector(base, name) : std::vector<float>();
}

Rope load_rope(const BaseModel& base, const RopeConfig& config) {
  const ModelConfig& model = base.config();
  const std::int64_t width = model.rope_width;
  Rope rope{.usual = RopeTable(width, config, {}),
            .longer = std::nullopt,
            .short_context = config.short_context,
            .order = model.rope_order,
            .head_width = model.head_width};
  if (config.short_context != 0) {
    rope.usual = RopeTable(width, config, vector(base, "rope_factors_short.weight"));
    rope.longer = RopeTable(width, config, vector(base, "rope_factors_long.weight"));
  } else if (base.file().has_tensor("rope_freqs.weight")) {
    rope.usual = RopeTable(width, config, vector(base, "rope_freqs.weight"));
  }
  return rope;
}

LayerWeights load_layer(const BaseModel& base, std::uint32_t layer) {
  const ModelConfig& config = base.config();
  const auto name = [&](const char* part) { return cat("blk.", layer, ".", part); };
  const auto norm = [&](bool present, const char* part) {
    return vector_if(base, present, name(part) + ".weight");
  };
  const auto matrix = [&](bool present, const char* part) {
    return present ? weights(base, name(part) + ".weight") : QuantizedMatrix();
  };
  const auto bias = [&](const char* part) {
    if (!config.qkv_bias) return at::Tensor();
    const std::vector<float> values = vector(base, name(part) + ".bias");
    return at::tensor(values, at::kFloat);
  };
  return {.attention_norm = norm(true, "attn_norm"),
          .q = matrix(!config.fused_qkv, "attn_q"),
          .k = matrix(!config.fused_qkv, "attn_k"),
          .v = matrix(!config.fused_qkv, "attn_v"),
          .qkv = matrix(config.fused_qkv, "attn_qkv"),
          .output = matrix(true, "attn_output"),
          .q_bias = bias("attn_q"),
          .k_bias = bias("attn_k"),
          .v_bias = bias("attn_v"),
          .q_norm = norm(config.qk_norm, "attn_q_norm"),
          .k_norm = norm(config.qk_norm, "attn_k_norm"),
          .attention_sub_norm = norm(config.sub_norms, "attn_sub_norm"),
          .post_attention_norm = norm(config.post_norms, "post_attention_norm"),
          .feed_forward_norm = norm(true, "ffn_norm"),
          .gate = matrix(!config.fused_gate_up, "ffn_gate"),
          .up = matrix(!config.fused_gate_up, "ffn_up"),
          .gate_up = matrix(config.fused_gate_up, "ffn_up"),
          .down = matrix(true, "ffn_down"),
          .feed_forward_sub_norm = norm(config.sub_norms, "ffn_sub_norm"),
          .post_feed_forward_norm = norm(config.post_norms, "post_ffw_norm")};
}

// The columns of a fused product that belong to one of its matrices.
at::Tensor part_of(const at::Tensor& fused, std::int64_t first, std::int64_t columns) {
  return fused.narrow(1, first, columns).contiguous();
}

} // namespace

void TokenBatch::add_part(std::size_t client, std::span<const TokenId> part, TokenPlace first) {
  const std::int64_t begin = size();
  tokens.insert(tokens.end(), part.begin(), part.end());
  for (std::size_t i = 0; i < part.size(); ++i) {
    places.push_back({first.position + static_cast<std::int64_t>(i), first.length});
  }
  sequences.push_back({begin, size()});
  // Clients that come later start, for now, where this one ends.
  clients[client].end = size();
  for (std::size_t later = client + 1; later < clients.size(); ++later) {
    clients[later] = {size(), size()};
  }
}

KvCache::KvCache(const ModelConfig& config, std::int64_t capacity) {
  const std::int64_t width = std::int64_t{config.kv_heads} * config.head_width;
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    keys_.push_back(at::empty({capacity, width}, at::kFloat));
    values_.push_back(at::empty({capacity, width}, at::kFloat));
  }
}

MatrixView KvCache::append(const at::Tensor& store, const at::Tensor& rows) const {
  const MatrixView from = MatrixView::of(rows);
  const MatrixView all = MatrixView::of(store).row_range(0, length_ + from.rows);
  std::copy_n(from.data, from.rows * from.columns, all.row_range(length_, all.rows).data);
  return all;
}

Transformer::Transformer(std::shared_ptr<const BaseModel> base, unsigned threads)
    : base_(std::move(base)),
      pool_(threads),
      embedding_(weights(*base_, "token_embd.weight")),
      output_norm_(vector(*base_, "output_norm.weight")),
      head_{.weights = base_->config().tied_output ? embedding_ : weights(*base_, "output.weight"),
            .cap = base_->config().output_cap},
      rope_(load_rope(*base_, base_->config().rope)) {
  const ModelConfig& config = base_->config();
  if (config.has_local_rope) local_rope_ = load_rope(*base_, config.local_rope);
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    layers_.push_back(load_layer(*base_, layer));
  }
}

AttentionShape Transformer::attention_shape(std::size_t layer) const {
  const ModelConfig& config = base_->config();
  return {.heads = config.heads,
          .kv_heads = config.kv_heads,
          .head_width = config.head_width,
          .scale = config.attention_scale,
          .cap = config.attention_cap,
          .window = config.has_window(static_cast<std::uint32_t>(layer)) ? config.window : 0};
}

const Rope& Transformer::rope_of(std::size_t layer) const {
  const bool local = base_->config().has_window(static_cast<std::uint32_t>(layer));
  return local_rope_ && local ? *local_rope_ : rope_;
}

at::Tensor Transformer::norm_if(const at::Tensor& x, const std::vector<float>& weight) {
  return weight.empty() ? x : rms_norm(pool_, x, weight, base_->config().norm_epsilon);
}

at::Tensor Transformer::hidden(const TokenBatch& batch, const LoraStack& adapters, KvCache* cache) {
  std::int64_t positions = 0;
  for (const TokenPlace& place : batch.places) {
    positions = std::max(positions, place.position + 1);
  }
  rope_.ensure(positions);
  if (local_rope_) local_rope_->ensure(positions);
  at::Tensor x = embed(pool_, embedding_, batch.tokens);
  if (base_->config().embedding_scale != 1.0F) x = at::mul(x, base_->config().embedding_scale);
  for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
    x = at::add(x, attention_block(x, layer, batch, adapters, cache));
    x = at::add(x, feed_forward_block(x, layer, batch, adapters));
  }
  if (cache != nullptr) cache->advance(batch.size());
  return x;
}

Transformer::Projections Transformer::attention_inputs(const at::Tensor& in, std::size_t layer,
                                                       const TokenBatch& batch,
                                                       const LoraStack& adapters) {
  const LayerWeights& w = layers_[layer];
  const ModelConfig& config = base_->config();
  const auto project = [&](const QuantizedMatrix& weights, Module module) {
    return linear(pool_, in, weights, adapters.at(layer, module), batch.clients);
  };
  Projections to;
  if (config.fused_qkv) {
    const std::int64_t q = std::int64_t{config.heads} * config.head_width;
    const std::int64_t kv = std::int64_t{config.kv_heads} * config.head_width;
    const at::Tensor all = project(w.qkv, Module::kQkv);
    to = {part_of(all, 0, q), part_of(all, q, kv), part_of(all, q + kv, kv)};
  } else {
    to = {project(w.q, Module::kQ), project(w.k, Module::kK), project(w.v, Module::kV)};
  }
  if (config.qkv_bias) {
    to = {at::add(to.q, w.q_bias), at::add(to.k, w.k_bias), at::add(to.v, w.v_bias)};
  }
  if (config.qk_norm) {
    to.q = rms_norm_heads(pool_, to.q, w.q_norm, config.norm_epsilon);
    to.k = rms_norm_heads(pool_, to.k, w.k_norm, config.norm_epsilon);
  }
  if (config.rotates(static_cast<std::uint32_t>(layer))) {
    to.q = rotate(pool_, to.q, rope_of(layer), batch.places);
    to.k = rotate(pool_, to.k, rope_of(layer), batch.places);
  }
  return to;
}

at::Tensor Transformer::attention_block(const at::Tensor& x, std::size_t layer,
                                        const TokenBatch& batch, const LoraStack& adapters,
                                        KvCache* cache) {
  const LayerWeights& w = layers_[layer];
  const AttentionShape shape = attention_shape(layer);
  const at::Tensor in = norm_if(x, w.attention_norm);
  const auto [q, k, v] = attention_inputs(in, layer, batch, adapters);
  const at::Tensor mixed = cache == nullptr
                               ? attention(pool_, q, k, v, batch.sequences, shape)
                               : attention_with_cache(pool_, q, cache->append_keys(layer, k),
                                                      cache->append_values(layer, v), shape);
  const at::Tensor out = linear(pool_, norm_if(mixed, w.attention_sub_norm), w.output,
                                adapters.at(layer, Module::kOutput), batch.clients);
  return norm_if(out, w.post_attention_norm);
}

at::Tensor Transformer::feed_forward_block(const at::Tensor& x, std::size_t layer,
                                           const TokenBatch& batch, const LoraStack& adapters) {
  const LayerWeights& w = layers_[layer];
  const ModelConfig& config = base_->config();
  const auto project = [&](const at::Tensor& in, const QuantizedMatrix& weights, Module module) {
    return linear(pool_, in, weights, adapters.at(layer, module), batch.clients);
  };
  const at::Tensor in = norm_if(x, w.feed_forward_norm);
  at::Tensor gate, up;
  if (config.fused_gate_up) {
    const at::Tensor both = project(in, w.gate_up, Module::kGateUp);
    gate = part_of(both, 0, config.feed_forward);
    up = part_of(both, config.feed_forward, config.feed_forward);
  } else {
    gate = project(in, w.gate, Module::kGate);
    up = project(in, w.up, Module::kUp);
  }
  const at::Tensor inner =
      norm_if(gated(pool_, config.activation, gate, up), w.feed_forward_sub_norm);
  return norm_if(project(inner, w.down, Module::kDown), w.post_feed_forward_norm);
}

at::Tensor Transformer::final_norm(const at::Tensor& hidden) {
  return rms_norm(pool_, hidden, output_norm_, base_->config().norm_epsilon);
}

at::Tensor Transformer::logits(const at::Tensor& normed) {
  at::Tensor out = at::empty({normed.size(0), head_.weights.rows()}, at::kFloat);
  compute_logits(pool_, MatrixView::of(normed), head_, MatrixView::of(out));
  return out;
}

} // namespace coppice::graph
