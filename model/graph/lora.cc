// SPDX-License-Identifier: Apache-2.0
#include "model/graph/lora.h"

#include "model/input_checks.h"

namespace coppice::graph {

std::vector<Module> modules_of(const ModelConfig& config) {
  std::vector<Module> modules = {Module::kQ, Module::kK, Module::kV};
  if (config.fused_qkv) modules = {Module::kQkv};
  modules.push_back(Module::kOutput);
  if (config.fused_gate_up) {
    modules.push_back(Module::kGateUp);
  } else {
    modules.insert(modules.end(), {Module::kGate, Module::kUp});
  }
  modules.push_back(Module::kDown);
  return modules;
}

LoraStack::LoraStack(const ModelConfig& config, std::size_t clients)
    : clients_(clients), modules_(modules_of(config)), linears_(config.layers * kModules) {
  for (auto& linear : linears_) linear.frozen.resize(clients);
}

void LoraStack::add_frozen(const BaseModel& base, std::size_t client,
                           std::span<const AdapterUse> adapters) {
  for (const AdapterUse& use : adapters) {
    const Adapter& adapter = *use.adapter;
    const auto indices = module_indices(adapter.spec(), base);
    for (std::size_t target = 0; target < adapter.targets(); ++target) {
      at(indices[target])
          .frozen[client]
          .push_back({.a = adapter.a(target).data(),
                      .b = adapter.b(target).data(),
                      .rank = adapter.spec().targets[target].rank,
                      .scale = use.strength * adapter.spec().scale(target)});
    }
  }
}

} // namespace coppice::graph
