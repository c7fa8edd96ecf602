// SPDX-License-Identifier: Apache-2.0
// The adaptable linear layers of a transformer block, by the names of GGUF ("blk.3.attn_q") and of
// Hugging Face and PEFT ("model.layers.3.self_attn.q_proj"). Pure functions; thread-safe.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace coppice {

// Ordered as specs are: layer by layer, within one q, k, v, o, gate, up, down.
struct ModuleName {
  std::uint32_t layer = 0;
  std::uint32_t kind = 0; // index into the table of names
  auto operator<=>(const ModuleName&) const = default;
};

// Nothing for other names; numbers of layers have no leading zeros.
std::optional<ModuleName> module_from_gguf(std::string_view tensor); // "blk.3.attn_q"
std::optional<ModuleName> module_from_peft(
    std::string_view path); // "model.layers.3.self_attn.q_proj"

std::string gguf_module_name(ModuleName module);
std::string peft_module_path(ModuleName module);
// "q_proj": the last part of the path, as in PEFT's target_modules.
std::string_view peft_short_name(ModuleName module);

} // namespace coppice
