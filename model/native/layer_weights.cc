// SPDX-License-Identifier: Apache-2.0
// What a layer is made of: its tensors by the file's names, and the adapters on them.
#include <algorithm>

#include "base/text.h"
#include "model/native/layer.h"
#include "model/quantized_blocks.h"

namespace coppice::native {
namespace {

class Loader {
 public:
  Loader(const BaseModel& base, std::uint32_t layer) : base_(base), layer_(layer) {}

  // Empty where the file hasn't the tensor: BaseModel::open has checked that it has what it must.
  std::vector<float> vector(const char* part, const char* kind = "weight") const {
    const std::string name = cat("blk.", layer_, ".", part, ".", kind);
    if (!base_.file().has_tensor(name)) return {};
    const GgufTensor& tensor = *base_.file().find_tensor(name).value();
    std::vector<float> values(tensor.elements());
    dequantize_row(tensor.type, tensor.data, values);
    return values;
  }

  ProjectionGroup group(std::initializer_list<const char*> parts) const {
    ProjectionGroup made;
    for (const char* part : parts) {
      const std::string tensor = cat("blk.", layer_, ".", part);
      const WeightMatrix weight(WeightRows::open(base_.file(), tensor + ".weight").value());
      made.in = weight.columns();
      made.projections.push_back(
          {.tensor = tensor, .weight = weight, .column = made.out, .bias = vector(part, "bias")});
      made.out += weight.rows();
    }
    return made;
  }

