// SPDX-License-Identifier: Apache-2.0
#include "model/native/decode.h"

#include <algorithm>
#include <cmath>

#include "model/native/gating.h"

namespace coppice::native {
namespace {

constexpr std::size_t kFewestRows = 16; // of a share

// The adapters of one projection of one group, by projection.
using GroupFactors = std::vector<std::vector<LoraFactor>>;

// A x of all adapters of a group with their scales, one after the other.
void project_down(const GroupFactors& adapters, const float* x, std::size_t in,
                  std::vector<float>& down) {
  down.clear();
  for (const std::vector<LoraFactor>& factors : adapters) {
    for (const LoraFactor& factor : factors) {
      for (std::size_t r = 0; r < factor.rank; ++r) {
        down.push_back(factor.scale * dot(factor.a + r * in, x, in));
      }
    }
  }
}

// y (count) += B's rows [row, row + count) of one projection times `down`.
void add_projected_up(const GroupFactors& adapters, std::size_t projection, std::size_t row,
                      std::size_t count, const std::vector<float>& down, float* y) {
  std::size_t at = 0;
  for (std::size_t p = 0; p < projection; ++p) {
    for (const LoraFactor& factor : adapters[p]) at += factor.rank;
  }
  for (const LoraFactor& factor : adapters[projection]) {
    for (std::size_t i = 0; i < count; ++i) {
      const float* b = factor.b + (row + i) * factor.rank;
      float sum = 0;
      for (std::size_t r = 0; r < factor.rank; ++r) sum += b[r] * down[at + r];
      y[i] += sum;
    }
    at += factor.rank;
  }
}

} // namespace

TokenDecoder::TokenDecoder(Transformer& transformer, CpuLevel level, bool int8_activations)
    : transformer_(transformer), level_(level), int8_activations_(int8_activations) {
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
  head_shares_.head = true;
}

TokenDecoder::GroupShares TokenDecoder::share(const ProjectionGroup& group) const {
  GroupShares made;
  made.in = group.in;
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

void TokenDecoder::resize(std::size_t rows) {
  const ModelConfig& config = transformer_.config();
  const std::size_t q = std::size_t{config.heads} * config.head_width;
  const std::size_t qkv = q + 2 * std::size_t{config.kv_heads} * config.head_width;
  const std::size_t f = config.feed_forward;
  x_ = float_rows(x_memory_, rows, config.width);
  normed_ = float_rows(normed_memory_, rows, config.width);
  wide_ = float_rows(wide_memory_, rows, std::max(qkv, 2 * f));
  gated_ = float_rows(gated_memory_, rows, std::max(f, q));
  out_ = float_rows(out_memory_, rows, config.width);
  logits_ = float_rows(logits_memory_, rows, transformer_.head().weight.rows());
  rounded_.resize(rows);
  downs_.resize(rows);
}

template <typename Task>
void TokenDecoder::for_texts(const Task& task) {
  transformer_.pool().run(texts_.size(), task);
}

void TokenDecoder::round(const GroupShares& shares, const FloatRows& x) {
  const bool by_token = int8_activations_ && transformer_.config().token_scales && !shares.head;
  if (!shares.int8 && !by_token) return;
  for_texts([&](std::size_t t, Scratch&) {
    if (!shares.int8) {
      round_token(x.row(t), shares.in);
    } else if (by_token) {
      rounded_[t].assign_token(x.row(t), shares.in);
    } else {
      rounded_[t].assign(x.row(t), shares.in);
    }
  });
}

void TokenDecoder::multiply(const GroupShares& shares, const Share& share, const FloatRows& x,
                            const FloatRows& y, Scratch& scratch) const {
  const WeightMatrix& w = share.projection->weight;
  const std::size_t column = share.projection->column + share.row;
  if (shares.int8) {
    int8_products(w.type(), level_)(w.row(share.row), w.row_bytes(), share.count, rounded_,
                                    y.data + column, y.stride);
    for (std::size_t t = 0; w.scale() != 1.0F && t < texts_.size(); ++t) {
      scale_row(y.row(t) + column, w.scale(), share.count);
    }
  } else {
    float* weights = scratch.floats(Slot::kWeights, w.columns());
    for (std::size_t i = 0; i < share.count; ++i) {
      w.dequantize(share.row + i, 0, w.columns(), weights);
      for (std::size_t t = 0; t < texts_.size(); ++t) {
        y.row(t)[column + i] = dot(weights, x.row(t), w.columns());
      }
    }
  }
  if (share.projection->bias.empty()) return;
  for (std::size_t t = 0; t < texts_.size(); ++t) {
    add_row(share.projection->bias.data() + share.row, share.count, y.row(t) + column);
  }
}

void TokenDecoder::project(std::size_t layer, Group which, const FloatRows& x, const FloatRows& y) {
  const auto g = static_cast<std::size_t>(which);
  const GroupShares& shares = shares_[layer][g];
  for_texts([&](std::size_t t, Scratch&) {
    project_down(texts_[t].lora->factors(layer)[g], x.row(t), shares.in, downs_[t]);
  });
  round(shares, x); // after adapters have read it
  transformer_.pool().run(shares.shares.size(), [&](std::size_t i, Scratch& scratch) {
    const Share& share = shares.shares[i];
    multiply(shares, share, x, y, scratch);
    for (std::size_t t = 0; t < texts_.size(); ++t) {
      add_projected_up(texts_[t].lora->factors(layer)[g], share.index, share.row, share.count,
                       downs_[t], y.row(t) + share.projection->column + share.row);
    }
  });
}

void TokenDecoder::normalize(const float* x, const std::vector<float>& weight, std::size_t n,
                             float* y) const {
  normalize_row(x, transformer_.config().norm_epsilon, n, y);
  multiply_row(y, weight.data(), n, y);
}

// Norms of q and k, and RoPE; the key and value go to the cache.
void TokenDecoder::turn(std::size_t layer, const DecodeRow& text, float* qkv) const {
  const ModelConfig& config = transformer_.config();
  const LayerWeights& w = transformer_.layers()[layer].weights();
  const std::size_t width = config.head_width;
  const std::size_t heads = config.heads + config.kv_heads;
  for (std::size_t head = 0; config.qk_norm && head < heads; ++head) {
    float* part = qkv + head * width;
    normalize(part, head < config.heads ? w.query_norm : w.key_norm, width, part);
  }
  const std::size_t position = text.cache->length();
  transformer_.rope().rotate(static_cast<std::uint32_t>(layer), position, position + 1, 1.0F, heads,
                             qkv);
  const float* k = qkv + config.heads * width;
  text.cache->put(layer, position, k, k + text.cache->columns());
}

// The query heads of one key-value head over what the text's cache holds.
void TokenDecoder::attend_head(std::size_t layer, const DecodeRow& text, std::size_t kv_head,
                               const float* qkv, float* out, Scratch& scratch) const {
  const ModelConfig& config = transformer_.config();
  const std::size_t width = config.head_width;
  const std::size_t group = config.heads / config.kv_heads;
  const std::size_t length = text.cache->length() + 1;
  const std::size_t window =
      config.has_window(static_cast<std::uint32_t>(layer)) ? config.window : 0;
  const std::size_t first = window > 0 && length > window ? length - window : 0;
  const std::size_t seen = length - first;
  float* scores = scratch.floats(Slot::kScores, group * seen);
  float* row = scratch.floats(Slot::kRows, width);
  const float* q = qkv + kv_head * group * width;
  float* mixed = out + kv_head * group * width;
  for (std::size_t j = 0; j < seen; ++j) {
    text.cache->keys(layer, first + j, kv_head * width, width, row);
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
    text.cache->values(layer, first + j, kv_head * width, width, row);
    for (std::size_t g = 0; g < group; ++g) {
      add_scaled_row(row, scores[g * seen + j], width, mixed + g * width);
    }
  }
}

void TokenDecoder::attend(std::size_t layer, const FloatRows& qkv, const FloatRows& out) {
  const std::size_t heads = transformer_.config().kv_heads;
  for_texts([&](std::size_t t, Scratch&) { turn(layer, texts_[t], qkv.row(t)); });
  transformer_.pool().run(texts_.size() * heads, [&](std::size_t i, Scratch& scratch) {
    const std::size_t t = i / heads;
    attend_head(layer, texts_[t], i % heads, qkv.row(t), out.row(t), scratch);
  });
}

void TokenDecoder::layer(std::size_t index) {
  const ModelConfig& config = transformer_.config();
  const LayerWeights& w = transformer_.layers()[index].weights();
  const std::size_t d = config.width;
  const std::size_t q = std::size_t{config.heads} * config.head_width;
  const std::size_t f = config.feed_forward;
  const auto add_projected = [&](std::size_t t, const std::vector<float>& post) {
    if (config.post_norms) normalize(out_.row(t), post, d, out_.row(t));
    add_row(out_.row(t), d, x_.row(t));
  };

  for_texts(
      [&](std::size_t t, Scratch&) { normalize(x_.row(t), w.attention_norm, d, normed_.row(t)); });
  project(index, Group::kQkv, normed_, wide_);
  attend(index, wide_, gated_);
  if (config.sub_norms) {
    for_texts([&](std::size_t t, Scratch&) {
      normalize(gated_.row(t), w.attention_sub_norm, q, gated_.row(t));
    });
  }
  project(index, Group::kOutput, gated_, out_);

  for_texts([&](std::size_t t, Scratch&) {
    add_projected(t, w.post_attention_norm);
    normalize(x_.row(t), w.feed_forward_norm, d, normed_.row(t));
  });
  project(index, Group::kGateUp, normed_, wide_);
  for_texts([&](std::size_t t, Scratch&) {
    gated(config.activation, wide_.row(t), wide_.row(t) + f, f, gated_.row(t));
    if (config.sub_norms) normalize(gated_.row(t), w.feed_forward_sub_norm, f, gated_.row(t));
  });
  project(index, Group::kDown, gated_, out_);
  for_texts([&](std::size_t t, Scratch&) { add_projected(t, w.post_feed_forward_norm); });
}

void TokenDecoder::head() {
  const ModelConfig& config = transformer_.config();
  for_texts([&](std::size_t t, Scratch&) {
    float* y = normed_.row(t);
    normalize_row(x_.row(t), config.norm_epsilon, config.width, y);
    multiply_row(y, transformer_.output_norm().data(), config.width, y);
  });
  round(head_shares_, normed_);
  transformer_.pool().run(head_shares_.shares.size(), [&](std::size_t i, Scratch& scratch) {
    multiply(head_shares_, head_shares_.shares[i], normed_, logits_, scratch);
  });
  if (config.output_cap == 0) return;
  for_texts([&](std::size_t t, Scratch&) {
    cap_row(logits_.row(t), config.output_cap, logits_.columns);
  });
}

FloatRows TokenDecoder::advance(std::span<const DecodeRow> rows) {
  texts_ = rows;
  resize(rows.size());
  std::vector<TokenId> tokens(rows.size());
  std::ranges::transform(rows, tokens.begin(), &DecodeRow::token);
  transformer_.embed(tokens, x_);
  for (std::size_t i = 0; i < shares_.size(); ++i) layer(i);
  for (const DecodeRow& row : rows) row.cache->advance(1);
  head();
  return logits_;
}

} // namespace coppice::native
