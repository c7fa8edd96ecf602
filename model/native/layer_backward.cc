// SPDX-License-Identifier: Apache-2.0
// The way back through a block; see Layer::forward in layer.cc for the way there.
#include <cstring>

#include "model/native/gating.h"
#include "model/native/layer.h"
#include "model/native/linear.h"
#include "model/native/row_blocks.h"

namespace coppice::native {
namespace {

// Of a group's projections.
std::vector<BackwardTerm> terms_of(const ProjectionGroup& group, const ElementRows& dy) {
  std::vector<BackwardTerm> terms;
  for (const Projection& projection : group.projections) {
    terms.push_back({.dy = dy.column_range(projection.column, projection.weight.rows()),
                     .w = &projection.weight});
  }
  return terms;
}

// Elements in the rows of floats that are done with.
ElementRows in_place_of(const FloatRows& floats, const ProductKernels& kernels) {
  const std::size_t stride = floats.stride * sizeof(float) / kernels.element_bytes;
  COPPICE_CHECK(stride >= kernels.padded(floats.columns));
  return {.data = reinterpret_cast<std::byte*>(floats.data),
          .rows = floats.rows,
          .columns = floats.columns,
          .stride = stride,
          .bytes = kernels.element_bytes};
}

} // namespace

void Layer::project_back(Group which, const LayerLora& lora, const ElementRows& dy,
                         const FloatRows* dx, PassMemory& memory) const {
  const LoraGroup& adapters = lora.group(which);
  const std::vector<BackwardTerm> terms = terms_of(weights_.group(which), dy);
  if (!adapters.empty()) {
    for (std::size_t p = 0; p < terms.size(); ++p) {
      adapters.back_project(pool_, p, terms[p].dy, memory.dh);
    }
    adapters.finish_back_projection(memory.dh);
  }
  if (dx == nullptr) return;
  backward_product(pool_, {kernels_, terms, &adapters, memory.dh, *dx});
}

void Layer::add_gradients(Group which, const LayerLora& lora, const ElementRows& x,
                          const ElementRows& dy, PassMemory& memory) const {
  const LoraGroup& adapters = lora.group(which);
  if (!adapters.trains()) return;
  adapters.project_transposed(pool_, x, memory.h); // again: cheaper than keeping it
  adapters.add_gradients_a(pool_, x, memory.dh);
  const std::vector<BackwardTerm> terms = terms_of(weights_.group(which), dy);
  for (std::size_t p = 0; p < terms.size(); ++p) {
    adapters.add_gradients_b(pool_, p, terms[p].dy, memory.h);
  }
}

void Layer::normalize_back(const FloatRows& g, const Norm& norm, const FloatRows& dx,
                           bool add) const {
  const std::size_t n = g.columns;
  for_rows(pool_, g.rows, [&](std::size_t row, Scratch& scratch) {
    float* y = scratch.floats(Slot::kRows, n);
    float* gradient = g.row(row);
    kernels_.to_float(norm.normed.at(row), n, y);
    multiply_row(gradient, norm.weight->data(), n, gradient);
    if (add) {
      float* back = scratch.floats(Slot::kWeights, n);
      normalize_backward_row(y, norm.factors[row], gradient, n, back);
      add_row(back, n, dx.row(row));
    } else {
      normalize_backward_row(y, norm.factors[row], gradient, n, dx.row(row));
    }
  });
}

// From the gradient of what attention read to that of the products' outputs.
void Layer::finish_qkv_back(const PassShape& pass, const FloatRows& dqkv,
                            const LayerActivations& kept, const ElementRows& out) const {
  const std::size_t width = config_.head_width;
  const std::size_t heads = config_.heads + config_.kv_heads;
  for (const TokenRange& range : pass.sequences) {
    for_rows(pool_, range.count, [&](std::size_t i, Scratch& scratch) {
      const std::size_t token = range.begin + i;
      float* row = dqkv.row(token);
      rope_.rotate(index_, i, range.text, -1.0F, heads, row);
      if (config_.qk_norm) {
        float* normed = scratch.floats(Slot::kRows, heads * width);
        float* weighted = scratch.floats(Slot::kWeights, width);
        kernels_.to_float(kept.qk_normed.at(token), heads * width, normed);
        for (std::size_t head = 0; head < heads; ++head) {
          const auto& weight = head < config_.heads ? weights_.query_norm : weights_.key_norm;
          float* part = row + head * width;
          multiply_row(part, weight.data(), width, weighted);
          normalize_backward_row(normed + head * width, kept.qk_factors[token * heads + head],
                                 weighted, width, part);
        }
      }
      kernels_.from_float(row, dqkv.columns, out.at(token));
    });
  }
}

// From the gradient of act(gate) * up to those of gate and up.
void Layer::gate_back(const LayerActivations& kept, const FloatRows& d_gated,
                      const ElementRows& gated, const ElementRows& out) const {
  const std::size_t f = config_.feed_forward;
  for_rows(pool_, d_gated.rows, [&](std::size_t row, Scratch& scratch) {
    float* both = scratch.floats(Slot::kRows, 2 * f);
    float* back = scratch.floats(Slot::kWeights, 2 * f);
    float* y = scratch.floats(Slot::kOutput, f);
    float* dy = d_gated.row(row);
    kernels_.to_float(kept.gate_up.at(row), 2 * f, both);
    if (config_.sub_norms) {
      // The normalized product again, then back through its norm.
      native::gated(config_.activation, both, both + f, f, y);
      const float factor = kept.gated_factors[row];
      scale_row(y, factor, f);
      multiply_row(dy, weights_.feed_forward_sub_norm.data(), f, dy);
      normalize_backward_row(y, factor, dy, f, dy);
      multiply_row(y, weights_.feed_forward_sub_norm.data(), f, y);
    }
    gated_backward(config_.activation, both, both + f, dy, f, back, back + f,
                   config_.sub_norms || gated.data == nullptr ? nullptr : y);
    kernels_.from_float(back, 2 * f, out.at(row));
    if (gated.data == nullptr) return;
    kernels_.from_float(y, f, gated.at(row)); // dy is done with
    std::memset(gated.at(row, f), 0, (kernels_.padded(f) - f) * gated.bytes);
  });
}

void Layer::backward(const PassShape& pass, const LayerLora& lora, const LayerActivations& kept,
                     const FloatRows& dx, bool to_input, PassMemory& memory) const {
  const std::size_t tokens = pass.tokens;
  const std::size_t d = config_.width;
  const std::size_t q = kept.mixed.columns;
  const auto elements = [&](Buffer& buffer, std::size_t columns) {
    return ElementRows{.data = buffer.data(),
                       .rows = tokens,
                       .columns = columns,
                       .stride = kernels_.padded(columns),
                       .bytes = kernels_.element_bytes};
  };
  const auto floats = [&](Buffer& buffer, std::size_t columns) {
    return FloatRows{
        .data = buffer.floats(), .rows = tokens, .columns = columns, .stride = columns};
  };
  // The gradient of a projection's output, through the post norm where there is one.
  const ElementRows dy = elements(memory.row_gradient, d);
  const auto to_projected = [&](const Norm& post) {
    const FloatRows copy = floats(memory.narrow, d);
    if (config_.post_norms) {
      for_rows(pool_, tokens,
               [&](std::size_t row, Scratch&) { std::copy_n(dx.row(row), d, copy.row(row)); });
      normalize_back(copy, post, copy, false);
    }
    const FloatRows& from = config_.post_norms ? copy : dx;
    for_rows(pool_, tokens,
             [&](std::size_t row, Scratch&) { kernels_.from_float(from.row(row), d, dy.at(row)); });
  };

  // Feed-forward.
  to_projected({&weights_.post_feed_forward_norm, kept.fed, kept.fed_factors});
  const FloatRows d_gated = floats(memory.wide, config_.feed_forward);
  project_back(Group::kDown, lora, dy, &d_gated, memory);
  const ElementRows d_gate_up = elements(memory.gated, 2 * std::size_t{config_.feed_forward});
  const bool trains = lora.group(Group::kDown).trains();
  const ElementRows gated = trains ? in_place_of(d_gated, kernels_) : ElementRows{};
  gate_back(kept, d_gated, gated, d_gate_up);
  add_gradients(Group::kDown, lora, gated, dy, memory);
  const ElementRows normed = elements(memory.input, d);
  const Norm norm2{&weights_.feed_forward_norm, kept.normed2, kept.factors2};
  if (lora.group(Group::kGateUp).trains()) weighted(norm2, normed);
  const FloatRows back = floats(memory.narrow, d);
  project_back(Group::kGateUp, lora, d_gate_up, &back, memory);
  add_gradients(Group::kGateUp, lora, normed, d_gate_up, memory);
  normalize_back(back, norm2, dx, true);

  // Attention.
  to_projected({&weights_.post_attention_norm, kept.projected, kept.projected_factors});
  const ElementRows mixed = config_.sub_norms ? elements(memory.input, q) : kept.mixed;
  if (config_.sub_norms) attention_input(kept, mixed);
  const FloatRows d_mixed = floats(memory.narrow, q);
  project_back(Group::kOutput, lora, dy, &d_mixed, memory);
  add_gradients(Group::kOutput, lora, mixed, dy, memory);
  if (config_.sub_norms) sub_norm_back(kept, d_mixed);
  const ElementRows d_out = elements(memory.row_gradient, q);
  for_rows(pool_, tokens, [&](std::size_t row, Scratch&) {
    kernels_.from_float(d_mixed.row(row), q, d_out.at(row));
  });
  const FloatRows dqkv = floats(memory.wide, kept.qkv.columns);
  attention_back(pass, kept, *memory.forward, d_out, dqkv);
  const ElementRows d_projected = elements(memory.gated, kept.qkv.columns);
  finish_qkv_back(pass, dqkv, kept, d_projected);
  const Norm norm1{&weights_.attention_norm, kept.normed1, kept.factors1};
  if (lora.group(Group::kQkv).trains()) weighted(norm1, normed);
  project_back(Group::kQkv, lora, d_projected, to_input ? &back : nullptr, memory);
  add_gradients(Group::kQkv, lora, normed, d_projected, memory);
  if (to_input) normalize_back(back, norm1, dx, true);
}

// Back through the norm of attention's output, in place.
void Layer::sub_norm_back(const LayerActivations& kept, const FloatRows& d_mixed) const {
  const std::size_t n = d_mixed.columns;
  for_rows(pool_, d_mixed.rows, [&](std::size_t row, Scratch& scratch) {
    float* y = scratch.floats(Slot::kRows, n);
    float* gradient = d_mixed.row(row);
    const float factor = kept.mixed_factors[row];
    kernels_.to_float(kept.mixed.at(row), n, y);
    scale_row(y, factor, n);
    multiply_row(gradient, weights_.attention_sub_norm.data(), n, gradient);
    normalize_backward_row(y, factor, gradient, n, gradient);
  });
}

void Layer::attention_back(const PassShape& pass, const LayerActivations& kept,
                           const ProductKernels& scores, const ElementRows& d_out,
                           const FloatRows& dqkv) const {
  const std::size_t q = kept.mixed.columns;
  const std::size_t kv = (kept.qkv.columns - q) / 2;
  std::vector<AttentionGradients> gradients;
  for (const TokenRange& range : pass.sequences) {
    const auto part = [&](std::size_t column, std::size_t columns) {
      return FloatRows{.data = dqkv.row(range.begin) + column,
                       .rows = range.count,
                       .columns = columns,
                       .stride = dqkv.stride};
    };
    gradients.push_back({.d_out = d_out.row_range(range.begin, range.count),
                         .dq = part(0, q),
                         .dk = part(q, kv),
                         .dv = part(q + kv, kv)});
  }
  attention_backward(pool_, scores, kernels_, attention_shape(), attention_sequences(pass, kept),
                     gradients);
}

} // namespace coppice::native
