// SPDX-License-Identifier: Apache-2.0
// SentencePiece's BPE by scores (Kudo and Richardson 2018): spaces become U+2581, then the adjacent
// pair whose joined text is the token of the highest score is merged, leftmost among equals, until
// there is none.
//
// A character without a token becomes its bytes' tokens. So does ill-formed UTF-8. Not undone by
// decode(): a U+2581 of the text itself, which reads as a space. Tokens of text are only the normal
// ones; control, byte and unknown tokens never come out of a merge. O(n log n). Immutable:
// thread-safe.
#pragma once

#include "model/vocabulary.h"

namespace coppice {

class SpmTokenizer final : public Tokenizer {
 public:
  // kCorrupt without scores, and without both byte tokens and an unknown token.
  static Result<std::shared_ptr<const Tokenizer>> from_gguf(const GgufFile& file);

  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override;
  std::string decode(std::span<const TokenId> ids) const override;
  std::string piece(TokenId id) const override;
  std::size_t vocabulary_size() const override { return vocabulary_.size(); }
  std::string kind() const override { return "llama"; }
  bool add_bos() const override { return add_bos_; }
  std::optional<TokenId> bos() const override { return vocabulary_.bos(); }
  std::optional<TokenId> eos() const override { return vocabulary_.eos(); }
  bool ends_generation(TokenId id) const override { return vocabulary_.ends_generation(id); }
  StripSides strips(TokenId id) const override { return vocabulary_.strips(id); }
  std::optional<TokenId> find(std::string_view token) const override {
    return vocabulary_.find(token);
  }

 private:
  explicit SpmTokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  void index_tokens();
  std::optional<TokenId> find_text(std::string_view text) const; // normal tokens
  void encode_text(std::string_view text, std::vector<TokenId>& ids) const;
  void encode_word(std::string_view text, std::vector<TokenId>& ids) const;

  Vocabulary vocabulary_;
  std::array<TokenId, 256> byte_ids_{}; // the unknown token where there is none
  std::vector<std::int16_t> bytes_;     // by id: the byte of a byte token, else -1
  // No token goes on over a space after other characters (as in Llama 2): no merge crosses such a
  // place, and the words between can be merged one by one, with the same result.
  bool spaces_begin_tokens_ = true;
  bool add_bos_ = true;
  bool add_space_prefix_ = true;
};

} // namespace coppice
