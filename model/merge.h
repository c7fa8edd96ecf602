// SPDX-License-Identifier: Apache-2.0
// A base model and its adapters as one file: W' = W + sum_i scale_i B_i A_i, for any GGUF reader.
#pragma once

#include <span>

#include "model/engine.h"

namespace coppice {

// Writes `out` (the old file or the whole new one, whatever happens). Tensors that an adapter
// touches are dequantized, summed in float32 (products B A in float64) and stored as `type`, which
// must be F16, BF16 or F32; all others, and the metadata but general.file_type, are copied. Holds
// the merged tensors in memory. kInvalidArgument: another type, or an adapter for another base;
// kUnsupported: a merged weight that `type` can't hold (over 65,504 in F16; use F32).
Result<void> write_merged_model(const BaseModel& base, std::span<const AdapterUse> adapters,
                                const fs::path& out, BlockType type = BlockType::kF16);

// W' = m (W + scale B A) / |W + scale B A|, row by row, as PEFT merges DoRA; else as above. A row
// of zeros has no direction: kInvalidArgument.
Result<void> write_merged_dora(const BaseModel& base, const DoraAdapter& dora, const fs::path& out,
                               BlockType type = BlockType::kF16);

} // namespace coppice
