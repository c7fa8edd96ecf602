// SPDX-License-Identifier: Apache-2.0
#include "model/import_config.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "formats/printable.h"
#include "model/architecture.h"
#include "model/import_rope.h"

namespace coppice {
namespace {

// A model of Hugging Face's: its model_type, the architecture of GGUF, and what holds where its
// config.json leaves a field out. 0: it must be there.
struct KnownModel {
  std::string_view model_type;
  std::string_view architecture;
  std::uint64_t head_width = 0;
  std::uint64_t heads = 0;
  std::uint64_t kv_heads = 0;
  std::uint64_t rows = 0;
  std::uint64_t context = 0;
};

constexpr KnownModel kModels[] = {
    {.model_type = "llama", .architecture = "llama"},
    {.model_type = "mistral", .architecture = "llama"},
    {.model_type = "qwen2", .architecture = "qwen2"},
    {.model_type = "qwen3", .architecture = "qwen3", .head_width = 128},
    {.model_type = "phi3", .architecture = "phi3"},
    {.model_type = "gemma2", .architecture = "gemma2", .head_width = 256},
    {.model_type = "gemma3_text",
     .architecture = "gemma3",
     .head_width = 256,
     .heads = 8,
     .kv_heads = 4,
     .rows = 262208,
     .context = 131072},
    {.model_type = "smollm3", .architecture = "smollm3"},
    {.model_type = "bitnet", .architecture = "bitnet"},
};

constexpr std::uint64_t kMaxNumber = std::uint64_t{1} << 24U; // as model/model_config.cc

Error unsupported(const std::string& what) {
  return {ErrorCode::kUnsupported,
          cat("config.json: ", what, ", which is not known to this version")};
}

Result<const KnownModel*> find_model(const std::string& type) {
  const auto* const found = std::ranges::find(kModels, type, &KnownModel::model_type);
  if (found != std::end(kModels)) return found;
  std::vector<std::string> names;
  for (const KnownModel& known : kModels) names.emplace_back(known.model_type);
  return Error{ErrorCode::kUnsupported,
               cat("config.json: models of the type ", printable(type),
                   " are not known to this version; ", join(names, ", "), " are")};
}

class ConfigImport {
 public:
  ConfigImport(const KnownModel& known, const Json& config)
      : known_(known), config_(config), architecture_(known.architecture) {
    plan_.architecture = architecture_;
    plan_.config = config;
  }

  Result<ImportPlan> run(std::string_view name) {
    add_general(name);
    COPPICE_TRY(add_shapes());
    COPPICE_TRY(add_heads());
    COPPICE_TRY(check_activation());
    COPPICE_TRY(check_layers());
    COPPICE_TRY(add_window());
    COPPICE_TRY(add_gemma());
    COPPICE_TRY(add_rope());
    COPPICE_TRY(read_ternary());
    plan_.tied = flag_of(member(config_, "tie_word_embeddings"));
    const Architecture* ours = find_architecture(architecture_);
    COPPICE_CHECK(ours != nullptr);
    plan_.rope_order = ours->config.rope_order;
    plan_.post_norms = ours->config.post_norms;
    plan_.qkv_bias = ours->config.qkv_bias;
    plan_.norms_plus_one = is_gemma();
    return std::move(plan_);
  }

 private:
  bool is(std::string_view architecture) const { return architecture_ == architecture; }
  bool is_gemma() const { return architecture_.starts_with("gemma"); }
  void add(std::string_view key, GgufMetadata value) {
    plan_.entries.emplace_back(cat(architecture_, ".", key), std::move(value));
  }

  Result<std::uint32_t> count(std::string_view key, std::uint64_t missing) const {
    const Json& value = member(config_, key);
    std::uint64_t number = missing;
    if (!value.is_null() || missing == 0) number = COPPICE_TRY(json_uint(config_, key));
    if (number > 0 && number <= kMaxNumber) return static_cast<std::uint32_t>(number);
    return Error{ErrorCode::kInvalidArgument,
                 cat("config.json: ", key, " is ", number, ", and must be 1 to ", kMaxNumber)};
  }

  void add_general(std::string_view name) {
    plan_.entries.emplace_back("general.architecture", architecture_);
    plan_.entries.emplace_back("general.type", std::string("model"));
    plan_.entries.emplace_back("general.name", std::string(name));
  }

  Result<void> add_shapes() {
    plan_.layers = COPPICE_TRY(count("num_hidden_layers", 0));
    plan_.rows = COPPICE_TRY(count("vocab_size", known_.rows));
    width_ = COPPICE_TRY(count("hidden_size", 0));
    context_ = COPPICE_TRY(count("max_position_embeddings", known_.context));
    add("context_length", context_);
    add("embedding_length", width_);
    add("block_count", plan_.layers);
    add("feed_forward_length", COPPICE_TRY(count("intermediate_size", 0)));
    add("vocab_size", plan_.rows);
    const double epsilon = number_of(member(config_, "rms_norm_eps")).value_or(1e-6);
    add("attention.layer_norm_rms_epsilon", static_cast<float>(epsilon));
    return {};
  }

