// SPDX-License-Identifier: Apache-2.0
// The forward pass of every architecture that BaseModel opens, as its diagram reads; what they do
// differently comes from ModelConfig.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "model/engine.h"
#include "model/graph/attention.h"
#include "model/graph/cross_entropy.h"
#include "model/graph/layers.h"
#include "model/graph/lora.h"
#include "model/graph/quantized_matrix.h"

namespace coppice::graph {

// What an architecture lacks is empty.
struct LayerWeights {
  std::vector<float> attention_norm; // (d)
  QuantizedMatrix q, k, v, qkv, output;
  at::Tensor q_bias, k_bias, v_bias;      // (out)
  std::vector<float> q_norm, k_norm;      // (head_width)
  std::vector<float> attention_sub_norm;  // (h * head_width)
  std::vector<float> post_attention_norm; // (d)
  std::vector<float> feed_forward_norm;   // (d)
  QuantizedMatrix gate, up, gate_up, down;
  std::vector<float> feed_forward_sub_norm;  // (f)
  std::vector<float> post_feed_forward_norm; // (d)
};

// The tokens of several sequences after one another, client by client: what one pass computes.
struct TokenBatch {
  std::vector<TokenId> tokens;    // (T)
  std::vector<TokenPlace> places; // (T)
  std::vector<TokenRange> sequences;
  std::vector<TokenRange> clients; // one a client, possibly empty

  explicit TokenBatch(std::size_t client_count) : clients(client_count) {}
  // Clients in ascending order.
  void add(std::size_t client, std::span<const TokenId> sequence) {
    add_part(client, sequence, {0, static_cast<std::int64_t>(sequence.size())});
  }
  // A part of a sequence; `first` is the place of the part's first token.
  void add_part(std::size_t client, std::span<const TokenId> part, TokenPlace first);
  std::int64_t size() const { return static_cast<std::int64_t>(tokens.size()); }
};

// Keys and values of one sequence so far, for decoding.
class KvCache {
 public:
  KvCache(const ModelConfig& config, std::int64_t capacity); // tokens
  std::int64_t length() const { return length_; }
  void advance(std::int64_t tokens) { length_ += tokens; }
  void clear() { length_ = 0; }
  // Appends rows to a layer (advance() after the last layer), then returns all of the layer's.
  MatrixView append_keys(std::size_t layer, const at::Tensor& k) { return append(keys_[layer], k); }
  MatrixView append_values(std::size_t layer, const at::Tensor& v) {
    return append(values_[layer], v);
  }

 private:
  MatrixView append(const at::Tensor& store, const at::Tensor& rows) const;
  std::vector<at::Tensor> keys_; // (capacity, h_kv * head_width) a layer
  std::vector<at::Tensor> values_;
  std::int64_t length_ = 0;
};

class Transformer {
 public:
  Transformer(std::shared_ptr<const BaseModel> base, unsigned threads);

  const BaseModel& base() const { return *base_; }
  WorkerPool& pool() { return pool_; }
  const OutputHead& head() const { return head_; }
  // Engine::stop_when(); looked at between passes, by those who compute them.
  const std::atomic<bool>* stop_when(const std::atomic<bool>* stop) {
    return std::exchange(stop_, stop);
  }
  bool stopped() const { return stop_ != nullptr && stop_->load(); }

  // The residual stream after the last block, before the final norm: (T, d). With a cache, the
  // batch is one sequence that goes on from the cache's length. The batch and adapters outlive the
  // backward pass.
  at::Tensor hidden(const TokenBatch& batch, const LoraStack& adapters, KvCache* cache = nullptr);
  at::Tensor final_norm(const at::Tensor& hidden);
  // (n, V) of hidden states after the final norm.
  at::Tensor logits(const at::Tensor& normed);

 private:
  // q, k and v of a layer, each (T, heads * head_width), rotated.
  struct Projections {
    at::Tensor q, k, v;
  };
  Projections attention_inputs(const at::Tensor& in, std::size_t layer, const TokenBatch& batch,
                               const LoraStack& adapters);
  at::Tensor attention_block(const at::Tensor& x, std::size_t layer, const TokenBatch& batch,
                             const LoraStack& adapters, KvCache* cache);
  at::Tensor feed_forward_block(const at::Tensor& x, std::size_t layer, const TokenBatch& batch,
                                const LoraStack& adapters);
  // As it is where `weight` is empty.
  at::Tensor norm_if(const at::Tensor& x, const std::vector<float>& weight);
  AttentionShape attention_shape(std::size_t layer) const;
  const Rope& rope_of(std::size_t layer) const;

  std::shared_ptr<const BaseModel> base_;
  WorkerPool pool_;
  QuantizedMatrix embedding_;
  std::vector<LayerWeights> layers_;
  std::vector<float> output_norm_;
  OutputHead head_;
  Rope rope_;
  std::optional<Rope> local_rope_; // of layers with a window
  const std::atomic<bool>* stop_ = nullptr;
};

} // namespace coppice::graph
