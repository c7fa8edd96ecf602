// SPDX-License-Identifier: Apache-2.0
#include "model/graph/lora.h"

#include "model/input_checks.h"

namespace coppice::graph {
LoraStack::LoraStack(std::size_t layers, std::size_t clients)
    : clients_(clients), linears_(layers * kModules) {
  for (auto& linear : linears_) linear.frozen.resize(clients);
}

void LoraStack::add_frozen(const BaseModel& base, std::size_t client,
                           std::span<const AdapterUse> adapters) {
  for (const AdapterUse& use : adapters) {
    const Adapter& adapter = *use.adapter;
    const auto indices = module_indices(adapter.spec(), base);
    for (std::size_t target = 0; target < adapter.targets(); ++target) {
      linears_[indices[target]].frozen[client].push_back(
          {.a = adapter.a(target).data(),
           .b = adapter.b(target).data(),
           .rank = adapter.spec().targets[target].rank,
           .scale = use.strength * adapter.spec().scale(target)});
    }
  }
}

} // namespace coppice::graph
