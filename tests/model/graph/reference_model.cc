// SPDX-License-Identifier: Apache-2.0
#include "tests/model/graph/reference_model.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "model/quantized_blocks.h"

namespace coppice::graph {

ReferenceModel::ReferenceModel(const BaseModel& base) : config_(base.config()) {
  for (const GgufTensor& tensor : base.file().tensors()) {
    std::vector<float> values(tensor.elements());
    dequantize_row(tensor.type, tensor.data, values);
    const std::string name = tensor.name.substr(0, tensor.name.rfind(".weight"));
    matrices_[name] = {.values = {values.begin(), values.end()},
                       .rows = values.size() / tensor.dims[0],
                       .columns = tensor.dims[0]};
  }
}

ReferenceModel::Rows ReferenceModel::norm(const Rows& x, const std::string& name) const {
  const auto& weight = matrix(name).values;
  Rows y = x;
  for (auto& row : y) {
    double squares = 0;
    for (const double value : row) squares += value * value;
    const double size =
        std::sqrt(squares / static_cast<double>(row.size()) + double{config_.norm_epsilon});
    for (std::size_t i = 0; i < row.size(); ++i) row[i] *= weight[i] / size;
  }
  return y;
}

ReferenceModel::Rows ReferenceModel::linear(const Rows& x, const std::string& name,
                                            std::span<const AdapterUse> adapters) const {
  if (on_input) on_input(name, x);
  const Matrix& w = matrix(name);
  Rows y(x.size(), std::vector<double>(w.rows));
  for (std::size_t t = 0; t < x.size(); ++t) {
    for (std::size_t i = 0; i < w.rows; ++i) {
      for (std::size_t j = 0; j < w.columns; ++j) y[t][i] += w.values[i * w.columns + j] * x[t][j];
    }
  }
  for (const AdapterUse& use : adapters) {
    const AdapterSpec& spec = use.adapter->spec();
    for (std::size_t target = 0; target < spec.targets.size(); ++target) {
      if (spec.targets[target].tensor != name) continue;
      const double scale = double{spec.scale(target)} * double{use.strength};
      const auto a = use.adapter->a(target), b = use.adapter->b(target);
      const std::size_t rank = spec.targets[target].rank;
      for (std::size_t t = 0; t < x.size(); ++t) {
        for (std::size_t k = 0; k < rank; ++k) {
          double low = 0;
          for (std::size_t j = 0; j < w.columns; ++j) low += double{a[k * w.columns + j]} * x[t][j];
          for (std::size_t i = 0; i < w.rows; ++i) y[t][i] += scale * double{b[i * rank + k]} * low;
        }
      }
    }
  }
  return y;
}

void ReferenceModel::rotate(Rows& x) const {
  const auto divisors = matrices_.find("rope_freqs");
  for (std::size_t t = 0; t < x.size(); ++t) {
    for (std::size_t column = 0; column < x[t].size(); column += 2) {
      const std::size_t within = column % config_.head_width;
      if (within >= config_.rope_width) continue;
      double angle =
          static_cast<double>(t) *
          std::pow(double{config_.rope.base}, -static_cast<double>(within) / config_.rope_width);
      if (divisors != matrices_.end()) angle /= divisors->second.values[within / 2];
      const double first = x[t][column], second = x[t][column + 1];
      x[t][column] = first * std::cos(angle) - second * std::sin(angle);
      x[t][column + 1] = first * std::sin(angle) + second * std::cos(angle);
    }
  }
}

ReferenceModel::Rows ReferenceModel::attend(const Rows& q, const Rows& k, const Rows& v) const {
  const std::size_t width = config_.head_width;
  Rows out(q.size(), std::vector<double>(q[0].size()));
  for (std::size_t head = 0; head < config_.heads; ++head) {
    const std::size_t kv = head / (config_.heads / config_.kv_heads) * width;
    for (std::size_t t = 0; t < q.size(); ++t) {
      std::vector<double> weights(t + 1);
      double total = 0;
      for (std::size_t s = 0; s <= t; ++s) {
        double score = 0;
        for (std::size_t i = 0; i < width; ++i) score += q[t][head * width + i] * k[s][kv + i];
        total += weights[s] = std::exp(score / std::sqrt(static_cast<double>(width)));
      }
      for (std::size_t s = 0; s <= t; ++s) {
        for (std::size_t i = 0; i < width; ++i) {
          out[t][head * width + i] += weights[s] / total * v[s][kv + i];
        }
      }
    }
  }
  return out;
}

std::vector<double> ReferenceModel::logits(std::span<const AdapterUse> adapters,
                                           std::span<const TokenId> tokens) const {
  const auto add = [](Rows& x, const Rows& y) {
    for (std::size_t t = 0; t < x.size(); ++t) {
      for (std::size_t i = 0; i < x[t].size(); ++i) x[t][i] += y[t][i];
    }
  };
  const Matrix& embedding = matrix("token_embd");
  Rows x;
  for (const TokenId token : tokens) {
    const auto begin =
        embedding.values.begin() + token * static_cast<std::ptrdiff_t>(embedding.columns);
    x.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(embedding.columns));
  }
  for (std::uint32_t layer = 0; layer < config_.layers; ++layer) {
    const auto name = [&](const char* part) { return cat("blk.", layer, ".", part); };
    Rows in = norm(x, name("attn_norm"));
    Rows q = linear(in, name("attn_q"), adapters), k = linear(in, name("attn_k"), adapters);
    rotate(q);
    rotate(k);
    const Rows mixed = attend(q, k, linear(in, name("attn_v"), adapters));
    add(x, linear(mixed, name("attn_output"), adapters));
    in = norm(x, name("ffn_norm"));
    Rows gate = linear(in, name("ffn_gate"), adapters);
    const Rows up = linear(in, name("ffn_up"), adapters);
    for (std::size_t t = 0; t < gate.size(); ++t) {
      for (std::size_t i = 0; i < gate[t].size(); ++i) {
        gate[t][i] *= up[t][i] / (1.0 + std::exp(-gate[t][i]));
      }
    }
    add(x, linear(gate, name("ffn_down"), adapters));
  }
  const Rows rows =
      linear(norm(x, "output_norm"), config_.tied_output ? "token_embd" : "output", {});
  std::vector<double> all;
  for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
  return all;
}

double ReferenceModel::nats(std::span<const AdapterUse> adapters, const Sequence& sequence) const {
  const std::vector<double> all = logits(adapters, sequence.tokens);
  const std::size_t width = config_.vocabulary;
  double sum = 0;
  for (std::size_t i = 1; i < sequence.tokens.size(); ++i) {
    if (sequence.targets[i] == 0) continue;
    const double* row = &all[(i - 1) * width];
    double total = 0;
    for (std::size_t id = 0; id < width; ++id) total += std::exp(row[id]);
    sum += std::log(total) - row[sequence.tokens[i]];
  }
  return sum;
}

} // namespace coppice::graph
