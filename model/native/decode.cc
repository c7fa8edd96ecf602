// SPDX-License-Identifier: Apache-2.0
#include "model/native/decode.h"

#include <algorithm>
#include <cmath>

#include "model/native/gating.h"

namespace coppice::native {
namespace {

constexpr std::size_t kFewestRows = 16; // of a share

} // namespace

TokenDecoder::TokenDecoder(Transformer& transformer, const ModelLora& lora, KvCache& cache,
                           CpuLevel level, bool int8_activations)
    : transformer_(transformer),
      lora_(lora),
      cache_(cache),
      level_(level),
      int8_activations_(int8_activations) {
  const ModelConfig& config = transformer.config();
  for (const Layer& layer : transformer.layers()) {
    shares_.emplace_back();
    for (std::size_t g = 0; g < kGroups; ++g) {
      shares_.back()[g] = share(layer.weights().groups[g]);
    }
  }
  const WeightMatrix& head = transformer.head().weight;
  head_group_ = {.in = head.columns(),
                 .out = head.rows(),
                 .projections = {{.tensor = "output", .weight = head, .column = 0, .bias = {}}}};
  head_shares_ = share(head_group_);
  const std::size_t q = std::size_t{config.heads} * config.head_width;
  const std::size_t qkv = q + 2 * std::size_t{config.kv_heads} * config.head_width;
  const std::size_t f = config.feed_forward;
  x_.resize(config.width);
  normed_.resize(std::max<std::size_t>(config.width, q));
  wide_.resize(std::max(qkv, 2 * f));
  gated_.resize(std::max(f, q));
  out_.resize(config.width);
  logits_.resize(head.rows());
}

TokenDecoder::GroupShares TokenDecoder::share(const ProjectionGroup& group) const {
  GroupShares made;
  made.int8 = int8_activations_ && group.in % Int8Row::kBlock == 0;
  const std::size_t rows =
      std::max(kFewestRows, group.out / (4 * std::size_t{transformer_.pool().threads()}));
  for (std::size_t p = 0; p < group.projections.size(); ++p) {
    const Projection& projection = group.projections[p];
    made.int8 = made.int8 && int8_products(projection.weight.type(), level_) != nullptr;
    for (std::size_t row = 0; row < projection.weight.rows(); row += rows) {
      made.shares.push_back({&projection, p, row, std::min(rows, projection.weight.rows() - row)});
    }
  }
  return made;
}

void TokenDecoder::product(const WeightMatrix& w, std::size_t row, std::size_t count, bool int8,
                           const float* x, float* y, Scratch& scratch) const {
  if (int8) {
    int8_products(w.type(), level_)(w.row(row), w.row_bytes(), count, rounded_, y);
    return;
  }
  float* weights = scratch.floats(Slot::kWeights, w.columns());
  for (std::size_t i = 0; i < count; ++i) {
    w.dequantize(row + i, 0, w.columns(), weights);
    y[i] = dot(weights, x, w.columns());
  }
}

void TokenDecoder::project(const GroupShares& shares,
                           std::span<const std::vector<LoraFactor>> adapters, const float* x,
                           std::size_t in, float* y) {
  if (shares.int8) rounded_.assign(x, in);
  hidden_.resize(adapters.size());
  for (std::size_t p = 0; p < adapters.size(); ++p) {
    hidden_[p].resize(adapters[p].size());
    for (std::size_t f = 0; f < adapters[p].size(); ++f) {
      const LoraFactor& factor = adapters[p][f];
      hidden_[p][f].resize(factor.rank);
      for (std::size_t r = 0; r < factor.rank; ++r) {
        hidden_[p][f][r] = factor.scale * dot(factor.a + r * in, x, in);
      }
    }
  }
  transformer_.pool().run(shares.shares.size(), [&](std::size_t i, Scratch& scratch) {
    const Share& s = shares.shares[i];
    float* out = y + s.projection->column + s.row;
    product(s.projection->weight, s.row, s.count, shares.int8, x, out, scratch);
    if (!s.projection->bias.empty()) add_row(s.projection->bias.data() + s.row, s.count, out);
    if (adapters.empty()) return;
    for (std::size_t f = 0; f < adapters[s.index].size(); ++f) {
      const LoraFactor& factor = adapters[s.index][f];
      for (std::size_t row = 0; row < s.count; ++row) {
        const float* b = factor.b + (s.row + row) * factor.rank;
        float sum = 0;
        for (std::size_t r = 0; r < factor.rank; ++r) sum += b[r] * hidden_[s.index][f][r];
        out[row] += sum;
      }
    }
  });
}

void TokenDecoder::normalize(const float* x, const std::vector<float>& weight, std::size_t n,
                             float* y) const {
  normalize_row(x, transformer_.config().norm_epsilon, n, y);
  multiply_row(y, weight.data(), n, y);
}

// out (q) = attention of the newest token over the cache.
void TokenDecoder::attend(std::size_t index, const float* qkv, float* out) {
  const ModelConfig& config = transformer_.config();
  const std::size_t width = config.head_width;
  const std::size_t group = config.heads / config.kv_heads;
  const std::size_t length = cache_.length() + 1;
  const std::size_t window =
      config.has_window(static_cast<std::uint32_t>(index)) ? config.window : 0;
  const std::size_t first = window > 0 && length > window ? length - window : 0;
  const std::size_t seen = length - first;
  const float* k = qkv + config.heads * width;
  cache_.put(index, length - 1, k, k + cache_.columns());
  transformer_.pool().run(config.kv_heads, [&](std::size_t kv_head, Scratch& scratch) {
    float* scores = scratch.floats(Slot::kScores, group * seen);
    float* row = scratch.floats(Slot::kRows, width);
    const float* q = qkv + kv_head * group * width;
    float* mixed = out + kv_head * group * width;
    for (std::size_t j = 0; j < seen; ++j) {
      cache_.keys(index, first + j, kv_head * width, width, row);
      for (std::size_t g = 0; g < group; ++g) scores[g * seen + j] = dot(q + g * width, row, width);
    }
    std::fill_n(mixed, group * width, 0.0F);
    for (std::size_t g = 0; g < group; ++g) {
      float* weights = scores + g * seen;
      scale_row(weights, config.attention_scale, seen);
      if (config.attention_cap > 0) cap_row(weights, config.attention_cap, seen);
      const float sum = exponentiate_row(weights, maximum(weights, seen), seen);
      scale_row(weights, 1.0F / sum, seen);
    }
    for (std::size_t j = 0; j < seen; ++j) {
      cache_.values(index, first + j, kv_head * width, width, row);
      for (std::size_t g = 0; g < group; ++g) {
        add_scaled_row(row, scores[g * seen + j], width, mixed + g * width);
      }
    }
  });
}

void TokenDecoder::layer(std::size_t index, float* x) {
  const ModelConfig& config = transformer_.config();
  const LayerWeights& w = transformer_.layers()[index].weights();
  const LayerFactors& adapters = lora_.factors(index);
  const std::size_t d = config.width;
  const std::size_t width = config.head_width;
  const std::size_t q = std::size_t{config.heads} * width;
  const std::size_t f = config.feed_forward;
  const auto apply = [&](Group which, const float* from, float* to) {
    const auto g = static_cast<std::size_t>(which);
    project(shares_[index][g], adapters[g], from, w.groups[g].in, to);
  };
  const auto add_projected = [&](const std::vector<float>& post) {
    if (config.post_norms) normalize(out_.data(), post, d, out_.data());
    add_row(out_.data(), d, x);
  };

  normalize(x, w.attention_norm, d, normed_.data());
  apply(Group::kQkv, normed_.data(), wide_.data());
  const std::size_t heads = config.heads + config.kv_heads;
  for (std::size_t head = 0; config.qk_norm && head < heads; ++head) {
    float* part = wide_.data() + head * width;
    normalize(part, head < config.heads ? w.query_norm : w.key_norm, width, part);
  }
  transformer_.rope().rotate(static_cast<std::uint32_t>(index), cache_.length(),
                             cache_.length() + 1, 1.0F, heads, wide_.data());
  attend(index, wide_.data(), gated_.data());
  if (config.sub_norms) normalize(gated_.data(), w.attention_sub_norm, q, gated_.data());
  apply(Group::kOutput, gated_.data(), out_.data());
  add_projected(w.post_attention_norm);

  normalize(x, w.feed_forward_norm, d, normed_.data());
  apply(Group::kGateUp, normed_.data(), wide_.data());
  gated(config.activation, wide_.data(), wide_.data() + f, f, gated_.data());
  if (config.sub_norms) normalize(gated_.data(), w.feed_forward_sub_norm, f, gated_.data());
  apply(Group::kDown, gated_.data(), out_.data());
  add_projected(w.post_feed_forward_norm);
}

std::span<const float> TokenDecoder::advance(TokenId token) {
  const ModelConfig& config = transformer_.config();
  transformer_.embed({&token, 1}, {x_.data(), 1, config.width, config.width});
  for (std::size_t i = 0; i < shares_.size(); ++i) layer(i, x_.data());
  cache_.advance(1);
  normalize_row(x_.data(), config.norm_epsilon, config.width, normed_.data());
  multiply_row(normed_.data(), transformer_.output_norm().data(), config.width, normed_.data());
  project(head_shares_, {}, normed_.data(), config.width, logits_.data());
  if (config.output_cap > 0) cap_row(logits_.data(), config.output_cap, logits_.size());
  return logits_;
}

} // namespace coppice::native
