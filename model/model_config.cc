// SPDX-License-Identifier: Apache-2.0
#include "model/model_config.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "formats/printable.h"
#include "model/architecture.h"

namespace coppice {
namespace {

// Far above any model; keeps products of two numbers within 64 bits and sums within 32.
constexpr std::uint64_t kMaxNumber = std::uint64_t{1} << 24U;

class KeyReader {
 public:
  KeyReader(const GgufFile& file, std::string architecture)
      : file_(file), architecture_(std::move(architecture)) {}

  std::string key(std::string_view name) const { return cat(architecture_, ".", name); }
  bool has(std::string_view name) const { return file_.has(key(name)); }
  Error error(ErrorCode code, std::string_view name, const std::string& what) const {
    return {code, cat(file_.name(), ": ", key(name), " ", what)};
  }

  Result<std::uint32_t> number(std::string_view name) const {
    return checked(name, COPPICE_TRY(same_in_all_layers(name)));
  }
  Result<std::uint32_t> number_or(std::string_view name, std::uint64_t missing) const {
    return checked(name, has(name) ? COPPICE_TRY(same_in_all_layers(name)) : missing);
  }
  // 0 is a number too.
  Result<std::uint32_t> count_or(std::string_view name, std::uint32_t missing) const {
    const std::uint64_t value = has(name) ? COPPICE_TRY(same_in_all_layers(name)) : missing;
    return value == 0 ? Result<std::uint32_t>(0U) : checked(name, value);
  }
  Result<float> positive_or(std::string_view name, double missing) const {
    const auto value = static_cast<float>(COPPICE_TRY(file_.get_float_or(key(name), missing)));
    if (std::isfinite(value) && value > 0) return value;
    return error(ErrorCode::kCorrupt, name, cat("is ", value, ", and must be positive"));
  }
  // 0: off.
  Result<float> cap_or(std::string_view name, float missing) const {
    const auto value =
        static_cast<float>(COPPICE_TRY(file_.get_float_or(key(name), double{missing})));
    if (std::isfinite(value) && value >= 0) return value;
    return error(ErrorCode::kCorrupt, name, cat("is ", value, ", and must be 0 or more"));
  }
  Result<std::string> text_or(std::string_view name, std::string_view missing) const {
    return std::string(COPPICE_TRY(file_.get_string_or(key(name), missing)));
  }

 private:
  // Files may list a number for each layer.
  Result<std::uint64_t> same_in_all_layers(std::string_view name) const {
    const auto value = file_.find(key(name));
    if (!value || value->type != GgufType::kArray) return file_.get_uint(key(name));
    const auto numbers = COPPICE_TRY(file_.get_ints(key(name)));
    if (numbers.empty() || numbers.front() < 0) {
      return error(ErrorCode::kCorrupt, name, "lists no number of 0 or more");
    }
    if (std::ranges::adjacent_find(numbers, std::ranges::not_equal_to()) != numbers.end()) {
      return error(ErrorCode::kUnsupported, name,
                   "differs between layers, and only layers of one shape are computed here");
    }
    return static_cast<std::uint64_t>(numbers.front());
  }

  Result<std::uint32_t> checked(std::string_view name, std::uint64_t value) const {
    if (value > 0 && value <= kMaxNumber) return static_cast<std::uint32_t>(value);
    return error(ErrorCode::kCorrupt, name, cat("is ", value, ", and must be 1 to ", kMaxNumber));
  }

