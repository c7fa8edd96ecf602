// SPDX-License-Identifier: Apache-2.0
#include "model/model_config.h"

#include <cmath>

#include "base/text.h"

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
    return checked(name, COPPICE_TRY(file_.get_uint(key(name))));
  }
  Result<std::uint32_t> number_or(std::string_view name, std::uint64_t missing) const {
    return checked(name, COPPICE_TRY(file_.get_uint_or(key(name), missing)));
  }
  Result<float> positive_or(std::string_view name, double missing) const {
    const auto value = static_cast<float>(COPPICE_TRY(file_.get_float_or(key(name), missing)));
    if (std::isfinite(value) && value > 0) return value;
    return error(ErrorCode::kCorrupt, name, cat("is ", value, ", and must be positive"));
  }

 private:
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
  config.attention_scale = 1.0F / std::sqrt(static_cast<float>(config.head_width));
  const std::uint32_t value_width =
      COPPICE_TRY(keys.number_or("attention.value_length", config.head_width));
  if (value_width != config.head_width) {
    return keys.error(ErrorCode::kUnsupported, "attention.value_length",
                      cat("is ", value_width, ", and only that of the keys, ", config.head_width,
                          ", is computed here"));
  }
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
  const auto scaling = COPPICE_TRY(file.get_string_or(keys.key("rope.scaling.type"), "none"));
  const float linear = COPPICE_TRY(keys.positive_or("rope.scale_linear", 1.0));
  if (scaling != "none" || linear != 1.0F) {
    return keys.error(ErrorCode::kUnsupported, "rope.scaling.type",
                      cat("is ", scaling, " (linear factor ", linear,
                          "), and only scaling by rope_freqs.weight is computed here"));
  }
  return {};
}

} // namespace

Result<ModelConfig> read_model_config(const GgufFile& file) {
  ModelConfig config;
  config.architecture = COPPICE_TRY(file.get_string("general.architecture"));
  if (config.architecture != "llama") {
    return Error{ErrorCode::kUnsupported,
                 cat(file.name(), ": the architecture ", config.architecture,
                     " is not known to this version; llama is")};
  }
  const KeyReader keys(file, config.architecture);
  config.layers = COPPICE_TRY(keys.number("block_count"));
  config.width = COPPICE_TRY(keys.number("embedding_length"));
  config.feed_forward = COPPICE_TRY(keys.number("feed_forward_length"));
  config.context = COPPICE_TRY(keys.number("context_length"));
  config.norm_epsilon = COPPICE_TRY(keys.positive_or("attention.layer_norm_rms_epsilon", 1e-5));
  if (COPPICE_TRY(file.get_uint_or(keys.key("expert_count"), 0)) != 0) {
    return keys.error(ErrorCode::kUnsupported, "expert_count",
                      "is not 0, and mixtures of experts are not known to this version");
  }
  COPPICE_TRY(read_attention(keys, config));
  COPPICE_TRY(read_rope(keys, file, config));
  return config;
}

} // namespace coppice
