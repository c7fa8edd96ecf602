// SPDX-License-Identifier: Apache-2.0
#include "model/native/transformer.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "model/input_checks.h"
#include "model/native/row_blocks.h"
#include "model/quantized_blocks.h"

namespace coppice::native {
namespace {

const GgufTensor& tensor(const BaseModel& base, const char* name) {
  return *base.file().find_tensor(name).value();
}

WeightMatrix matrix(const BaseModel& base, const char* name) {
  return WeightMatrix(WeightRows::open(base.file(), name).value());
}

} // namespace

ElementRows element_rows(const ProductKernels& kernels, Buffer& buffer, std::size_t rows,
                         std::size_t columns) {
  const std::size_t stride = kernels.padded(columns);
  buffer.reserve(rows * stride * kernels.element_bytes);
  return {buffer.data(), rows, columns, stride, kernels.element_bytes};
}

FloatRows float_rows(Buffer& buffer, std::size_t rows, std::size_t columns) {
  buffer.reserve(rows * columns * sizeof(float));
  return {buffer.floats(), rows, columns, columns};
}

ModelLora::ModelLora(const BaseModel& base, const std::vector<Layer>& layers)
    : base_(base), factors_(layers.size()) {
  std::unordered_map<std::string, Place> places;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (std::size_t group = 0; group < kGroups; ++group) {
      const auto& projections = layers[layer].weights().groups[group].projections;
      factors_[layer][group].resize(projections.size());
      for (std::size_t p = 0; p < projections.size(); ++p) {
        places.emplace(projections[p].tensor, Place{layer, group, p});
      }
    }
  }
  for (const AdapterTarget& module : base.adaptable_modules()) {
    places_.push_back(places.at(module.tensor));
  }
}

std::vector<LoraFactor>& ModelLora::at(std::size_t module) {
  const Place& place = places_[module];
  return factors_[place.layer][place.group][place.projection];
}

void ModelLora::add(const AdapterUse& use) {
  const Adapter& adapter = *use.adapter;
  const auto indices = module_indices(adapter.spec(), base_);
  for (std::size_t target = 0; target < adapter.targets(); ++target) {
    at(indices[target])
        .push_back({.a = adapter.a(target).data(),
                    .b = adapter.b(target).data(),
                    .rank = adapter.spec().targets[target].rank,
                    .scale = use.strength * adapter.spec().scale(target)});
  }
}

void ModelLora::add_trainable(const AdapterSpec& spec, const float* values, float* gradients,
                              bool train_a, bool train_b) {
  const auto indices = module_indices(spec, base_);
  std::size_t offset = 0;
  for (std::size_t t = 0; t < spec.targets.size(); ++t) {
    const AdapterTarget& target = spec.targets[t];
    const std::size_t b = offset + target.a_elements();
    at(indices[t])
        .push_back({.a = values + offset,
                    .b = values + b,
                    .rank = target.rank,
                    .scale = spec.scale(t),
                    .gradient_a = train_a ? gradients + offset : nullptr,
                    .gradient_b = train_b ? gradients + b : nullptr});
    offset = b + target.b_elements();
  }
}

void ModelLora::prepare(const ProductKernels& kernels, const std::vector<Layer>& layers) {
  prepared_.clear();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    prepared_.push_back(layer_now(i, kernels, layers[i]));
  }
}

std::size_t ModelLora::lowest_trained() const {
  const auto trains = [](const LayerFactors& layer) {
    return std::ranges::any_of(
        layer, [](const auto& group) { return std::ranges::any_of(group, any_trained); });
  };
  return static_cast<std::size_t>(std::ranges::find_if(factors_, trains) - factors_.begin());
}

std::size_t ModelLora::widest_group(const ProductKernels& kernels) const {
  std::size_t widest = 0;
  for (const LayerFactors& layer : factors_) {
    for (const auto& group : layer) {
      std::size_t width = 0;
      for (const auto& module : group) width += kernels.whole(total_rank(module));
      widest = std::max(widest, width);
    }
  }
  return widest;
}

