// SPDX-License-Identifier: Apache-2.0
// What a text multiplies each linear layer with, column by column: llama.cpp's importance matrix,
// for quantize_model().
//
//   importance_j = sum over tokens of x_j^2 / tokens,   x the layer's input
//
// in float32, summed in float64 in the order of the tokens. As there, embedding and head are left
// out. Gemma's and others' extra norms, biases and windows are the model's own: x is what the layer
// sees. One thread at a time.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/base_model.h"
#include "model/native/transformer.h"
#include "model/quantize_model.h"

namespace coppice::native {

class ImportanceMeter {
 public:
  // Errors as open_native_engine().
  static Result<std::unique_ptr<ImportanceMeter>> make(std::shared_ptr<const BaseModel> base,
                                                       unsigned threads);
  // A text of its own, at most the model's context. kInvalidArgument if it isn't the model's.
  Result<void> add(std::span<const TokenId> tokens);
  std::uint64_t tokens() const { return tokens_; }
  // By tensor ("blk.0.attn_q.weight"). No column counts less than kLeast of its matrix's mean:
  // another text may use what this one doesn't. Empty before the first text.
  static constexpr double kLeast = 1e-6;
  ColumnImportance importance() const;

 private:
  ImportanceMeter(std::shared_ptr<const BaseModel> base, const ProductKernels& kernels,
                  unsigned threads);
  void add_squares(const ElementRows& x, std::vector<double>& sums);

  Transformer transformer_;
  ModelLora none_;
  std::vector<std::array<std::vector<double>, kGroups>> squares_; // a layer: of each group's input
  std::uint64_t tokens_ = 0;
};

} // namespace coppice::native
