// SPDX-License-Identifier: Apache-2.0
// GGUF LoRA adapters as llama.cpp reads and writes them: NAME.weight.lora_a, NAME.weight.lora_b,
// adapter.lora.alpha, rows in base-file order.
//
// The file has one alpha for all targets: where ours differ, or scaling is rank-stabilized, the
// ratio is folded into B when writing. llama.cpp's scale is alpha / r, and 1 where alpha is 0.
#pragma once

#include <span>

#include "adapters/peft_adapter.h"

namespace coppice {

Result<Adapter> read_gguf_adapter(const fs::path& file, const std::string& architecture,
                                  const AdaptableModules& modules);
Result<void> write_gguf_adapter(const fs::path& file, const Adapter& adapter);

// Several adapters as one of the sum of their ranks: B = [s1 B1 | s2 B2], A = [A1; A2], alpha = r,
// so the product is exactly s1 B1 A1 + s2 B2 A2. Refuses specs of different architectures or
// shapes.
Result<Adapter> stack_adapters(std::span<const Adapter* const> adapters);

} // namespace coppice
