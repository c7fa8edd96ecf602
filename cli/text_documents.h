// SPDX-License-Identifier: Apache-2.0
// Text to score, and rows to answer: all of a file or folder, a document a file (a row of .jsonl),
// without any split.
#pragma once

#include <string>
#include <vector>

#include "cli/console.h"
#include "client/answers.h"
#include "client/example_store.h"
#include "model/engine.h"

namespace coppice {

struct TextDocuments {
  std::vector<TokenizedDocument> documents;
  std::vector<Piece> rows;          // the instruction rows among them
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

// Of `most` rows, evenly spaced so that every file and domain is among them, those that fit the
// context.
std::vector<Question> questions_of(const TextDocuments& text, std::size_t most,
                                   const BaseModel& base);
// As score_answers(), some at a time with a progress bar on stderr. kCancelled on Ctrl-C.
Result<AnswerScore> answer_with_progress(Console& console, Engine& engine,
                                         std::span<const AdapterUse> adapters,
                                         std::span<const Question> questions,
                                         const std::string& label);

double nats_per_token(const Score& score);
double token_accuracy(const Score& score);

} // namespace coppice
