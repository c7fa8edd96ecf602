// SPDX-License-Identifier: Apache-2.0
#include "model/graph/transformer.h"

#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>

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

std::vector<float> vector(const BaseModel& base, const std::string& name) {
  const GgufTensor& source = tensor(base, name);
  std::vector<float> values(source.elements());
  dequantize_row(source.type, source.data, values);
  return values;
}

std::vector<float> rope_divisors(const BaseModel& base) {
  if (!base.file().has_tensor("rope_freqs.weight")) return {};
  return vector(base, "rope_freqs.weight");
}

LayerWeights load_layer(const BaseModel& base, std::uint32_t layer) {
  const auto name = [&](const char* part) { return cat("blk.", layer, ".", part, ".weight"); };
  const auto matrix = [&](const char* part) { return QuantizedMatrix(tensor(base, name(part))); };
  return {.attention_norm = vector(base, name("attn_norm")),
          .q = matrix("attn_q"),
          .k = matrix("attn_k"),
          .v = matrix("attn_v"),
          .output = matrix("attn_output"),
          .feed_forward_norm = vector(base, name("ffn_norm")),
          .gate = matrix("ffn_gate"),
          .up = matrix("ffn_up"),
          .down = matrix("ffn_down")};
}

} // namespace

void TokenBatch::add(std::size_t client, std::span<const TokenId> sequence) {
  const std::int64_t begin = size();
  tokens.insert(tokens.end(), sequence.begin(), sequence.end());
  for (std::size_t i = 0; i < sequence.size(); ++i) {
    positions.push_back(static_cast<std::int64_t>(i));
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
      shape_{.heads = base_->config().heads,
             .kv_heads = base_->config().kv_heads,
             .head_width = base_->config().head_width},
      embedding_(tensor(*base_, "token_embd.weight")),
      output_norm_(vector(*base_, "output_norm.weight")),
      head_(base_->config().tied_output ? embedding_
                                        : QuantizedMatrix(tensor(*base_, "output.weight"))),
      rope_(base_->config().rope_width, base_->config().rope.base, rope_divisors(*base_)) {
  for (std::uint32_t layer = 0; layer < base_->config().layers; ++layer) {
    layers_.push_back(load_layer(*base_, layer));
  }
}

at::Tensor Transformer::hidden(const TokenBatch& batch, const LoraStack& adapters, KvCache* cache) {
  rope_.ensure(*std::max_element(batch.positions.begin(), batch.positions.end()) + 1);
  at::Tensor x = embed(pool_, embedding_, batch.tokens);
  for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
    x = at::add(x, attention_block(x, layer, batch, adapters, cache));
    x = at::add(x, feed_forward_block(x, layer, batch, adapters));
  }
  if (cache != nullptr) cache->advance(batch.size());
  return x;
}

at::Tensor Transformer::attention_block(const at::Tensor& x, std::size_t layer,
                                        const TokenBatch& batch, const LoraStack& adapters,
                                        KvCache* cache) {
  const LayerWeights& w = layers_[layer];
  const auto project = [&](const at::Tensor& in, const QuantizedMatrix& weights, Module module) {
    return linear(pool_, in, weights, adapters.at(layer, module), batch.clients);
  };
  const auto turn = [&](const at::Tensor& in) {
    return rotate(pool_, in, rope_, batch.positions, shape_.head_width);
  };
  const at::Tensor in = rms_norm(pool_, x, w.attention_norm, base_->config().norm_epsilon);
  const at::Tensor q = turn(project(in, w.q, Module::kQ));
  const at::Tensor k = turn(project(in, w.k, Module::kK));
  const at::Tensor v = project(in, w.v, Module::kV);
  const at::Tensor mixed = cache == nullptr
                               ? attention(pool_, q, k, v, batch.sequences, shape_)
                               : attention_with_cache(pool_, q, cache->append_keys(layer, k),
                                                      cache->append_values(layer, v), shape_);
  return project(mixed, w.output, Module::kOutput);
}

at::Tensor Transformer::feed_forward_block(const at::Tensor& x, std::size_t layer,
                                           const TokenBatch& batch, const LoraStack& adapters) {
  const LayerWeights& w = layers_[layer];
  const auto project = [&](const at::Tensor& in, const QuantizedMatrix& weights, Module module) {
    return linear(pool_, in, weights, adapters.at(layer, module), batch.clients);
  };
  const at::Tensor in = rms_norm(pool_, x, w.feed_forward_norm, base_->config().norm_epsilon);
  const at::Tensor gate = project(in, w.gate, Module::kGate);
  const at::Tensor up = project(in, w.up, Module::kUp);
  return project(swiglu(pool_, gate, up), w.down, Module::kDown);
}

at::Tensor Transformer::final_norm(const at::Tensor& hidden) {
  return rms_norm(pool_, hidden, output_norm_, base_->config().norm_epsilon);
}

at::Tensor Transformer::logits(const at::Tensor& normed) {
  at::Tensor out = at::empty({normed.size(0), head_.rows()}, at::kFloat);
  base_product(pool_, MatrixView::of(normed), head_, MatrixView::of(out));
  return out;
}

} // namespace coppice::graph
