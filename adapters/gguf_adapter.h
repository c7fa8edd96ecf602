// SPDX-License-Identifier: Apache-2.0
// GGUF LoRA adapters as llama.cpp reads and writes them: NAME.weight.lora_a, NAME.weight.lora_b,
// adapter.lora.alpha, rows in base-file order.
//
// The file has one alpha for all targets, and llama.cpp's scale is alpha / r, or 1 where alpha is
// 0. Where ours (of rank-stabilized scaling: scale * r) differ, the ratio is folded into B when
// writing, one rounding a value; where they agree, and where every scale is 1, B is written as it
// is.
#pragma once

#include <span>

#include "adapters/peft_adapter.h"

namespace coppice {

// F32, F16, BF16 and Q8_0 factors, widened. Every tensor must belong to a module of `modules`, with
// its shapes, in pairs, and the file's architecture must be `architecture`: kInvalidArgument,
// naming the tensor, for an adapter of another base; kUnsupported for what is no plain LoRA;
// GgufFile's own errors.
Result<Adapter> read_gguf_adapter(const fs::path& file, const std::string& architecture,
                                  const AdaptableModules& modules);
// Atomic.
Result<void> write_gguf_adapter(const fs::path& file, const Adapter& adapter);

// Several adapters as one of the sum of their ranks: B = [s1 B1 | s2 B2], A = [A1; A2], alpha = r,
// so the product is s1 B1 A1 + s2 B2 A2; exactly so where the scales are powers of two, else up to
// the one rounding of each s B. A target that only some have is theirs alone. kInvalidArgument: no
// adapters, different architectures or shapes, and a sum of ranks above a layer's smaller side.
Result<Adapter> stack_adapters(std::span<const Adapter* const> adapters);

} // namespace coppice