  Result<void> add_heads() {
    plan_.heads = COPPICE_TRY(count("num_attention_heads", known_.heads));
    const std::uint64_t same = known_.kv_heads != 0 ? known_.kv_heads : plan_.heads;
    plan_.kv_heads = COPPICE_TRY(count("num_key_value_heads", same));
    const std::uint64_t even = width_ / plan_.heads;
    plan_.head_width =
        COPPICE_TRY(count("head_dim", known_.head_width != 0 ? known_.head_width : even));
    add("attention.head_count", plan_.heads);
    add("attention.head_count_kv", plan_.kv_heads);
    if (!member(config_, "head_dim").is_null() || plan_.head_width != even) {
      add("attention.key_length", plan_.head_width);
      add("attention.value_length", plan_.head_width);
    }
    return {};
  }

  Result<void> check_activation() {
    const auto gated = text_of(member(config_, "hidden_activation"));
    const std::string name = gated ? *gated : text_of(member(config_, "hidden_act")).value_or("");
    if (is("bitnet")) {
      if (name != "relu2" && name != "silu") return unsupported("hidden_act is " + printable(name));
      add("hidden_activation", name);
      return {};
    }
    const bool fits = is_gemma() ? name == "gelu_pytorch_tanh" || name.empty() : name == "silu";
    return fits ? Result<void>() : unsupported("hidden_act is " + printable(name));
  }

  // GGUF has no key for which layer is of which kind: only the families' own patterns.
  Result<void> check_layers() {
    for (const std::string_view key : {"use_sliding_window", "use_bidirectional_attention"}) {
      if (flag_of(member(config_, key)).value_or(false)) return unsupported(cat(key, " is true"));
    }
    const std::uint32_t windows = is("gemma2") ? 2 : is("gemma3") ? 6 : 0;
    const Json& types = member(config_, "layer_types");
    for (std::size_t i = 0; types.is_array() && windows != 0 && i < types.size(); ++i) {
      const bool local = (i + 1) % windows != 0;
      if (text_of(types[i]) != (local ? "sliding_attention" : "full_attention")) {
        return unsupported(cat("layer_types has another kind of attention for layer ", i));
      }
    }
    const auto pattern = count_of(member(config_, "sliding_window_pattern"));
    if (is("gemma3") && pattern.value_or(windows) != windows) {
      return unsupported(cat("sliding_window_pattern is ", *pattern));
    }
    const Json& rotated = member(config_, "no_rope_layers");
    for (std::size_t i = 0; is("smollm3") && rotated.is_array() && i < rotated.size(); ++i) {
      if (count_of(rotated[i]) != ((i + 1) % 4 == 0 ? 0U : 1U)) {
        return unsupported(cat("no_rope_layers is unusual for layer ", i));
      }
    }
    return {};
  }

  Result<void> add_window() {
    const bool has = is_gemma() || is("phi3") || known_.model_type == "mistral";
    const auto window = count_of(member(config_, "sliding_window"));
    if (!has || (!window && !is("phi3"))) return {};
    if (window.value_or(0) > kMaxNumber) return unsupported("sliding_window is too large");
    add("attention.sliding_window", static_cast<std::uint32_t>(window.value_or(0)));
    return {};
  }

  // Soft caps, and the scale of scores: 1 / sqrt of the head's width, but for the largest of each.
  Result<void> add_gemma() {
    if (!is_gemma()) return {};
    for (const std::string_view key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
      const auto cap = number_of(member(config_, key));
      if (cap || is("gemma2")) add(key, static_cast<float>(cap.value_or(0.0)));
    }
    const Architecture* ours = find_architecture(architecture_);
    const double divisor = plan_.layers == ours->wide_scores_layers
                               ? width_ / static_cast<double>(plan_.heads)
                               : plan_.head_width;
    const double scalar = number_of(member(config_, "query_pre_attn_scalar")).value_or(256.0);
    if (std::abs(scalar - divisor) > 0.5) {
      return unsupported(cat("query_pre_attn_scalar is ", scalar, " and not ", divisor));
    }
    return {};
  }

  Result<void> add_rope() {
    const RopeShape shape{
        .architecture = architecture_, .head_width = plan_.head_width, .context = context_};
    ImportedRope rope = COPPICE_TRY(import_rope(config_, shape));
    for (auto& [key, value] : rope.keys) add(key, std::move(value));
    plan_.rope_tables = std::move(rope.tables);
    return {};
  }

  Result<void> read_ternary() {
    const Json& quantization = member(config_, "quantization_config");
    if (quantization.is_null()) return {};
    if (!is("bitnet") || text_of(member(quantization, "quant_method")) != "bitnet") {
      return unsupported(
          "the weights are quantized already; get the folder in float16 or bfloat16");
    }
    const bool online = text_of(member(quantization, "quantization_mode")) == "online";
    const bool times = text_of(member(quantization, "linear_class")) == "autobitlinear";
    plan_.ternary = online  ? TernaryStorage::kMaster
                    : times ? TernaryStorage::kPacked
                            : TernaryStorage::kDivided;
    return {};
  }

  const KnownModel& known_;
  const Json& config_;
  std::string architecture_;
  std::uint32_t width_ = 0;
  std::uint32_t context_ = 0;
  ImportPlan plan_;
};

} // namespace

Result<ImportPlan> plan_import(const Json& config, std::string_view model_name) {
  // Models of text and pictures hold the one of text inside.
  const Json& text = member(config, "text_config");
  const bool nested = text.is_object() && text_of(member(config, "model_type")) == "gemma3";
  const Json& own = nested ? text : config;
  const std::string type = nested ? "gemma3_text" : COPPICE_TRY(json_string(own, "model_type"));
  const KnownModel* known = COPPICE_TRY(find_model(type));
  return ConfigImport(*known, own).run(model_name);
}

} // namespace coppice