Transformer::Transformer(std::shared_ptr<const BaseModel> base, const EngineKernels& kernels,
                         unsigned threads)
    : base_(std::move(base)),
      kernels_(kernels),
      pool_(threads),
      rope_(*base_),
      embedding_(matrix(*base_, "token_embd.weight")) {
  layers_.reserve(config().layers);
  for (std::uint32_t layer = 0; layer < config().layers; ++layer) {
    layers_.emplace_back(*base_, layer, kernels_.fast, pool_, rope_);
  }
  const GgufTensor& norm = tensor(*base_, "output_norm.weight");
  output_norm_.resize(norm.elements());
  dequantize_row(norm.type, norm.data, output_norm_);
  head_ = {.weight = config().tied_output ? embedding_ : matrix(*base_, "output.weight"),
           .cap = config().output_cap};
}

void Transformer::keep_panels(std::uint64_t most_bytes) {
  std::uint64_t bytes = kept_panels_bytes(kernels_, head_.weight);
  for (const Layer& layer : layers_) {
    for (const ProjectionGroup& group : layer.weights().groups) {
      for (const Projection& projection : group.projections) {
        bytes += kept_panels_bytes(kernels_, projection.weight);
      }
    }
  }
  if (bytes > most_bytes) return;
  head_.weight.keep_panels(kernels_);
  for (Layer& layer : layers_) layer.keep_panels(kernels_);
}

Result<ModelLora> Transformer::adapted(std::span<const AdapterUse> adapters,
                                       const ProductKernels& kernels) const {
  ModelLora lora = no_adapters();
  for (const AdapterUse& use : adapters) {
    COPPICE_TRY(check_fits(use.adapter->spec(), *base_));
    lora.add(use);
  }
  lora.prepare(kernels, layers_);
  return lora;
}

void Transformer::embed(std::span<const TokenId> tokens, const FloatRows& x) {
  for_rows(pool_, tokens.size(), [&](std::size_t i, Scratch&) {
    embedding_.dequantize(static_cast<std::size_t>(tokens[i]), 0, x.columns, x.row(i));
    if (config().embedding_scale != 1.0F) scale_row(x.row(i), config().embedding_scale, x.columns);
  });
}

void Transformer::forward(const PassShape& pass, const ProductKernels& kernels,
                          const ModelLora& lora, const FloatRows& x, KvCache* cache) {
  std::uint64_t bytes = 0;
  (void)LayerActivations::at(config(), kernels_.fast, pass.tokens, nullptr, &bytes);
  Buffer place(bytes);
  LayerActivations kept =
      LayerActivations::at(config(), kernels_.fast, pass.tokens, place.data(), &bytes);
  PassMemory memory(config(), kernels, pass.tokens);
  for (std::size_t layer = 0; layer < layers_.size() && !pool_.stopped(); ++layer) {
    layers_[layer].forward(pass, lora.layer(layer), x, kept, memory, cache);
  }
  if (cache != nullptr) cache->advance(pass.tokens);
}

void Transformer::final_norm(const FloatRows& x, std::span<const std::size_t> rows,
                             const ProductKernels& kernels, const ElementRows& normed,
                             float* factors) {
  for_rows(pool_, rows.size(), [&](std::size_t i, Scratch& scratch) {
    float* y = scratch.floats(Slot::kRows, x.columns);
    const float factor = normalize_row(x.row(rows[i]), config().norm_epsilon, x.columns, y);
    if (factors != nullptr) factors[i] = factor;
    multiply_row(y, output_norm_.data(), x.columns, y);
    kernels.from_float(y, x.columns, normed.at(i));
  });
}

void Transformer::final_norm_back(const FloatRows& d_normed, std::span<const std::size_t> rows,
                                  const FloatRows& x, const float* factors, const FloatRows& dx) {
  std::memset(dx.data, 0, dx.rows * dx.stride * sizeof(float));
  for_rows(pool_, rows.size(), [&](std::size_t i, Scratch& scratch) {
    const std::size_t n = x.columns;
    float* y = scratch.floats(Slot::kRows, n);
    float* g = d_normed.row(i);
    std::copy_n(x.row(rows[i]), n, y);
    scale_row(y, factors[i], n);
    multiply_row(g, output_norm_.data(), n, g);
    normalize_backward_row(y, factors[i], g, n, dx.row(rows[i]));
  });
}

} // namespace coppice::native
