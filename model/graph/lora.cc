// SPDX-License-Identifier: Apache-2.0
#include "model/graph/lora.h"

#include <cmath>
#include <unordered_map>

#include "base/text.h"

namespace coppice::graph {
namespace {

std::unordered_map<std::string, std::size_t> index_by_name(const AdaptableModules& modules) {
  std::unordered_map<std::string, std::size_t> indices;
  for (std::size_t i = 0; i < modules.size(); ++i) indices.emplace(modules[i].tensor, i);
  return indices;
}

// In the order of BaseModel::adaptable_modules().
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

} // namespace

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

Result<void> check_fits(const AdapterSpec& spec, const BaseModel& base) {
  COPPICE_TRY(spec.validate());
  if (spec.architecture != base.config().architecture) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the adapter is for architecture ", spec.architecture, ", the base model is ",
                     base.config().architecture, "; use the base that it was trained on")};
  }
  const AdaptableModules modules = base.adaptable_modules();
  const auto indices = index_by_name(modules);
  for (const AdapterTarget& target : spec.targets) {
    const auto found = indices.find(target.tensor);
    if (found == indices.end()) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("the adapter's target ", target.tensor,
                       " is no module of the base model; use the base that it was trained on")};
    }
    const AdapterTarget& module = modules[found->second];
    if (target.in != module.in || target.out != module.out) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("the adapter's target ", target.tensor, " is ", target.out, " x ", target.in,
                       ", the base model's is ", module.out, " x ", module.in,
                       "; use the base that it was trained on")};
    }
  }
  return {};
}

std::vector<std::size_t> module_indices(const AdapterSpec& spec, const BaseModel& base) {
  const auto by_name = index_by_name(base.adaptable_modules());
  std::vector<std::size_t> indices;
  indices.reserve(spec.targets.size());
  for (const auto& target : spec.targets) indices.push_back(by_name.at(target.tensor));
  return indices;
}

} // namespace coppice::graph
