// SPDX-License-Identifier: Apache-2.0
// Which adapters act on which linear layer, and for whose tokens.
//
// The tokens of a pass lie after one another, client by client: (T, d). Trainable tensors have a
// leading client dimension: A (K, r, in), B (K, out, r). Frozen adapters may differ between
// clients.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <span>
#include <vector>

#include "model/engine.h"

namespace coppice::graph {

// The adaptable layers of a block; a model has kQkv in place of kQ, kK and kV, and kGateUp in place
// of kGate and kUp, where its file fuses them.
enum class Module : std::size_t { kQ, kK, kV, kQkv, kOutput, kGate, kUp, kGateUp, kDown, kCount };
inline constexpr std::size_t kModules = static_cast<std::size_t>(Module::kCount);
// Those of each layer, in the order of BaseModel::adaptable_modules().
std::vector<Module> modules_of(const ModelConfig& config);

// Tokens [begin, end) of a pass.
struct TokenRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t count() const { return end - begin; }
};

// scale * B (A x), by the adapter's own memory.
struct FrozenLora {
  const float* a = nullptr; // (rank, in)
  const float* b = nullptr; // (out, rank)
  std::int64_t rank = 0;
  float scale = 0;
};

struct TrainableLora {
  at::Tensor a; // (K, rank, in)
  at::Tensor b; // (K, out, rank)
  float scale = 0;
  bool defined() const { return a.defined(); }
};

struct LinearLora {
  std::vector<std::vector<FrozenLora>> frozen; // a list a client; shorter lists mean none
  TrainableLora trainable;
};

// The adapters of a whole model: one LinearLora a layer and module.
class LoraStack {
 public:
  // All of the base's layers without adapters.
  LoraStack(const ModelConfig& config, std::size_t clients);

  // Adds frozen adapters to one client's list. They must fit the base (check_fits) and outlive
  // this.
  void add_frozen(const BaseModel& base, std::size_t client, std::span<const AdapterUse> adapters);

  std::size_t clients() const { return clients_; }
  LinearLora& at(std::size_t layer, Module module) {
    return linears_[layer * kModules + static_cast<std::size_t>(module)];
  }
  const LinearLora& at(std::size_t layer, Module module) const {
    return linears_[layer * kModules + static_cast<std::size_t>(module)];
  }
  // By its place in BaseModel::adaptable_modules().
  LinearLora& at(std::size_t place) {
    return at(place / modules_.size(), modules_[place % modules_.size()]);
  }

 private:
  std::size_t clients_;
  std::vector<Module> modules_;     // that each layer of the base has
  std::vector<LinearLora> linears_; // layer by layer, in the order of Module
};

} // namespace coppice::graph