 private:
  const BaseModel& base_;
  std::uint32_t layer_;
};

} // namespace

LayerWeights load_layer(const BaseModel& base, std::uint32_t layer) {
  const ModelConfig& config = base.config();
  const Loader load(base, layer);
  LayerWeights weights;
  weights.groups = {
      config.fused_qkv ? load.group({"attn_qkv"}) : load.group({"attn_q", "attn_k", "attn_v"}),
      load.group({"attn_output"}),
      config.fused_gate_up ? load.group({"ffn_up"}) : load.group({"ffn_gate", "ffn_up"}),
      load.group({"ffn_down"})};
  weights.attention_norm = load.vector("attn_norm");
  weights.query_norm = load.vector("attn_q_norm");
  weights.key_norm = load.vector("attn_k_norm");
  weights.attention_sub_norm = load.vector("attn_sub_norm");
  weights.post_attention_norm = load.vector("post_attention_norm");
  weights.feed_forward_norm = load.vector("ffn_norm");
  weights.feed_forward_sub_norm = load.vector("ffn_sub_norm");
  weights.post_feed_forward_norm = load.vector("post_ffw_norm");
  return weights;
}

void Layer::keep_panels(const EngineKernels& kernels) {
  for (ProjectionGroup& group : weights_.groups) {
    for (Projection& projection : group.projections) projection.weight.keep_panels(kernels);
  }
}

LayerLora::LayerLora(const ProductKernels& kernels, const LayerWeights& weights,
                     const LayerFactors& factors) {
  for (std::size_t g = 0; g < kGroups; ++g) {
    std::vector<LoraModule> modules;
    for (std::size_t p = 0; p < weights.groups[g].projections.size(); ++p) {
      modules.push_back(
          {.factors = factors[g].empty() ? std::span<const LoraFactor>{} : std::span(factors[g][p]),
           .out = weights.groups[g].projections[p].weight.rows()});
    }
    groups.emplace_back(kernels, weights.groups[g].in, std::move(modules));
  }
}

LayerActivations LayerActivations::at(const ModelConfig& config, const ProductKernels& kernels,
                                      std::size_t tokens, std::byte* memory, std::uint64_t* bytes) {
  LayerActivations kept;
  std::uint64_t used = 0;
  const auto take = [&](std::uint64_t size) {
    std::byte* place = memory == nullptr ? nullptr : memory + used;
    used += (size + Buffer::kAlignment - 1) / Buffer::kAlignment * Buffer::kAlignment;
    return place;
  };
  const auto elements = [&](std::size_t columns) {
    const std::size_t stride = kernels.padded(columns);
    return ElementRows{.data = take(tokens * stride * kernels.element_bytes),
                       .rows = tokens,
                       .columns = columns,
                       .stride = stride,
                       .bytes = kernels.element_bytes};
  };
  const auto floats = [&](std::size_t count) {
    return reinterpret_cast<float*>(take(count * sizeof(float)));
  };
  const std::size_t q = std::size_t{config.heads} * config.head_width;
  const std::size_t kv = std::size_t{config.kv_heads} * config.head_width;
  kept.normed1 = elements(config.width);
  kept.normed2 = elements(config.width);
  kept.factors1 = floats(tokens);
  kept.factors2 = floats(tokens);
  const std::size_t qkv = q + 2 * kv;
  kept.qkv = {.data = floats(tokens * qkv), .rows = tokens, .columns = qkv, .stride = qkv};
  kept.mixed = elements(q);
  kept.log_sums = floats(tokens * config.heads);
  kept.gate_up = elements(2 * std::size_t{config.feed_forward});
  if (config.qk_norm) {
    kept.qk_normed = elements(q + kv);
    kept.qk_factors = floats(tokens * (config.heads + config.kv_heads));
  }
  if (config.sub_norms) {
    kept.mixed_factors = floats(tokens);
    kept.gated_factors = floats(tokens);
  }
  if (config.post_norms) {
    kept.projected = elements(config.width);
    kept.fed = elements(config.width);
    kept.projected_factors = floats(tokens);
    kept.fed_factors = floats(tokens);
  }
  *bytes = used;
  return kept;
}

namespace {

// Columns of PassMemory's buffers.
struct PassColumns {
  explicit PassColumns(const ModelConfig& config)
      : d(config.width),
        q(std::size_t{config.heads} * config.head_width),
        qkv(q + 2 * std::size_t{config.kv_heads} * config.head_width),
        f(config.feed_forward) {}
  std::size_t wide() const { return std::max({qkv, f, d}); }
  std::size_t narrow() const { return std::max(d, q); }
  std::size_t gradient() const { return std::max(2 * f, qkv); }
  std::size_t d, q, qkv, f;
};

} // namespace

PassMemory::PassMemory(const ModelConfig& config, const ProductKernels& kernels, std::size_t tokens)
    : forward(&kernels) {
  const PassColumns columns(config);
  wide = Buffer(tokens * columns.wide() * sizeof(float));
  narrow = Buffer(tokens * columns.narrow() * sizeof(float));
  input = Buffer(tokens * kernels.padded(columns.narrow()) * kernels.element_bytes);
  gated = Buffer(tokens * kernels.padded(columns.f) * kernels.element_bytes);
}

// The elements of the way there are no smaller than those of the way back, so places serve both.
PassMemory::PassMemory(const ModelConfig& config, const EngineKernels& kernels, std::size_t tokens)
    : PassMemory(config, kernels.precise, tokens) {
  const PassColumns columns(config);
  const ProductKernels& fast = kernels.fast;
  const std::size_t gradient = fast.padded(columns.gradient()) * fast.element_bytes;
  gated.reserve(tokens * gradient);
  row_gradient = Buffer(tokens * fast.padded(columns.narrow()) * fast.element_bytes);
}

std::uint64_t PassMemory::bytes_of(const ModelConfig& config, const EngineKernels& kernels,
                                   std::size_t tokens) {
  const PassColumns columns(config);
  const std::uint64_t floats = columns.wide() + columns.narrow();
  const std::uint64_t gated = std::max<std::uint64_t>(
      columns.f * kernels.precise.element_bytes, columns.gradient() * kernels.fast.element_bytes);
  return tokens * (floats * sizeof(float) + gated +
                   columns.narrow() * (kernels.precise.element_bytes + kernels.fast.element_bytes));
}

} // namespace coppice::native
