// SPDX-License-Identifier: Apache-2.0
// Byte-level BPE (Sennrich et al. 2016; over bytes as in GPT-2): words from a pattern, then merges
// of adjacent pairs, lowest rank first, leftmost among equals.
//
// Every byte is a token, so any bytes can be encoded, and decode(encode(x)) == x. A word of n bytes
// takes O(n log n). Immutable: thread-safe.
#pragma once

#include "model/pretokenizer.h"
#include "model/vocabulary.h"

namespace coppice {

// (left id, right id) -> rank and id of the merged token, in one flat table: open addressing,
// linear probing.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank = 0;
    TokenId id = -1;
  };
  explicit MergeTable(std::size_t merges);            // room for so many
  void add(TokenId left, TokenId right, Merge merge); // keeps the first of equal pairs
  const Merge* find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    std::uint64_t pair = kEmpty;
    Merge merge;
  };
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  std::size_t slot_of(std::uint64_t pair) const;
  std::vector<Slot> slots_; // a power of two, at most half full
};

class BpeTokenizer final : public Tokenizer {
 public:
  // kCorrupt for merges of what is no token, and for a byte without a token.
  static Result<std::shared_ptr<const Tokenizer>> from_gguf(const GgufFile& file);

  std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override;
  std::string decode(std::span<const TokenId> ids) const override;
  std::string piece(TokenId id) const override;
  std::size_t vocabulary_size() const override { return vocabulary_.size(); }
  std::string kind() const override { return "gpt2/" + words_.name(); }
  bool add_bos() const override { return add_bos_; }
  std::optional<TokenId> bos() const override { return vocabulary_.bos(); }
  std::optional<TokenId> eos() const override { return vocabulary_.eos(); }
  bool ends_generation(TokenId id) const override { return vocabulary_.ends_generation(id); }
  StripSides strips(TokenId id) const override { return vocabulary_.strips(id); }
  std::optional<TokenId> find(std::string_view token) const override {
    return vocabulary_.find(token);
  }

 private:
  struct Workspace; // reused from word to word
  BpeTokenizer(Vocabulary vocabulary, Pretokenizer words, MergeTable merges, bool add_bos);
  void encode_word(std::string_view word, Workspace& space, std::vector<TokenId>& ids) const;

  Vocabulary vocabulary_;
  Pretokenizer words_;
  MergeTable merges_;
  std::array<TokenId, 256> byte_ids_{};
  bool add_bos_;
};

} // namespace coppice
