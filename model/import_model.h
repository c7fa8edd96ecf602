// SPDX-License-Identifier: Apache-2.0
// A Hugging Face model folder as a GGUF file: config.json, tokenizer.json or tokenizer.model, and
// safetensors files.
//
// Known are the models of type llama, mistral, qwen2, qwen3, phi3, gemma2, gemma3, smollm3 and
// bitnet. Everything in the folder is taken for hostile: sizes are bounded, names checked. One
// tensor is in memory at a time.
#pragma once

#include <functional>
#include <optional>

#include "base/file.h"
#include "formats/block_type.h"

namespace coppice {

struct ImportOptions {
  // Of matrices; vectors are F32. None: as most of them are stored in the folder. Others than F32,
  // F16 and BF16 are what quantize_model() makes of the file without, which lies beside it
  // meanwhile; I8 is NF4 as there.
  std::optional<BlockType> type;
  unsigned threads = 1; // for that; the bytes don't depend on it
  // Called before each tensor with those done and their number.
  std::function<void(std::size_t done, std::size_t all)> progress = {};
};

struct ImportedModel {
  std::string architecture;
  std::uint64_t parameters = 0;
  std::size_t tensors = 0;
  BlockType type = BlockType::kF32;
};

// Writes `out` whole or not at all, and only if it opens as a base model. kAlreadyExists if it is
// there; kUnsupported, by name, for models, features, tensors and tokenizers that aren't known, and
// for weights beyond the type's range; kNotFound and kCorrupt for folders that lack something or
// contradict themselves.
Result<ImportedModel> import_model(const fs::path& folder, const fs::path& out,
                                   const ImportOptions& options);

} // namespace coppice
