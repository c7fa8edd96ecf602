// SPDX-License-Identifier: Apache-2.0
#include "model/import_vocabulary.h"

#include <algorithm>

#include "base/text.h"
#include "formats/printable.h"

namespace coppice {
namespace {

Error corrupt(const std::string& what) {
  return {ErrorCode::kCorrupt, cat("the tokenizer ", what, "; get the folder again")};
}

// "left right", or a list of the two.
Result<std::pair<std::string, std::string>> merge_pair(const Json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
  }
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const std::size_t space = text.find(' ', 1);
    if (space != std::string::npos) {
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
  }
  return corrupt(cat("has a merge that is no pair: ", printable(dump_json(merge))));
}

bool is_byte_token(const std::string& text) {
  return text.size() == 6 && text.starts_with("<0x") && text.ends_with('>');
}

} // namespace

Result<void> ImportedVocabulary::set(std::size_t id, std::string text, TokenType type,
                                     std::size_t rows) {
  if (id >= rows) {
    return corrupt(cat("has the id ", id, " for ", printable(text), ", and the model ", rows,
                       " rows of its embedding"));
  }
  if (text.empty()) return corrupt(cat("has no text for the id ", id));
  if (id >= tokens.size()) {
    tokens.resize(id + 1);
    types.resize(id + 1, static_cast<std::int32_t>(TokenType::kUnused));
  }
  if (!tokens[id].empty() && tokens[id] != text) {
    return corrupt(
        cat("has the id ", id, " for ", printable(tokens[id]), " and for ", printable(text)));
  }
  types[id] = static_cast<std::int32_t>(type);
  ids.try_emplace(text, id);
  tokens[id] = std::move(text);
  return {};
}

std::optional<std::uint32_t> ImportedVocabulary::find(const std::string& text) const {
  const auto found = ids.find(text);
  if (found == ids.end()) return std::nullopt;
  return static_cast<std::uint32_t>(found->second);
}

Result<ImportedVocabulary> vocabulary_of_json(const Json& model, bool sentencepiece,
                                              std::size_t rows) {
  ImportedVocabulary made;
  const Json* vocabulary = COPPICE_TRY(json_object(model, "vocab", "model"));
  const std::string unknown = text_of(member(model, "unk_token")).value_or("");
  for (const auto& [text, id] : vocabulary->items()) {
    const auto number = count_of(id);
    if (!number) return corrupt(cat("has no id for ", printable(text)));
    TokenType type = TokenType::kNormal;
    if (sentencepiece && is_byte_token(text)) type = TokenType::kByte;
    if (sentencepiece && text == unknown) type = TokenType::kUnknown;
    COPPICE_TRY(made.set(*number, text, type, rows));
  }
  const Json* merges = COPPICE_TRY(json_array(model, "merges", "model"));
  if (sentencepiece) made.scores.resize(made.tokens.size());
  std::int32_t rank = 0;
  for (const Json& merge : *merges) {
    auto [left, right] = COPPICE_TRY(merge_pair(merge));
    if (!sentencepiece) {
      made.merges.push_back(cat(left, ' ', right));
      continue;
    }
    const auto id = made.find(left + right);
    if (!id) return corrupt(cat("merges to ", printable(left + right), ", which is no token"));
    // A token's first merge counts: scores are the tokens', ranks the pairs'.
    --rank;
    if (made.scores[*id] == 0.0F) made.scores[*id] = static_cast<float>(rank);
  }
  return made;
}

Result<ImportedVocabulary> vocabulary_of_pieces(const SentencePieceModel& model, std::size_t rows) {
  constexpr std::uint32_t kBpe = 2;
  if (model.model_type != kBpe) {
    return Error{ErrorCode::kUnsupported,
                 "tokenizer.model is no BPE model, and no other kind of SentencePiece is known to "
                 "this version"};
  }
  if (model.has_character_rules || model.remove_extra_whitespaces || !model.escape_whitespaces) {
    return Error{ErrorCode::kUnsupported,
                 "tokenizer.model rewrites texts before it cuts them, which is not known to this "
                 "version"};
  }
  ImportedVocabulary made;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const SentencePiece& piece = model.pieces[id];
    if (piece.type < 1 || piece.type > 6) {
      return corrupt(cat("has the type ", piece.type, " for the id ", id));
    }
    COPPICE_TRY(made.set(id, std::string(piece.text), static_cast<TokenType>(piece.type), rows));
    made.scores.push_back(piece.score);
  }
  return made;
}

Result<void> add_token(ImportedVocabulary& vocabulary, std::uint64_t id, const Json& token,
                       std::size_t rows) {
  const auto text = text_of(member(token, "content"));
  if (!text) return corrupt(cat("has no text for the added id ", id));
  const bool special = flag_of(member(token, "special")).value_or(false);
  TokenType type = special ? TokenType::kControl : TokenType::kUserDefined;
  constexpr auto kUnknown = static_cast<std::int32_t>(TokenType::kUnknown);
  if (id < vocabulary.types.size() && vocabulary.types[id] == kUnknown) type = TokenType::kUnknown;
  COPPICE_TRY(vocabulary.set(id, *text, type, rows));
  const auto note = [id](const Json& strips, std::vector<std::int32_t>& list) {
    if (flag_of(strips).value_or(false)) list.push_back(static_cast<std::int32_t>(id));
  };
  note(member(token, "lstrip"), vocabulary.strip_before);
  note(member(token, "rstrip"), vocabulary.strip_after);
  return {};
}

void fill_up(ImportedVocabulary& vocabulary, std::size_t rows) {
  vocabulary.tokens.resize(rows);
  vocabulary.types.resize(rows, static_cast<std::int32_t>(TokenType::kUnused));
  if (!vocabulary.scores.empty()) vocabulary.scores.resize(rows);
  for (std::size_t id = 0; id < rows; ++id) {
    if (vocabulary.tokens[id].empty()) vocabulary.tokens[id] = cat("[PAD", id, "]");
  }
}

} // namespace coppice
