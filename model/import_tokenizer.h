// SPDX-License-Identifier: Apache-2.0
// The tokenizer of a Hugging Face model folder as a GGUF file's metadata.
//
// Read are tokenizer.json (byte-level BPE, or SentencePiece's BPE with byte fallback),
// tokenizer.model (preferred where tokenizer.json is made from it), and of tokenizer_config.json
// the special tokens, add_bos_token and chat_template (or chat_template.jinja). Pure but for
// reading: thread-safe.
#pragma once

#include "model/import_files.h"

namespace coppice {

// tokenizer.ggml.*, tokenizer.chat_template and coppice.tokenizer.*, as model/vocabulary.h reads
// them. `config` is config.json; `rows` are the embedding's: tokens are filled up to them.
// kUnsupported, with what was found, for pre-tokenizers and models of tokens that aren't known;
// kNotFound for a folder without a tokenizer.
Result<GgufEntries> import_tokenizer(const fs::path& folder, const Json& config, std::size_t rows);

} // namespace coppice
