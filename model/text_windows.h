// SPDX-License-Identifier: Apache-2.0
// From documents to Sequences: windows for scoring, and packed batches for training.
#pragma once

#include <span>
#include <vector>

#include "model/engine.h"

namespace coppice {

// One document's tokens with the tokens that carry loss (all of a text; only the response of an
// instruction row).
struct TokenizedDocument {
  std::vector<TokenId> tokens;
  std::vector<std::uint8_t> targets; // same length; targets[0] is ignored
  std::uint64_t bytes = 0;           // of the text that carries loss
};

// Plain text, BOS only if the file asks for it.
TokenizedDocument tokenize_text(const Tokenizer& tokenizer, std::string_view text);
// Prompt and response in the base's chat format; loss on the response (and its end token) only.
TokenizedDocument tokenize_instruction(const BaseModel& base, std::string_view prompt,
                                       std::string_view response);

// Windows of at most `window` tokens, each after the first starting with the last token of the one
// before: every token but the first is predicted once. Windows without a token to predict are left
// out. window >= 2.
std::vector<Sequence> scoring_windows(const TokenizedDocument& document, std::size_t window);
// Of all of them, in order.
std::vector<Sequence> scoring_windows(std::span<const TokenizedDocument> documents,
                                      std::size_t window);

// Bits a byte: nats / ln 2 / bytes of all the text. Comparable across tokenizers.
double bits_per_byte(const Score& score, std::uint64_t bytes);

// Endless, seeded batches of training windows over documents: an epoch visits every window once in
// an order keyed by (key with `step` counting epochs). A batch holds sequences of at most `window`
// tokens, each of one document, together at most `batch_tokens` unless it is a single one; it ends
// with its epoch.
class BatchStream {
 public:
  // Which window comes next: with the documents and the key, all that later batches depend on.
  struct Position {
    std::uint64_t epoch = 0;
    std::uint64_t window = 0; // of the epoch's order
    bool operator==(const Position&) const = default;
  };

  BatchStream(std::span<const TokenizedDocument> documents, std::size_t window,
              std::size_t batch_tokens, RandomKey key);
  Batch next(); // learning_rate_factor 1; without sequences if empty()
  Position position() const { return {epoch_, at_}; }
  // kInvalidArgument, with nothing changed, where an epoch has no such window.
  Result<void> seek(const Position& position);
  bool empty() const { return windows_.empty(); }
  std::uint64_t tokens() const; // predicted tokens of one epoch

 private:
  void start_epoch(std::uint64_t epoch);
  std::vector<Sequence> windows_;
  std::vector<std::uint32_t> order_;
  std::uint64_t epoch_ = 0;
  std::size_t at_ = 0;
  std::size_t batch_tokens_;
  RandomKey key_;
};

} // namespace coppice
