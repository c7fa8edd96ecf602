// SPDX-License-Identifier: Apache-2.0
// The llama architecture once more, in float64 and plain loops: the engine's oracle. No code in
// common with the engine but the dequantization of a row, which has its own vectors.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "model/engine.h"

namespace coppice::graph {

class ReferenceModel {
 public:
  using Rows = std::vector<std::vector<double>>; // a vector a token
  explicit ReferenceModel(const BaseModel& base);
  // If set, told the name and input of each product.
  std::function<void(const std::string& name, const Rows& x)> on_input;

  // (tokens, V)
  std::vector<double> logits(std::span<const AdapterUse> adapters,
                             std::span<const TokenId> tokens) const;
  // Summed over the predicted tokens.
  double nats(std::span<const AdapterUse> adapters, const Sequence& sequence) const;

 private:
  struct Matrix {
    std::vector<double> values;
    std::size_t rows = 0, columns = 0;
  };

  const Matrix& matrix(const std::string& name) const { return matrices_.at(name); }
  Rows norm(const Rows& x, const std::string& name) const;
  Rows linear(const Rows& x, const std::string& name, std::span<const AdapterUse> adapters) const;
  void rotate(Rows& x) const;
  Rows attend(const Rows& q, const Rows& k, const Rows& v) const;

  ModelConfig config_;
  std::map<std::string, Matrix> matrices_; // by name without ".weight"
};

} // namespace coppice::graph
