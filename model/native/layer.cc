// SPDX-License-Identifier: Apache-2.0
#include "model/native/layer.h"

#include <cstring>

#include "model/native/gating.h"
#include "model/native/int8_products.h"
#include "model/native/linear.h"
#include "model/native/row_blocks.h"

namespace coppice::native {

Layer::Layer(const BaseModel& base, std::uint32_t index, const ProductKernels& kernels,
             WorkerPool& pool, const RopeTables& rope)
    : config_(base.config()),
      index_(index),
      kernels_(kernels),
      pool_(pool),
      rope_(rope),
      weights_(load_layer(base, index)) {}

AttentionShape Layer::attention_shape() const {
  return {.heads = config_.heads,
          .kv_heads = config_.kv_heads,
          .head_width = config_.head_width,
          .scale = config_.attention_scale,
          .cap = config_.attention_cap,
          .window = config_.has_window(index_) ? config_.window : 0};
}

std::vector<AttentionSequence> Layer::attention_sequences(const PassShape& pass,
                                                          const LayerActivations& kept) const {
  const std::size_t q = kept.mixed.columns;
  const std::size_t kv = (kept.qkv.columns - q) / 2;
  std::vector<AttentionSequence> sequences;
  for (const TokenRange& range : pass.sequences) {
    const FloatRows rows = kept.qkv.row_range(range.begin, range.count);
    sequences.push_back({.q = rows.column_range(0, q),
                         .k = rows.column_range(q, kv),
                         .v = rows.column_range(q + kv, kv),
                         .out = {},
                         .log_sums = kept.log_sums + range.begin * config_.heads,
                         .offset = range.offset});
  }
  return sequences;
}

void Layer::read_cache(const KvCache& cache, AttentionSequence& sequence,
                       PassMemory& memory) const {
  const std::size_t length = sequence.offset + sequence.q.rows;
  const std::size_t columns = cache.columns();
  const auto rows_of = [&](Buffer& buffer) {
    buffer.reserve(length * columns * sizeof(float));
    return FloatRows{buffer.floats(), length, columns, columns};
  };
  sequence.k = rows_of(memory.cached_keys);
  sequence.v = rows_of(memory.cached_values);
  for_rows(pool_, length, [&](std::size_t row, Scratch&) {
    cache.keys(index_, row, 0, columns, sequence.k.row(row));
    cache.values(index_, row, 0, columns, sequence.v.row(row));
  });
}

void Layer::round_tokens(const ProductKernels& kernels, const ElementRows& x) const {
  for_rows(pool_, x.rows, [&](std::size_t row, Scratch& scratch) {
    float* values = scratch.floats(Slot::kRows, x.columns);
    kernels.to_float(x.at(row), x.columns, values);
    round_token(values, x.columns);
    kernels.from_float(values, x.columns, x.at(row));
  });
}

void Layer::project(Group which, const PassShape& pass, const LayerLora& lora, const ElementRows& x,
                    const FloatRows& y, PassMemory& memory) const {
  const ProjectionGroup& group = weights_.group(which);
  const LoraGroup& adapters = lora.group(which);
  adapters.project(pool_, x, memory.h);
  if (pass.round_tokens) round_tokens(*memory.forward, x);
  for (std::size_t p = 0; p < group.projections.size(); ++p) {
    const Projection& projection = group.projections[p];
    const FloatRows out = y.column_range(projection.column, projection.weight.rows());
    forward_product(
        pool_, *memory.forward,
        {.x = x, .w = &projection.weight, .lora = &adapters, .module = p, .h = &memory.h}, out);
    if (projection.bias.empty()) continue;
    for_rows(pool_, out.rows, [&](std::size_t row, Scratch&) {
      add_row(projection.bias.data(), out.columns, out.row(row));
    });
  }
}

// normed = x / rms(x), and its product with the norm's weight.
void Layer::normalize(const FloatRows& x, const Norm& norm, const ProductKernels& kernels,
                      const ElementRows& out) const {
  for_rows(pool_, x.rows, [&](std::size_t row, Scratch& scratch) {
    float* y = scratch.floats(Slot::kRows, x.columns);
    norm.factors[row] = normalize_row(x.row(row), config_.norm_epsilon, x.columns, y);
    kernels_.from_float(y, x.columns, norm.normed.at(row));
    multiply_row(y, norm.weight->data(), x.columns, y);
    kernels.from_float(y, x.columns, out.at(row));
  });
}

void Layer::weighted(const Norm& norm, const ElementRows& out) const {
  const std::size_t n = norm.normed.columns;
  for_rows(pool_, norm.normed.rows, [&](std::size_t row, Scratch& scratch) {
    float* y = scratch.floats(Slot::kRows, n);
    kernels_.to_float(norm.normed.at(row), n, y);
    multiply_row(y, norm.weight->data(), n, y);
    kernels_.from_float(y, n, out.at(row));
  });
}

// Norms of q and k, and RoPE, in place.
void Layer::finish_qkv(const PassShape& pass, LayerActivations& kept, KvCache* cache) const {
  const std::size_t width = config_.head_width;
  const std::size_t heads = config_.heads + config_.kv_heads;
  for (const TokenRange& range : pass.sequences) {
    for_rows(pool_, range.count, [&](std::size_t i, Scratch&) {
      float* row = kept.qkv.row(range.begin + i);
      if (config_.qk_norm) {
        float* factors = kept.qk_factors + (range.begin + i) * heads;
        for (std::size_t head = 0; head < heads; ++head) {
          float* part = row + head * width;
          factors[head] = normalize_row(part, config_.norm_epsilon, width, part);
        }
        kernels_.from_float(row, heads * width, kept.qk_normed.at(range.begin + i));
        for (std::size_t head = 0; head < heads; ++head) {
          const auto& weight = head < config_.heads ? weights_.query_norm : weights_.key_norm;
          multiply_row(row + head * width, weight.data(), width, row + head * width);
        }
      }
      rope_.rotate(index_, range.offset + i, range.text, 1.0F, heads, row);
      if (cache == nullptr) return;
      const float* k = row + config_.heads * width;
      cache->put(index_, range.offset + i, k, k + cache->columns());
    });
  }
}

void Layer::finish_mixed(const FloatRows& mixed, const LayerActivations& kept,
                         const ProductKernels& kernels, const ElementRows& out) const {
  const std::size_t n = mixed.columns;
  for_rows(pool_, mixed.rows, [&](std::size_t row, Scratch&) {
    float* y = mixed.row(row);
    kernels_.from_float(y, n, kept.mixed.at(row));
    if (config_.sub_norms) {
      kept.mixed_factors[row] = normalize_row(y, config_.norm_epsilon, n, y);
      multiply_row(y, weights_.attention_sub_norm.data(), n, y);
    }
    kernels.from_float(y, n, out.at(row));
  });
}

void Layer::attention_input(const LayerActivations& kept, const ElementRows& out) const {
  const std::size_t n = kept.mixed.columns;
  for_rows(pool_, kept.mixed.rows, [&](std::size_t row, Scratch& scratch) {
    float* y = scratch.floats(Slot::kRows, n);
    kernels_.to_float(kept.mixed.at(row), n, y);
    kept.mixed_factors[row] = normalize_row(y, config_.norm_epsilon, n, y);
    multiply_row(y, weights_.attention_sub_norm.data(), n, y);
    kernels_.from_float(y, n, out.at(row));
  });
}

// act(gate) * up again, from what was kept; normalized where there is a sub norm.
void Layer::gate(const LayerActivations& kept, const ElementRows& out) const {
  const std::size_t f = config_.feed_forward;
  for_rows(pool_, out.rows, [&](std::size_t row, Scratch& scratch) {
    float* both = scratch.floats(Slot::kRows, 2 * f);
    float* y = scratch.floats(Slot::kWeights, f);
    kernels_.to_float(kept.gate_up.at(row), 2 * f, both);
    gated(config_.activation, both, both + f, f, y);
    finish_gated(kept, row, y, kernels_, out);
  });
}

void Layer::finish_gated(const LayerActivations& kept, std::size_t row, float* y,
                         const ProductKernels& kernels, const ElementRows& out) const {
  const std::size_t f = config_.feed_forward;
  if (config_.sub_norms) {
    kept.gated_factors[row] = normalize_row(y, config_.norm_epsilon, f, y);
    multiply_row(y, weights_.feed_forward_sub_norm.data(), f, y);
  }
  kernels.from_float(y, f, out.at(row));
}

// The products of gate and up side by side, and act(gate) * up of them while they are floats.
void Layer::gate_products(const PassShape& pass, const LayerLora& lora, const ElementRows& normed,
                          const LayerActivations& kept, const ElementRows& out,
                          PassMemory& memory) const {
  const ProductKernels& kernels = *memory.forward;
  const ProjectionGroup& group = weights_.group(Group::kGateUp);
  const LoraGroup& adapters = lora.group(Group::kGateUp);
  const std::size_t f = config_.feed_forward;
  const bool fused = group.projections.size() == 1;
  const WeightMatrix& first = group.projections.front().weight;
  const WeightMatrix gate_weight = fused ? first.row_range(0, f) : first;
  const WeightMatrix up_weight = fused ? first.row_range(f, f) : group.projections[1].weight;
  adapters.project(pool_, normed, memory.h);
  if (pass.round_tokens) round_tokens(kernels, normed);
  ForwardTerm gate_term{.x = normed, .w = &gate_weight, .lora = &adapters, .h = &memory.h};
  ForwardTerm up_term = gate_term;
  up_term.w = &up_weight;
  if (fused) {
    up_term.lora_row = f;
  } else {
    up_term.module = 1;
  }
  const FloatRows whole{memory.wide.floats(), normed.rows, f, f}; // for the sub norm
  const auto act = [&](std::size_t column, const FloatRows& up, const FloatRows& gates) {
    for (std::size_t i = 0; i < up.rows; ++i) {
      const std::size_t n = up.columns;
      kernels_.from_float(gates.row(i), n, kept.gate_up.at(i, column));
      kernels_.from_float(up.row(i), n, kept.gate_up.at(i, f + column));
      float* y = config_.sub_norms ? whole.row(i) + column : gates.row(i);
      gated(config_.activation, gates.row(i), up.row(i), n, y);
      if (!config_.sub_norms) kernels.from_float(y, n, out.at(i, column));
    }
  };
  pool_.run((f + kPanelColumns - 1) / kPanelColumns, [&](std::size_t task, Scratch& scratch) {
    const std::size_t column = task * kPanelColumns;
    const std::size_t count = std::min(kPanelColumns, f - column);
    const auto tile = [&](Slot slot) {
      return FloatRows{scratch.floats(slot, normed.rows * kPanelColumns), normed.rows, count,
                       kPanelColumns};
    };
    const FloatRows gates = tile(Slot::kOutput);
    const FloatRows up = tile(Slot::kScores);
    forward_panel(kernels, gate_term, column, gates, scratch);
    forward_panel(kernels, up_term, column, up, scratch);
    act(column, up, gates);
  });
  if (!config_.sub_norms) return;
  for_rows(pool_, normed.rows, [&](std::size_t row, Scratch&) {
    finish_gated(kept, row, whole.row(row), kernels, out);
  });
}

// x += y, or its post norm; the norm's rows are kept.
void Layer::add_projected(const FloatRows& y, const Norm& post, const FloatRows& x) const {
  for_rows(pool_, x.rows, [&](std::size_t row, Scratch&) {
    float* values = y.row(row);
    if (config_.post_norms) {
      post.factors[row] = normalize_row(values, config_.norm_epsilon, x.columns, values);
      kernels_.from_float(values, x.columns, post.normed.at(row));
      multiply_row(values, post.weight->data(), x.columns, values);
    }
    add_row(values, x.columns, x.row(row));
  });
}

void Layer::forward(const PassShape& pass, const LayerLora& lora, const FloatRows& x,
                    LayerActivations& kept, PassMemory& memory, KvCache* cache) const {
  const std::size_t tokens = pass.tokens;
  const ProductKernels& kernels = *memory.forward;
  const auto elements = [&](Buffer& buffer, std::size_t columns) {
    return ElementRows{.data = buffer.data(),
                       .rows = tokens,
                       .columns = columns,
                       .stride = kernels.padded(columns),
                       .bytes = kernels.element_bytes};
  };
  const auto floats = [&](Buffer& buffer, std::size_t columns) {
    return FloatRows{
        .data = buffer.floats(), .rows = tokens, .columns = columns, .stride = columns};
  };
  const std::size_t d = config_.width;
  const ElementRows normed = elements(memory.input, d);

  normalize(x, {&weights_.attention_norm, kept.normed1, kept.factors1}, kernels, normed);
  project(Group::kQkv, pass, lora, normed, kept.qkv, memory);
  finish_qkv(pass, kept, cache);
  std::vector<AttentionSequence> sequences = attention_sequences(pass, kept);
  const FloatRows mixed = floats(memory.narrow, kept.mixed.columns);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    sequences[i].out = mixed.row_range(pass.sequences[i].begin, pass.sequences[i].count);
  }
  if (cache != nullptr) read_cache(*cache, sequences.front(), memory);
  attention_forward(pool_, kernels, attention_shape(), sequences);
  const ElementRows attended = elements(memory.input, kept.mixed.columns);
  finish_mixed(mixed, kept, kernels, attended);
  const FloatRows out = floats(memory.narrow, d);
  project(Group::kOutput, pass, lora, attended, out, memory);
  add_projected(out, {&weights_.post_attention_norm, kept.projected, kept.projected_factors}, x);

  normalize(x, {&weights_.feed_forward_norm, kept.normed2, kept.factors2}, kernels, normed);
  const ElementRows gated = elements(memory.gated, config_.feed_forward);
  gate_products(pass, lora, normed, kept, gated, memory);
  project(Group::kDown, pass, lora, gated, out, memory);
  add_projected(out, {&weights_.post_feed_forward_norm, kept.fed, kept.fed_factors}, x);
}

void Layer::input_of(Group which, const LayerActivations& kept, const ElementRows& out) const {
  switch (which) {
    case Group::kQkv: return weighted({&weights_.attention_norm, kept.normed1, kept.factors1}, out);
    case Group::kOutput:
      if (config_.sub_norms) return attention_input(kept, out);
      for_rows(pool_, out.rows, [&](std::size_t row, Scratch&) {
        std::memcpy(out.at(row), kept.mixed.at(row), out.columns * out.bytes);
      });
      return;
    case Group::kGateUp:
      return weighted({&weights_.feed_forward_norm, kept.normed2, kept.factors2}, out);
    case Group::kDown: return gate(kept, out);
    case Group::kCount: break;
  }
}

} // namespace coppice::native
