// SPDX-License-Identifier: Apache-2.0
// Cuts text into the words within which byte-level BPE merges, by each model's own pattern.
//
// The patterns are those published with GPT-2 and Llama 3; \s is Unicode's White_Space. Bytes that
// aren't well-formed UTF-8 belong to no pattern: a run of them is a word of its own, so nothing is
// lost. Immutable: thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace coppice {

class Pretokenizer {
 public:
  // `name` as in tokenizer.ggml.pre: "gpt-2" or "llama-bpe" (also "llama3", "llama-v3").
  // kUnsupported for others.
  static Result<Pretokenizer> by_name(std::string_view name);

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
