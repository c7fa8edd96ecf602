// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <set>

#include "adapters/module_names.h"
#include "adapters/peft_config.h"
#include "base/text.h"
#include "formats/json.h"

namespace coppice {
namespace {

constexpr int kIndent = 2;

// PEFT's alpha is an integer where it can be one.
Json alpha_number(float alpha) {
  const auto whole = static_cast<std::int64_t>(std::min(alpha, 0x1.0p62F));
  if (static_cast<float>(whole) == alpha) return whole;
  return static_cast<double>(alpha);
}

Result<std::vector<ModuleName>> module_names(const AdapterSpec& spec) {
  std::vector<ModuleName> names;
  for (const AdapterTarget& target : spec.targets) {
    const auto name = module_from_gguf(target.tensor, spec.architecture);
    if (!name) {
      return Error{ErrorCode::kUnsupported,
                   cat(target.tensor, " has no name in PEFT; write the adapter in another format")};
    }
    names.push_back(*name);
  }
  return names;
}

// target_modules and layers_to_transform. Short names stand for a module in every layer; layers are
// listed where some below the highest have none, and where they don't all hold the same modules
// only full paths say what there is.
void put_targets(Json& config, const std::vector<ModuleName>& names) {
  std::set<std::uint32_t> layers;
  std::set<std::uint32_t> kinds;
  for (const ModuleName& name : names) {
    layers.insert(name.layer);
    kinds.insert(name.kind);
  }
  Json modules = Json::array();
  Json listed_layers = nullptr;
  if (layers.size() * kinds.size() == names.size()) {
    for (const std::uint32_t kind : kinds) modules.push_back(peft_short_name({0, kind}));
    if (layers.size() <= *layers.rbegin()) listed_layers = layers;
  } else {
    for (const ModuleName& name : names) modules.push_back(peft_module_path(name));
  }
  config["target_modules"] = std::move(modules);
  config["layers_to_transform"] = std::move(listed_layers);
}

} // namespace

Result<std::string> peft_config_text(const AdapterSpec& spec, std::string_view base_model) {
  COPPICE_TRY(spec.validate());
  const auto names = COPPICE_TRY(module_names(spec));
  const AdapterTarget& usual = spec.targets.front();
  Json ranks = Json::object();
  Json alphas = Json::object();
  for (std::size_t t = 0; t < names.size(); ++t) {
    const AdapterTarget& target = spec.targets[t];
    const std::string path = peft_module_path(names[t]);
    if (target.rank != usual.rank) ranks[path] = target.rank;
    if (target.alpha != usual.alpha) alphas[path] = alpha_number(target.alpha);
  }
  Json config = Json::object();
  config["peft_type"] = "LORA";
  config["task_type"] = "CAUSAL_LM";
  config["base_model_name_or_path"] = base_model;
  config["revision"] = nullptr;
  config["r"] = usual.rank;
  config["lora_alpha"] = alpha_number(usual.alpha);
  config["lora_dropout"] = 0.0;
  config["rank_pattern"] = std::move(ranks);
  config["alpha_pattern"] = std::move(alphas);
  config["use_rslora"] = spec.scaling == LoraScaling::kRankStabilized;
  put_targets(config, names);
  config["bias"] = "none";
  config["fan_in_fan_out"] = false;
  config["init_lora_weights"] = true;
  config["modules_to_save"] = nullptr;
  config["use_dora"] = false;
  config["inference_mode"] = true;
  return dump_json(config, kIndent) + "\n";
}

} // namespace coppice
