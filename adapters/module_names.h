// SPDX-License-Identifier: Apache-2.0
// The adaptable linear layers of a transformer block, by the names of GGUF ("blk.3.attn_q") and of
// Hugging Face and PEFT ("model.layers.3.self_attn.q_proj"). Pure functions; thread-safe.
//
// Files of some architectures hold q, k and v as one matrix, and gate and up as another ("fused"):
// an adapter then has one pair of factors for it. GGUF's name of the second is that of up alone
// elsewhere, so that a GGUF name means something only together with the architecture.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace coppice {

// Ordered as specs are: layer by layer, within one q, k, v, qkv, o, gate, up, gate_up, down.
struct ModuleName {
  std::uint32_t layer = 0;
  std::uint32_t kind = 0; // index into the table of names
  auto operator<=>(const ModuleName&) const = default;
};

// What the GGUF files of an architecture do to Hugging Face's matrices.
struct FileLayout {
  bool fused = false;             // attn_qkv, and ffn_up for gate and up
  bool interleaved_heads = false; // rows of q and k lie in RoPE's pairs
};
FileLayout file_layout(std::string_view architecture);

// Nothing for other names; numbers of layers have no leading zeros.
std::optional<ModuleName> module_from_gguf(std::string_view tensor, // "blk.3.attn_q"
                                           std::string_view architecture);
std::optional<ModuleName> module_from_peft(
    std::string_view path); // "model.layers.3.self_attn.q_proj"

std::string gguf_module_name(ModuleName module);
std::string peft_module_path(ModuleName module);
// "q_proj": the last part of the path, as in PEFT's target_modules.
std::string_view peft_short_name(ModuleName module);
// qkv and gate_up: only files of fused architectures have them.
bool is_fused(ModuleName module);

} // namespace coppice
