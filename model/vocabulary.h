// SPDX-License-Identifier: Apache-2.0
// The tokens of a GGUF file: texts as the file spells them, types, scores and the special ids.
//
// Checked when read: arrays of equal length, ids in range. Owns its texts. Immutable: thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/tokenizer.h"

namespace coppice {

enum class TokenType : std::uint8_t { // as in tokenizer.ggml.token_type
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,     // marks the text's structure; never made from a user's text
  kUserDefined = 4, // always one token, wherever its text stands
  kUnused = 5,
  kByte = 6, // "<0x0A>"
};

// SentencePiece's spelling of a space.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81"; // U+2581
std::string unescape_spaces(std::string_view text);

// Arrays of ids: tokens that take the white space before (after) them with them.
inline constexpr char kStripBeforeKey[] = "coppice.tokenizer.strip_before";
inline constexpr char kStripAfterKey[] = "coppice.tokenizer.strip_after";

class Vocabulary {
 public:
  // kCorrupt for arrays that don't fit one another, ids out of range and unknown types. Tokens that
  // bos, eos and unknown ids name are control (unknown) tokens even in a file without types.
  static Result<Vocabulary> from_gguf(const GgufFile& file);
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;
  Vocabulary(const Vocabulary&) = delete; // texts are views into blob_

  std::size_t size() const { return texts_.size(); }
  bool has(TokenId id) const { return id >= 0 && static_cast<std::size_t>(id) < size(); }
  // The ids below must be in range.
  std::string_view text(TokenId id) const { return texts_[static_cast<std::size_t>(id)]; }
  TokenType type(TokenId id) const { return types_[static_cast<std::size_t>(id)]; }
  float score(TokenId id) const {
    return scores_[static_cast<std::size_t>(id)];
  } // 0 without scores
  bool has_scores() const { return has_scores_; }

  // By the file's spelling; the first of equal ones.
  std::optional<TokenId> find(std::string_view text) const;
  std::size_t longest() const { return longest_; } // bytes of the longest text

  std::optional<TokenId> bos() const { return bos_; }
  std::optional<TokenId> eos() const { return eos_; }
  std::optional<TokenId> unknown() const { return unknown_; }
  bool ends_generation(TokenId id) const;
  StripSides strips(TokenId id) const;

  // A stretch of text without special tokens, or one special token.
  struct Fragment {
    std::string_view text;
    std::optional<TokenId> special;
  };
  // Leftmost, then longest. User-defined tokens always; control tokens if `control`. White space
  // that a token strips is in no fragment. A U+2581 in a token of SentencePiece stands for a space.
  std::vector<Fragment> split_specials(std::string_view text, bool control) const;

 private:
  struct Special {
    std::string_view text; // as it stands in a text
    TokenId id;
  };
  Vocabulary() = default;
  Result<void> read_texts(const GgufFile& file);
  Result<void> read_types(const GgufFile& file);
  Result<void> read_ids(const GgufFile& file);
  Result<void> read_strips(const GgufFile& file);
  void index(bool sentencepiece);
  const Special* special_at(std::string_view text, bool control) const;

  std::vector<char> blob_;
  std::vector<std::string_view> texts_;
  std::vector<TokenType> types_;
  std::vector<float> scores_;
  bool has_scores_ = false;
  std::unordered_map<std::string_view, TokenId> ids_;
  std::array<std::vector<Special>, 256> specials_; // by first byte, longest first
  std::deque<std::string> plain_;                  // texts of specials where the file's differ
  std::vector<TokenId> strip_before_;              // sorted, as is the next
  std::vector<TokenId> strip_after_;
  std::vector<TokenId> endings_;
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
  std::optional<TokenId> unknown_;
  std::size_t longest_ = 0;
};

} // namespace coppice
