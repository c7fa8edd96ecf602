// SPDX-License-Identifier: Apache-2.0
#include "model/text_windows.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
#include <numeric>

#include "base/check.h"
#include "model/chat_template.h"

namespace coppice {

TokenizedDocument tokenize_text(const Tokenizer& tokenizer, std::string_view text) {
  TokenizedDocument document;
  document.tokens = tokenizer.encode(text, {.add_bos = tokenizer.add_bos()});
  document.targets.assign(document.tokens.size(), 1);
  document.bytes = text.size();
  return document;
}

TokenizedDocument tokenize_instruction(const BaseModel& base, std::string_view prompt,
                                       std::string_view response) {
  ChatTokens chat = tokenize_chat(base.tokenizer(), detect_chat_family(base), prompt, response);
  TokenizedDocument document;
  document.tokens = std::move(chat.prompt);
  document.targets.assign(document.tokens.size(), 0);
  document.tokens.insert(document.tokens.end(), chat.response.begin(), chat.response.end());
  document.targets.resize(document.tokens.size(), 1);
  document.bytes = response.size();
  return document;
}

std::vector<Sequence> scoring_windows(const TokenizedDocument& document, std::size_t window) {
  COPPICE_CHECK(window >= 2 && document.targets.size() == document.tokens.size());
  std::vector<Sequence> windows;
  const std::size_t size = document.tokens.size();
  for (std::size_t start = 0; start + 1 < size; start += window - 1) {
    const auto from = static_cast<std::ptrdiff_t>(start);
    const auto to = static_cast<std::ptrdiff_t>(std::min(start + window, size));
    Sequence sequence{.tokens = {document.tokens.begin() + from, document.tokens.begin() + to},
                      .targets = {document.targets.begin() + from, document.targets.begin() + to}};
    sequence.targets[0] = 0;
    if (std::ranges::any_of(sequence.targets, [](std::uint8_t target) { return target != 0; })) {
      windows.push_back(std::move(sequence));
    }
  }
  return windows;
}

std::vector<Sequence> scoring_windows(std::span<const TokenizedDocument> documents,
                                      std::size_t window) {
  std::vector<Sequence> all;
  for (const TokenizedDocument& document : documents) {
    std::ranges::move(scoring_windows(document, window), std::back_inserter(all));
  }
  return all;
}

double bits_per_byte(const Score& score, std::uint64_t bytes) {
  return bytes == 0 ? 0.0 : score.nats / std::numbers::ln2 / static_cast<double>(bytes);
}

BatchStream::BatchStream(std::span<const TokenizedDocument> documents, std::size_t window,
                         std::size_t batch_tokens, RandomKey key)
    : windows_(scoring_windows(documents, window)), batch_tokens_(batch_tokens), key_(key) {
  order_.resize(windows_.size());
  start_epoch(0);
}

// The order depends on the key and the epoch alone, not on what was drawn before.
void BatchStream::start_epoch(std::uint64_t epoch) {
  RandomKey key = key_;
  key.step += epoch;
  std::iota(order_.begin(), order_.end(), 0U);
  KeyedRandom(key).shuffle(std::span(order_));
  epoch_ = epoch;
  at_ = 0;
}

Result<void> BatchStream::seek(const Position& position) {
  if (position.window > order_.size()) {
    return Error{ErrorCode::kInvalidArgument,
                 "the place in the text to go on from is not there; start anew"};
  }
  start_epoch(position.epoch);
  at_ = static_cast<std::size_t>(position.window);
  return {};
}

Batch BatchStream::next() {
  Batch batch;
  if (empty()) return batch;
  if (at_ == order_.size()) start_epoch(epoch_ + 1);
  std::size_t tokens = 0;
  // A batch ends with its epoch, so that no window is in it twice.
  for (; at_ < order_.size(); ++at_) {
    const Sequence& sequence = windows_[order_[at_]];
    if (!batch.sequences.empty() && tokens + sequence.tokens.size() > batch_tokens_) break;
    tokens += sequence.tokens.size();
    batch.sequences.push_back(sequence);
  }
  return batch;
}

std::uint64_t BatchStream::tokens() const {
  std::uint64_t predicted = 0;
  for (const Sequence& sequence : windows_) {
    predicted += static_cast<std::uint64_t>(
        std::ranges::count_if(sequence.targets, [](std::uint8_t target) { return target != 0; }));
  }
  return predicted;
}

} // namespace coppice
