// SPDX-License-Identifier: Apache-2.0
// PEFT adapter folders (adapter_config.json, adapter_model.safetensors), read and written.
//
// PEFT's q and k rows are in the half-split order of Hugging Face; our order is the base file's
// (interleaved for llama). The conversion happens here, by `AdapterTarget::rope_heads`, unless the
// folder is declared to hold base-file order already (`PeftRows::kGguf`). rank_pattern,
// alpha_pattern and use_rslora are honoured; biases, modules_to_save and embeddings are refused by
// name (kUnsupported), and DoRA except by read_peft_dora(). Tensors in F32 go both ways byte for
// byte; F16 and BF16 are widened.
#pragma once

#include "adapters/adapter.h"
#include "base/file.h"

namespace coppice {

enum class PeftRows { kHuggingFace, kGguf };

// The modules that the base model has, with shapes and rope_heads, rank and alpha unset: what a
// file's names and shapes are checked against. See model/base_model.h for how it is made.
using AdaptableModules = std::vector<AdapterTarget>;

// Every tensor of the folder must belong to a module of `modules`, with its shapes; A and B in
// pairs.
Result<Adapter> read_peft_adapter(const fs::path& folder, const std::string& architecture,
                                  const AdaptableModules& modules,
                                  PeftRows rows = PeftRows::kHuggingFace);

// DoRA (Liu et al. 2024, eq. 5): W + scale B A with each row set to a trained length. Not low-rank:
// good for merging only, see model/merge.h.
struct DoraAdapter {
  Adapter adapter;
  std::vector<std::vector<float>> magnitudes; // (out) a target, rows in base-file order
};
// Whether the folder's configuration says so.
Result<bool> is_peft_dora(const fs::path& folder);
// As read_peft_adapter(), and a magnitude vector for each target (kInvalidArgument where one is
// missing, has another length or holds what is no finite number).
Result<DoraAdapter> read_peft_dora(const fs::path& folder, const std::string& architecture,
                                   const AdaptableModules& modules,
                                   PeftRows rows = PeftRows::kHuggingFace);

struct PeftWriteOptions {
  PeftRows rows = PeftRows::kHuggingFace;
  std::string base_model = {}; // base_model_name_or_path
};
// Makes the folder. Each file is written whole or not at all, the configuration last. kUnsupported
// for a target that has no name in PEFT.
Result<void> write_peft_adapter(const fs::path& folder, const Adapter& adapter,
                                const PeftWriteOptions& options);

} // namespace coppice
