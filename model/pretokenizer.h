// SPDX-License-Identifier: Apache-2.0
// Cuts text into the words within which byte-level BPE merges, by each model's own pattern.
//
// The patterns are those published with GPT-2, Llama 3, Qwen 2, SmolLM and GPT-4o; \s is Unicode's
// White_Space. Nothing is normalized (Qwen's own tokenizer composes characters first, NFC): words
// after one another are the text. Bytes that aren't well-formed UTF-8 belong to no pattern: a run
// of them is a word of its own. Immutable: thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace coppice {

class Pretokenizer {
 public:
  // `name` as in tokenizer.ggml.pre: "gpt-2", "llama-bpe" (also "llama3", "llama-v3"), "qwen2",
  // "smollm" or "gpt-4o" (Phi-4-mini). kUnsupported for others.
  static Result<Pretokenizer> by_name(std::string_view name);
  // The name of a pattern as its model's own files spell it; none for one that isn't known here.
  static std::optional<std::string_view> name_of(std::string_view published);

  // Calls `word` with stretches of text that, one after another, are the text.
  void split(std::string_view text, const std::function<void(std::string_view)>& word) const;

  const std::string& name() const { return name_; }
  // Whether a word that is a token as a whole is taken as such before any merge (Llama 3).
  bool whole_words_first() const { return whole_words_first_; }

 private:
  struct Pattern; // the compiled PCRE2 code
  Pretokenizer() = default;
  std::string name_;
  bool whole_words_first_ = false;
  std::shared_ptr<const Pattern> pattern_;
};

} // namespace coppice
