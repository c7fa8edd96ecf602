// SPDX-License-Identifier: Apache-2.0
#include "adapters/module_names.h"

#include <array>
#include <charconv>

#include "base/text.h"

namespace coppice {
namespace {

struct Names {
  std::string_view gguf;
  std::string_view peft;
};

constexpr std::array<Names, 7> kNames = {{
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
}};
constexpr std::string_view kGgufPrefix = "blk.";
constexpr std::string_view kPeftPrefix = "model.layers.";

// PREFIX, a number, a dot, and one of the names.
std::optional<ModuleName> parse(std::string_view text, std::string_view prefix,
                                std::string_view Names::*name) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  ModuleName module;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, module.layer);
  if (error != std::errc() || rest == end || *rest != '.') return std::nullopt;
  if (text.front() == '0' && rest - text.data() > 1) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()) + 1);
  for (; module.kind < kNames.size(); ++module.kind) {
    if (text == kNames[module.kind].*name) return module;
  }
  return std::nullopt;
}

} // namespace

std::optional<ModuleName> module_from_gguf(std::string_view tensor) {
  return parse(tensor, kGgufPrefix, &Names::gguf);
}

std::optional<ModuleName> module_from_peft(std::string_view path) {
  return parse(path, kPeftPrefix, &Names::peft);
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

} // namespace coppice
