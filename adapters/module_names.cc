// SPDX-License-Identifier: Apache-2.0
#include "adapters/module_names.h"

#include <array>
#include <charconv>

#include "base/text.h"

namespace coppice {
namespace {

enum class In { kAll, kFused, kSeparate }; // files of which architectures have the module

struct Names {
  std::string_view gguf;
  std::string_view peft;
  In in;
};

constexpr std::array<Names, 9> kNames = {{
    {"attn_q", "self_attn.q_proj", In::kSeparate},
    {"attn_k", "self_attn.k_proj", In::kSeparate},
    {"attn_v", "self_attn.v_proj", In::kSeparate},
    {"attn_qkv", "self_attn.qkv_proj", In::kFused},
    {"attn_output", "self_attn.o_proj", In::kAll},
    {"ffn_gate", "mlp.gate_proj", In::kSeparate},
    {"ffn_up", "mlp.up_proj", In::kSeparate},
    {"ffn_up", "mlp.gate_up_proj", In::kFused},
    {"ffn_down", "mlp.down_proj", In::kAll},
}};
constexpr std::string_view kGgufPrefix = "blk.";
constexpr std::string_view kPeftPrefix = "model.layers.";

// A number without leading zeros and a dot, cut off the front.
std::optional<std::uint32_t> take_layer(std::string_view& text) {
  std::uint32_t layer = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, layer);
  if (error != std::errc() || rest == end || *rest != '.') return std::nullopt;
  if (text.front() == '0' && rest - text.data() > 1) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()) + 1);
  return layer;
}

// PREFIX, a number, a dot, and a name that `matches`.
template <typename Matches>
std::optional<ModuleName> parse(std::string_view text, std::string_view prefix,
                                const Matches& matches) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  const auto layer = take_layer(text);
  if (!layer) return std::nullopt;
  for (std::uint32_t kind = 0; kind < kNames.size(); ++kind) {
    if (matches(kNames[kind], text)) return ModuleName{.layer = *layer, .kind = kind};
  }
  return std::nullopt;
}

} // namespace

FileLayout file_layout(std::string_view architecture) {
  return {.fused = architecture == "phi3",
          .interleaved_heads = architecture == "llama" || architecture == "smollm3"};
}

std::optional<ModuleName> module_from_gguf(std::string_view tensor, std::string_view architecture) {
  const In other = file_layout(architecture).fused ? In::kSeparate : In::kFused;
  return parse(tensor, kGgufPrefix, [other](const Names& names, std::string_view text) {
    return names.in != other && names.gguf == text;
  });
}

std::optional<ModuleName> module_from_peft(std::string_view path) {
  return parse(path, kPeftPrefix,
               [](const Names& names, std::string_view text) { return names.peft == text; });
}

std::string gguf_module_name(ModuleName module) {
  return cat(kGgufPrefix, module.layer, ".", kNames[module.kind].gguf);
}

std::string peft_module_path(ModuleName module) {
  return cat(kPeftPrefix, module.layer, ".", kNames[module.kind].peft);
}

std::string_view peft_short_name(ModuleName module) {
  const std::string_view path = kNames[module.kind].peft;
  return path.substr(path.rfind('.') + 1);
}

bool is_fused(ModuleName module) { return kNames[module.kind].in == In::kFused; }

} // namespace coppice
