// SPDX-License-Identifier: Apache-2.0
// adapter_config.json of a PEFT adapter folder: what its tensors' ranks and scales are.
//
// Every field that would make the adapter something else than scale * B A on plain linear layers is
// refused by name: biases, modules_to_save, trained embeddings, replicated layers, methods
// that start from a changed base. Fields that only say how it was trained are passed over.
// Immutable after parsing: thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/adapter_spec.h"

namespace coppice {

// A key of rank_pattern or alpha_pattern, or a name in target_modules: the module of that path, or
// every module whose path ends in a dot and the name. PEFT takes keys as regular expressions of
// which only these plain ones are understood: NAME, ^PATH (from the start), a closing $, and \. for
// a dot.
class ModulePattern {
 public:
  // kUnsupported, with the key, for any other regular expression.
  static Result<ModulePattern> parse(std::string_view key);
  bool matches(std::string_view path) const; // "model.layers.3.self_attn.q_proj"

 private:
  bool whole_path_ = false;
  std::string name_;
};

class PeftConfig {
 public:
  // kCorrupt (no JSON), kNotFound and kInvalidArgument (a field is missing or wrong), kTooLarge,
  // kUnsupported (see above); each names the field.
  static Result<PeftConfig> parse(ByteSpan json);

  LoraScaling scaling() const { return scaling_; }
  bool dora() const { return dora_; }
  // As in PEFT, the first pattern that matches decides.
  std::uint32_t rank(std::string_view path) const;
  float alpha(std::string_view path) const;
  // Whether target_modules names the module; a regular expression in place of a list isn't judged.
  bool targets(std::string_view path) const;

 private:
  template <typename T>
  struct Exception {
    ModulePattern pattern;
    T value;
  };
  LoraScaling scaling_ = LoraScaling::kStandard;
  bool dora_ = false;
  std::uint32_t rank_ = 0;
  float alpha_ = 0;
  std::vector<Exception<std::uint32_t>> ranks_;
  std::vector<Exception<float>> alphas_;
  bool any_target_ = false;
  std::vector<ModulePattern> targets_;
};

// The text of adapter_config.json for `spec`, with every field that PEFT's own loaders ask for.
// kUnsupported for a target that has no name in PEFT.
Result<std::string> peft_config_text(const AdapterSpec& spec, std::string_view base_model);

} // namespace coppice