  const GgufFile& file_;
  std::string architecture_;
};

Result<void> read_attention(const KeyReader& keys, ModelConfig& config) {
  config.heads = COPPICE_TRY(keys.number("attention.head_count"));
  config.kv_heads = COPPICE_TRY(keys.number_or("attention.head_count_kv", config.heads));
  if (config.heads % config.kv_heads != 0) {
    return keys.error(
        ErrorCode::kCorrupt, "attention.head_count",
        cat("is ", config.heads, ", no multiple of the ", config.kv_heads, " key-value heads"));
  }
  if (!keys.has("attention.key_length") && config.width % config.heads != 0) {
    return keys.error(ErrorCode::kCorrupt, "attention.head_count",
                      cat("is ", config.heads, ", no divisor of the width ", config.width));
  }
  const std::uint32_t even = config.width / config.heads;
  config.head_width = COPPICE_TRY(keys.number_or("attention.key_length", even));
  const std::uint32_t value_width =
      COPPICE_TRY(keys.number_or("attention.value_length", config.head_width));
  if (value_width != config.head_width) {
    return keys.error(ErrorCode::kUnsupported, "attention.value_length",
                      cat("is ", value_width, ", and only that of the keys, ", config.head_width,
                          ", is computed here"));
  }
  return {};
}

// Of scores, logits and what a layer sees.
Result<void> read_limits(const KeyReader& keys, const Architecture& architecture,
                         ModelConfig& config) {
  const bool wide_scores =
      architecture.wide_scores_layers != 0 && config.layers == architecture.wide_scores_layers;
  const std::uint32_t divisor = wide_scores ? config.width / config.heads : config.head_width;
  config.attention_scale = 1.0F / std::sqrt(static_cast<float>(divisor));
  config.attention_cap = COPPICE_TRY(keys.cap_or("attn_logit_softcapping", config.attention_cap));
  config.output_cap = COPPICE_TRY(keys.cap_or("final_logit_softcapping", config.output_cap));
  const bool has_windows = config.global_every != 1;
  const std::uint32_t window =
      COPPICE_TRY(keys.count_or("attention.sliding_window", config.window));
  if (has_windows) {
    config.window = window;
    if (config.global_every != 0) {
      config.global_every =
          COPPICE_TRY(keys.number_or("attention.sliding_window_pattern", config.global_every));
    }
  } else if (window != 0 && window < config.context) {
    return keys.error(ErrorCode::kUnsupported, "attention.sliding_window",
                      cat("is ", window, ", and ", config.architecture,
                          " is computed here without windows only"));
  }
  return {};
}

// rope_factors_{long,short}.weight are used where the file has them.
Result<void> read_long_rope(const KeyReader& keys, const GgufFile& file, ModelConfig& config) {
  config.rope.magnitude = COPPICE_TRY(keys.positive_or("rope.scaling.attn_factor", 1.0));
  if (!file.has_tensor("rope_factors_long.weight")) return {};
  config.rope.short_context = COPPICE_TRY(keys.number("rope.scaling.original_context_length"));
  return {};
}

Result<void> read_rope(const KeyReader& keys, const GgufFile& file, ModelConfig& config) {
  config.rope_width = COPPICE_TRY(keys.number_or("rope.dimension_count", config.head_width));
  if (config.rope_width % 2 != 0 || config.rope_width > config.head_width) {
    return keys.error(ErrorCode::kCorrupt, "rope.dimension_count",
                      cat("is ", config.rope_width, ", and must be even and at most the head's ",
                          config.head_width));
  }
  config.rope.base = COPPICE_TRY(keys.positive_or("rope.freq_base", 10000.0));
  if (config.has_local_rope) {
    config.local_rope.base =
        COPPICE_TRY(keys.positive_or("rope.freq_base_swa", double{config.local_rope.base}));
  }
  COPPICE_TRY(read_long_rope(keys, file, config));
  // A factor alone means linear, as in older files.
  const std::string scaling = COPPICE_TRY(keys.text_or("rope.scaling.type", "linear"));
  if (scaling == "none" || (scaling == "longrope" && config.rope.short_context != 0)) return {};
  if (scaling != "linear") {
    return keys.error(
        ErrorCode::kUnsupported, "rope.scaling.type",
        cat("is ", printable(scaling),
            ", and only linear scaling and the file's own factors are computed here"));
  }
  const float older = COPPICE_TRY(keys.positive_or("rope.scale_linear", 1.0));
  config.rope.linear_factor = COPPICE_TRY(keys.positive_or("rope.scaling.factor", double{older}));
  return {};
}

Result<void> read_activation(const KeyReader& keys, ModelConfig& config) {
  if (!keys.has("hidden_activation")) return {};
  const std::string name = COPPICE_TRY(keys.text_or("hidden_activation", ""));
  for (const Activation known :
       {Activation::kSilu, Activation::kGeluTanh, Activation::kSquaredRelu}) {
    if (name != activation_name(known)) continue;
    config.activation = known;
    return {};
  }
  return keys.error(
      ErrorCode::kUnsupported, "hidden_activation",
      cat("is ", printable(name), ", and silu, gelu_pytorch_tanh and relu2 are computed here"));
}

} // namespace

Result<ModelConfig> read_model_config(const GgufFile& file) {
  const std::string name(COPPICE_TRY(file.get_string("general.architecture")));
  const Architecture* architecture = find_architecture(name);
  if (architecture == nullptr) {
    return Error{ErrorCode::kUnsupported,
                 cat(file.name(), ": the architecture ", printable(name),
                     " is not known to this version; ", known_architectures(), " are")};
  }
  ModelConfig config = architecture->config;
  const KeyReader keys(file, name);
  config.layers = COPPICE_TRY(keys.number("block_count"));
  config.width = COPPICE_TRY(keys.number("embedding_length"));
  config.feed_forward = COPPICE_TRY(keys.number("feed_forward_length"));
  config.context = COPPICE_TRY(keys.number("context_length"));
  config.norm_epsilon = COPPICE_TRY(keys.positive_or("attention.layer_norm_rms_epsilon", 1e-5));
  if (COPPICE_TRY(file.get_uint_or(keys.key("expert_count"), 0)) != 0) {
    return keys.error(ErrorCode::kUnsupported, "expert_count",
                      "is not 0, and mixtures of experts are not known to this version");
  }
  if (architecture->scales_embedding) {
    config.embedding_scale = std::sqrt(static_cast<float>(config.width));
  }
  COPPICE_TRY(read_attention(keys, config));
  COPPICE_TRY(read_limits(keys, *architecture, config));
  COPPICE_TRY(read_rope(keys, file, config));
  COPPICE_TRY(read_activation(keys, config));
  return config;
}

} // namespace coppice
