// SPDX-License-Identifier: Apache-2.0
// config.json of a Hugging Face model folder as a GGUF file's metadata, and what its tensors need
// to be told apart; private to the import.
#pragma once

#include <optional>

#include "model/base_model.h"
#include "model/import_files.h"

namespace coppice {

// How BitNet's linear layers lie in the folder.
enum class TernaryStorage : std::uint8_t {
  kNone,    // plain numbers, taken as they are
  kMaster,  // numbers that the model rounds to three levels when it is used
  kPacked,  // U8 with four weights each, times weight_scale
  kDivided, // the same, divided by weight_scale
};

struct ImportPlan {
  std::string architecture; // of the GGUF file
  GgufEntries entries;      // general.* and ARCHITECTURE.*, as model/model_config.cc reads them
  Json config;              // of the text model
  std::uint32_t layers = 0;
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;
  std::uint32_t head_width = 0;
  std::uint32_t rows = 0;   // of the embedding
  std::optional<bool> tied; // unknown: by whether there is a head of its own
  RopeOrder rope_order = RopeOrder::kHalves;
  bool norms_plus_one = false; // Gemma's norms are stored less 1
  bool post_norms = false;     // the norm after attention isn't the one before the feed-forward
  bool qkv_bias = false;
  TernaryStorage ternary = TernaryStorage::kNone;
  // rope_freqs.weight, rope_factors_{long,short}.weight.
  std::vector<std::pair<std::string, std::vector<float>>> rope_tables;
};

// kUnsupported, by name, for models and features that model/ doesn't compute; kNotFound and
// kInvalidArgument for fields that are missing or of another type.
Result<ImportPlan> plan_import(const Json& config, std::string_view model_name);

} // namespace coppice
