// SPDX-License-Identifier: Apache-2.0
// One token of each of some texts through the whole model: what generation spends its time on once
// the prompts are read.
//
// Rows of weights are multiplied as they lie in the file, all threads taking some of them, so a
// token of every text costs one pass over the weights. Adapters stay unmerged: A x once, B's row
// with W's. Texts never mix: each gets the same bits as alone.
#pragma once

#include <span>
#include <vector>

#include "model/native/int8_products.h"
#include "model/native/transformer.h"

namespace coppice::native {

// The next token of a text. All must outlive the call.
struct DecodeRow {
  TokenId token = 0;
  const ModelLora* lora = nullptr;
  KvCache* cache = nullptr; // of this text alone
};

class TokenDecoder {
 public:
  // The transformer must outlive it. With `int8_activations`, products of types that have one
  // (int8_products.h) round their input; of an architecture whose tokens have a scale each, all of
  // the blocks' do.
  TokenDecoder(Transformer& transformer, CpuLevel level, bool int8_activations);
  // Appends each token to its text's cache; the logits (rows, V) after it, valid until the next
  // call.
  FloatRows advance(std::span<const DecodeRow> rows);

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
    std::size_t in = 0;
    bool int8 = false;
    bool head = false;
  };
  GroupShares share(const ProjectionGroup& group) const;
  void resize(std::size_t rows);
  // task(row, scratch) for each text, by all threads where there are several.
  template <typename Task>
  void for_texts(const Task& task);
  // The products of a group with x (rows, in), with bias and adapters.
  void project(std::size_t layer, Group which, const FloatRows& x, const FloatRows& y);
  // With bias, without adapters.
  void multiply(const GroupShares& shares, const Share& share, const FloatRows& x,
                const FloatRows& y, Scratch& scratch) const;
  // x in place, where there is no product of int8.
  void round(const GroupShares& shares, const FloatRows& x);
  void layer(std::size_t index);
  void attend(std::size_t layer, const FloatRows& qkv, const FloatRows& out);
  void attend_head(std::size_t layer, const DecodeRow& text, std::size_t kv_head, const float* qkv,
                   float* out, Scratch& scratch) const;
  void turn(std::size_t layer, const DecodeRow& text, float* qkv) const;
  void normalize(const float* x, const std::vector<float>& weight, std::size_t n, float* y) const;
  void head();

  Transformer& transformer_;
  CpuLevel level_;
  bool int8_activations_;
  std::vector<std::array<GroupShares, kGroups>> shares_; // a layer
  ProjectionGroup head_group_;
  GroupShares head_shares_;

  std::span<const DecodeRow> texts_;      // of this call
  std::vector<Int8Row> rounded_;          // (rows)
  std::vector<std::vector<float>> downs_; // (rows): A x with its scale, by projection and adapter
  Buffer x_memory_, normed_memory_, wide_memory_, gated_memory_, out_memory_, logits_memory_;
  FloatRows x_, normed_, wide_, gated_, out_, logits_;
};

} // namespace coppice::native
