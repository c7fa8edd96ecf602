// SPDX-License-Identifier: Apache-2.0
// One token through the whole model: what generation spends its time on once the prompt is read.
//
// Rows of weights are multiplied as they lie in the file, all threads taking some of them, so a
// token costs one pass over the weights. Adapters stay unmerged: A x once, B's row with W's.
#pragma once

#include <span>
#include <vector>

#include "model/native/int8_products.h"
#include "model/native/transformer.h"

namespace coppice::native {

class TokenDecoder {
 public:
  // All must outlive it. With `int8_activations`, products of types that have one (int8_products.h)
  // round their input.
  TokenDecoder(Transformer& transformer, const ModelLora& lora, KvCache& cache, CpuLevel level,
               bool int8_activations);
  // Appends the token to the cache; the logits (V) after it, valid until the next call.
  std::span<const float> advance(TokenId token);

 private:
  // Rows [row, row + count) of one projection: what a thread takes at a time.
  struct Share {
    const Projection* projection;
    std::size_t index; // of the projection in its group
    std::size_t row;
    std::size_t count;
  };
  struct GroupShares {
    std::vector<Share> shares;
    bool int8 = false;
  };
  GroupShares share(const ProjectionGroup& group) const;
  // y (out) = products of a group with x (in), with bias and adapters.
  void project(const GroupShares& shares, std::span<const std::vector<LoraFactor>> adapters,
               const float* x, std::size_t in, float* y);
  void product(const WeightMatrix& w, std::size_t row, std::size_t count, bool int8, const float* x,
               float* y, Scratch& scratch) const;
  void layer(std::size_t index, float* x);
  void attend(std::size_t index, const float* qkv, float* out);
  void normalize(const float* x, const std::vector<float>& weight, std::size_t n, float* y) const;

  Transformer& transformer_;
  const ModelLora& lora_;
  KvCache& cache_;
  CpuLevel level_;
  bool int8_activations_;
  std::vector<std::array<GroupShares, kGroups>> shares_; // a layer
  ProjectionGroup head_group_;
  GroupShares head_shares_;
  Int8Row rounded_;
  std::vector<std::vector<std::vector<float>>> hidden_; // A x: by projection and adapter
  std::vector<float> x_, normed_, wide_, gated_, out_, logits_;
};

} // namespace coppice::native
