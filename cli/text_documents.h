// SPDX-License-Identifier: Apache-2.0
// Text to score: all of a file or folder, a document a file (a row of .jsonl), without any split.
#pragma once

#include <string>
#include <vector>

#include "cli/console.h"
#include "client/example_store.h"
#include "model/engine.h"

namespace coppice {

struct TextDocuments {
  std::vector<TokenizedDocument> documents;
  std::uint64_t bytes = 0;          // of text that carries loss
  std::vector<std::string> skipped; // what wasn't read, and why
};

// A file of any name, or every .txt, .md and .jsonl below a folder, in the order of their paths.
// kNotFound if it isn't there; kInvalidArgument if it holds no text.
Result<TextDocuments> read_documents(const fs::path& path, const BaseModel& base);

// As score_documents(), a window at a time with a progress bar on stderr. kCancelled on Ctrl-C.
Result<TextScore> score_with_progress(Console& console, Engine& engine,
                                      std::span<const AdapterUse> adapters,
                                      const TextDocuments& text, const std::string& label);

double nats_per_token(const Score& score);

} // namespace coppice
