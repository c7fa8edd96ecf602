// SPDX-License-Identifier: Apache-2.0
#include "adapters/peft_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/text.h"
#include "formats/json.h"
#include "formats/printable.h"

namespace coppice {
namespace {

constexpr JsonLimits kLimits = {
    .max_bytes = std::size_t{1} << 20U, .max_depth = 16, .max_values = std::size_t{1} << 16U};

// What makes an adapter more than low-rank factors: allowed absent, null, false or empty.
constexpr std::array<std::string_view, 14> kMustBeOff = {
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "fan_in_fan_out",
    "modules_to_save",
    "target_parameters",
    "trainable_token_indices",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "ensure_weight_tying",
    "megatron_config",
};
// Ways to start that leave the base as it is; the others (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA)
// change it, and without that change the factors mean nothing.
constexpr std::array<std::string_view, 3> kPlainStarts = {"gaussian", "eva", "orthogonal"};

bool is_off(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
         (value.is_structured() && value.empty());
}

Result<void> refuse_other_methods(const Json& config) {
  const std::string type = COPPICE_TRY(json_string(config, "peft_type"));
  if (type != "LORA") {
    return not_supported(
        cat("peft_type is ", printable(type), ", and only LORA adapters are read"));
  }
  const auto bias = COPPICE_TRY(json_string_if(config, "bias"));
  if (bias && *bias != "none") {
    return not_supported(cat("bias is \"", printable(*bias),
                             "\", and trained biases are not read; train with bias=\"none\""));
  }
  for (const std::string_view field : kMustBeOff) {
    const auto found = config.find(field);
    if (found != config.end() && !is_off(*found)) {
      return not_supported(
          cat(field, " is set, and coppice reads plain LoRA only; train without it"));
    }
  }
  const auto start = config.find("init_lora_weights");
  if (start != config.end() && start->is_string()) {
    const std::string name = COPPICE_TRY(json_string(config, "init_lora_weights"));
    if (std::ranges::find(kPlainStarts, name) == kPlainStarts.end()) {
      return not_supported(cat("init_lora_weights is \"", printable(name),
                               "\", which changes the base model; save the adapter converted to "
                               "plain LoRA (path_initial_model_for_weight_conversion)"));
    }
  }
  return {};
}

Result<std::uint32_t> checked_rank(std::uint64_t rank, std::string_view field) {
  if (rank == 0 || rank > std::numeric_limits<std::uint32_t>::max()) {
    return invalid_argument(cat(field, ": rank ", rank, " is out of range"));
  }
  return static_cast<std::uint32_t>(rank);
}

Result<float> checked_alpha(double alpha, std::string_view field) {
  const auto narrow = static_cast<float>(alpha);
  if (!std::isfinite(narrow) || narrow <= 0) {
    return invalid_argument(cat(field, ": alpha must be a positive number"));
  }
  return narrow;
}

// The fields of an object of patterns, empty where it is absent or null.
Result<const Json*> pattern_object(const Json& config, std::string_view field) {
  const auto found = config.find(field);
  if (found == config.end() || found->is_null()) return nullptr;
  return json_object(config, field);
}

} // namespace

Result<ModulePattern> ModulePattern::parse(std::string_view key) {
  ModulePattern pattern;
  std::string_view rest = key;
  if (rest.starts_with('^')) {
    pattern.whole_path_ = true;
    rest.remove_prefix(1);
  }
  if (rest.ends_with('$')) rest.remove_suffix(1);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest.substr(i).starts_with("\\.")) ++i; // an escaped dot is a dot
    if (std::string_view(R"(\^$*+?()[]{}|)").find(rest[i]) != std::string_view::npos) {
      return not_supported(cat("the pattern \"", printable(key),
                               "\" is a regular expression, and only names of modules are read; "
                               "write one entry for each module"));
    }
    pattern.name_ += rest[i];
  }
  if (pattern.name_.empty()) return invalid_argument("the name of a module is empty");
  return pattern;
}

bool ModulePattern::matches(std::string_view path) const {
  if (path == name_) return true;
  return !whole_path_ && path.size() > name_.size() && path.ends_with(name_) &&
         path[path.size() - name_.size() - 1] == '.';
}

Result<PeftConfig> PeftConfig::parse(ByteSpan json) {
  const Json config = COPPICE_TRY(parse_json(json, kLimits));
  if (!config.is_object()) return invalid_argument("the file holds no JSON object");
  COPPICE_TRY(refuse_other_methods(config));

  PeftConfig parsed;
  parsed.rank_ = COPPICE_TRY(checked_rank(COPPICE_TRY(json_uint(config, "r")), "r"));
  parsed.alpha_ =
      COPPICE_TRY(checked_alpha(COPPICE_TRY(json_double(config, "lora_alpha")), "lora_alpha"));
  parsed.dora_ = COPPICE_TRY(json_bool_if(config, "use_dora")).value_or(false);
  if (COPPICE_TRY(json_bool_if(config, "use_rslora")).value_or(false)) {
    parsed.scaling_ = LoraScaling::kRankStabilized;
  }
  if (const Json* ranks = COPPICE_TRY(pattern_object(config, "rank_pattern"))) {
    for (const auto& [key, value] : ranks->items()) {
      const auto rank = COPPICE_TRY(json_uint(*ranks, key, "rank_pattern"));
      parsed.ranks_.push_back({COPPICE_TRY(ModulePattern::parse(key)),
                               COPPICE_TRY(checked_rank(rank, "rank_pattern"))});
    }
  }
  if (const Json* alphas = COPPICE_TRY(pattern_object(config, "alpha_pattern"))) {
    for (const auto& [key, value] : alphas->items()) {
      const auto alpha = COPPICE_TRY(json_double(*alphas, key, "alpha_pattern"));
      parsed.alphas_.push_back({COPPICE_TRY(ModulePattern::parse(key)),
                                COPPICE_TRY(checked_alpha(alpha, "alpha_pattern"))});
    }
  }
  const auto targets = config.find("target_modules");
  parsed.any_target_ = targets == config.end() || targets->is_null() || targets->is_string();
  if (!parsed.any_target_) {
    for (const auto& name : COPPICE_TRY(json_string_array(config, "target_modules"))) {
      parsed.targets_.push_back(COPPICE_TRY(ModulePattern::parse(name)));
    }
  }
  return parsed;
}

std::uint32_t PeftConfig::rank(std::string_view path) const {
  for (const auto& exception : ranks_) {
    if (exception.pattern.matches(path)) return exception.value;
  }
  return rank_;
}

float PeftConfig::alpha(std::string_view path) const {
  for (const auto& exception : alphas_) {
    if (exception.pattern.matches(path)) return exception.value;
  }
  return alpha_;
}

bool PeftConfig::targets(std::string_view path) const {
  return any_target_ || std::ranges::any_of(targets_, [path](const ModulePattern& pattern) {
           return pattern.matches(path);
         });
}

} // namespace coppice
