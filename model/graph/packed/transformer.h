// SPDX-License-Identifier: Apache-2.0
// The forward pass of every architecture that BaseModel opens, over packed clients: the counterpart
// of model/graph/transformer.h in plain ATen, with the base's weights held dequantized on the
// device.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "model/graph/lora.h"
#include "model/graph/packed/compute.h"
#include "model/graph/packed/layers.h"
#include "model/graph/packed/packs.h"

namespace coppice::graph::packed {

// Who adapts which layer: one list a layer and module.
class LoraTable {
 public:
  explicit LoraTable(const ModelConfig& config);
  std::vector<Lora>& at(std::size_t layer, Module module) {
    return lists_[layer * kModules + static_cast<std::size_t>(module)];
  }
  const std::vector<Lora>& at(std::size_t layer, Module module) const {
    return lists_[layer * kModules + static_cast<std::size_t>(module)];
  }
  std::size_t places() const { return lists_.size() / kModules * modules_.size(); }
  // By its place in BaseModel::adaptable_modules().
  std::vector<Lora>& at(std::size_t place) {
    return at(place / modules_.size(), modules_[place % modules_.size()]);
  }

 private:
  std::vector<Module> modules_;
  std::vector<std::vector<Lora>> lists_;
};

// How tokens in rows, (K, N), stand as sequences for attention, (1, M T).
struct Regrouping {
  Arrangement sequences;
  Arrangement rows;
};

// Tokens of K rows on the device, filled up with token 0.
struct PackedTokens {
  at::Tensor ids;            // (K, N)
  std::int64_t sequence = 0; // T
  // Without one a row is N / T sequences as it lies.
  std::optional<Regrouping> regrouping{};
};
PackedTokens packed_tokens(const Pack& pack, const PackRows& layout, const Compute& compute);

class Transformer {
 public:
  Transformer(std::shared_ptr<const BaseModel> base, const Compute& compute);

  const BaseModel& base() const { return *base_; }
  const Compute& compute() const { return compute_; }
  // What a token's forward pass leaves for the backward pass, over all layers.
  std::uint64_t activation_bytes_per_token() const;

  // The residual stream after the last block and the final norm: (K, N, d). kUnsupported for a
  // sequence whose RoPE differs from the shorter ones' (LongRoPE beyond its short context).
  Result<at::Tensor> hidden(const PackedTokens& tokens, const LoraTable& loras);
  const at::Tensor& head() const { return head_; }
  double head_cap() const { return base_->config().output_cap; }

  // Engine::stop_when(); looked at between passes, by those who compute them.
  const std::atomic<bool>* stop_when(const std::atomic<bool>* stop) {
    return std::exchange(stop_, stop);
  }
  bool stopped() const { return stop_ != nullptr && stop_->load(); }

 private:
  // What an architecture lacks is undefined.
  struct Layer {
    at::Tensor attention_norm, q, k, v, qkv, output, q_bias, k_bias, v_bias, q_norm, k_norm,
        attention_sub_norm, post_attention_norm, feed_forward_norm, gate, up, gate_up, down,
        feed_forward_sub_norm, post_feed_forward_norm;
  };
  struct Angles {
    RopeConfig config;
    std::vector<float> divisors;
    RotaryTable table{};
  };

  Layer load_layer(std::uint32_t layer) const;
  Angles load_angles(const RopeConfig& config) const;
  void ensure(Angles& angles, std::int64_t positions) const;
  at::Tensor norm_if(const at::Tensor& x, const at::Tensor& weight) const;
  at::Tensor attention_block(const at::Tensor& x, std::size_t layer, const PackedTokens& tokens,
                             const LoraTable& loras) const;
  at::Tensor feed_forward_block(const at::Tensor& x, std::size_t layer,
                                const LoraTable& loras) const;

  std::shared_ptr<const BaseModel> base_;
  Compute compute_;
  at::Tensor embedding_; // (V, d)
  at::Tensor head_;      // (V, d); the embedding itself where it is tied
  at::Tensor output_norm_;
  std::vector<Layer> layers_;
  Angles angles_;
  std::optional<Angles> local_angles_; // of layers with a window
  const std::atomic<bool>* stop_ = nullptr;
};

} // namespace coppice::graph::packed
