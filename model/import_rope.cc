// SPDX-License-Identifier: Apache-2.0
#include "model/import_rope.h"

#include <cmath>
#include <numbers>

#include "base/text.h"
#include "formats/printable.h"

namespace coppice {
namespace {

Result<double> positive(const Json& json, std::string_view key, std::optional<double> missing) {
  const auto value = number_of(member(json, key));
  if (value && *value > 0) return *value;
  if (!value && missing) return *missing;
  return Error{ErrorCode::kInvalidArgument,
               cat("config.json: ", key, " of the rotary embedding must be a positive number")};
}

// What divides each frequency (the Llama 3.1 models): nothing for short waves, `factor` for long
// ones, in between a mixture.
Result<std::vector<float>> llama3_factors(const Json& scaling, double base, std::uint32_t width) {
  const double factor = COPPICE_TRY(positive(scaling, "factor", 8.0));
  const double low = COPPICE_TRY(positive(scaling, "low_freq_factor", 1.0));
  const double high = COPPICE_TRY(positive(scaling, "high_freq_factor", 4.0));
  const double old = COPPICE_TRY(positive(scaling, "original_max_position_embeddings", 8192.0));
  std::vector<float> factors;
  for (std::uint32_t i = 0; i < width; i += 2) {
    const double turn = std::pow(base, static_cast<double>(i) / width);
    const double wave = 2 * std::numbers::pi * turn;
    double divisor = 1.0;
    if (wave > old / low) {
      divisor = factor;
    } else if (wave >= old / high) {
      const double smooth = (old / wave - low) / (high - low);
      divisor = 1.0 / ((1.0 - smooth) / factor + smooth);
    }
    factors.push_back(static_cast<float>(divisor));
  }
  return factors;
}

Result<std::vector<float>> factor_list(const Json& scaling, std::string_view key,
                                       std::size_t size) {
  const Json* list = COPPICE_TRY(json_array(scaling, key, "rope_scaling"));
  std::vector<float> factors;
  for (const Json& item : *list) {
    const auto value = number_of(item);
    if (!value || *value <= 0) break;
    factors.push_back(static_cast<float>(*value));
  }
  if (factors.size() == size && factors.size() == list->size()) return factors;
  return Error{ErrorCode::kInvalidArgument,
               cat("config.json: ", key, " must list ", size, " positive numbers")};
}

class RopeImport {
 public:
  RopeImport(const Json& config, const RopeShape& shape) : config_(config), shape_(shape) {}

  Result<ImportedRope> run() {
    const bool gemma3 = shape_.architecture == "gemma3";
    const Json& given = member(config_, "rope_parameters");
    const Json& full = member(given, "full_attention");
    const Json& now = gemma3 && full.is_object() ? full : given;
    const Json& scaling = now.is_object() ? now : member(config_, "rope_scaling");
    const Json& theta = member(now, "rope_theta").is_null() ? config_ : now;
    base_ = COPPICE_TRY(positive(theta, "rope_theta", gemma3 ? 1e6 : 1e4));
    add("rope.freq_base", static_cast<float>(base_));
    if (gemma3) {
      const Json& local = member(given, "sliding_attention");
      const double older = COPPICE_TRY(positive(config_, "rope_local_base_freq", 1e4));
      const double base = COPPICE_TRY(positive(local, "rope_theta", older));
      add("rope.freq_base_swa", static_cast<float>(base));
    }
    COPPICE_TRY(add_width(now));
    COPPICE_TRY(add_scaling(scaling));
    return std::move(made_);
  }

 private:
  void add(std::string key, GgufMetadata value) {
    made_.keys.emplace_back(std::move(key), std::move(value));
  }

  // Partial rotation: the first columns of each head.
  Result<void> add_width(const Json& now) {
    const Json& holder = member(now, "partial_rotary_factor").is_null() ? config_ : now;
    const double part = COPPICE_TRY(positive(holder, "partial_rotary_factor", 1.0));
    const bool known = part == 1.0 || (shape_.architecture == "phi3" && part < 1.0);
    if (!known) {
      return Error{ErrorCode::kUnsupported, cat("config.json: partial_rotary_factor is ", part)};
    }
    width_ = static_cast<std::uint32_t>(part * shape_.head_width);
    const bool has_key = shape_.architecture == "llama" || shape_.architecture == "phi3" ||
                         shape_.architecture == "smollm3" || shape_.architecture == "bitnet";
    if (has_key) add("rope.dimension_count", width_);
    if (shape_.architecture == "phi3") {
      const auto own = number_of(member(now, "original_max_position_embeddings"));
      original_ = own ? *own
                      : COPPICE_TRY(positive(config_, "original_max_position_embeddings",
                                             double{static_cast<double>(shape_.context)}));
      add("rope.scaling.original_context_length", static_cast<std::uint32_t>(original_));
    }
    return {};
  }

  Result<void> add_scaling(const Json& scaling) {
    auto type = text_of(member(scaling, "rope_type"));
    if (!type) type = text_of(member(scaling, "type"));
    if (!type || *type == "default") return {};
    if (*type == "linear") {
      add("rope.scaling.type", std::string("linear"));
      add("rope.scaling.factor",
          static_cast<float>(COPPICE_TRY(positive(scaling, "factor", std::nullopt))));
      return {};
    }
    if (*type == "llama3") {
      made_.tables.emplace_back("rope_freqs.weight",
                                COPPICE_TRY(llama3_factors(scaling, base_, width_)));
      return {};
    }
    // "su" is what the first Phi-3 models called it.
    if ((*type == "longrope" || *type == "su") && shape_.architecture == "phi3") {
      return add_longrope(scaling);
    }
    return Error{ErrorCode::kUnsupported,
                 cat("config.json: the rotary embedding is scaled by ", printable(*type),
                     ", and linear, llama3 and longrope (of phi3) are known")};
  }

  // Ding et al. 2024: cosine and sine grow with the context that is gained.
  Result<void> add_longrope(const Json& scaling) {
    const double gained = shape_.context / original_;
    const double usual =
        gained > 1.0 ? std::sqrt(1.0 + std::log(gained) / std::log(original_)) : 1.0;
    const double magnitude = COPPICE_TRY(positive(scaling, "attention_factor", usual));
    add("rope.scaling.attn_factor", static_cast<float>(magnitude));
    for (const auto& [field, name] : {std::pair("long_factor", "rope_factors_long.weight"),
                                      std::pair("short_factor", "rope_factors_short.weight")}) {
      made_.tables.emplace_back(name, COPPICE_TRY(factor_list(scaling, field, width_ / 2)));
    }
    return {};
  }

  const Json& config_;
  const RopeShape& shape_;
  double base_ = 0;
  double original_ = 0;
  std::uint32_t width_ = 0;
  ImportedRope made_;
};

} // namespace

Result<ImportedRope> import_rope(const Json& config, const RopeShape& shape) {
  return RopeImport(config, shape).run();
}

} // namespace coppice
