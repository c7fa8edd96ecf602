// SPDX-License-Identifier: Apache-2.0
// The tokens of a model folder's tokenizer as they are gathered; private to the import.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "formats/sentencepiece_model.h"
#include "model/import_files.h"
#include "model/vocabulary.h"

namespace coppice {

struct ImportedVocabulary {
  std::vector<std::string> tokens; // by id; empty where no token has the id
  std::vector<float> scores;       // of SentencePiece; else empty
  std::vector<std::int32_t> types; // as TokenType
  std::vector<std::string> merges; // "left right", of byte-level BPE; else empty
  std::vector<std::int32_t> strip_before;
  std::vector<std::int32_t> strip_after;
  std::unordered_map<std::string, std::size_t> ids;

  // kCorrupt for ids of `rows` or more, twice the same id, and no text.
  Result<void> set(std::size_t id, std::string text, TokenType type, std::size_t rows);
  std::optional<std::uint32_t> find(const std::string& text) const;
};

// The model of tokenizer.json, type BPE, without its added tokens. Merges are kept as they are
// where `sentencepiece` is false; else they become scores, so that the earliest merge is the best.
// `rows` of the embedding bound the ids.
Result<ImportedVocabulary> vocabulary_of_json(const Json& model, bool sentencepiece,
                                              std::size_t rows);
// kUnsupported for other types of models than BPE, and for texts that are normalized.
Result<ImportedVocabulary> vocabulary_of_pieces(const SentencePieceModel& model, std::size_t rows);

// {"content": ..., "special": ..., "lstrip": ..., "rstrip": ...}, over what is there.
Result<void> add_token(ImportedVocabulary& vocabulary, std::uint64_t id, const Json& token,
                       std::size_t rows);
// Rows of the embedding without a token get one that is never made.
void fill_up(ImportedVocabulary& vocabulary, std::size_t rows);

} // namespace coppice
