// SPDX-License-Identifier: Apache-2.0
// SentencePiece's model files (tokenizer.model): the pieces, and how text is normalized for them.
//
// A protobuf message (sentencepiece_model.proto, ModelProto), of which the fields below are read
// and the others skipped. Bounded: no field may reach beyond its message, at most 2^24 pieces. Pure
// functions: thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace coppice {

struct SentencePiece {
  std::string_view text; // a view into the parsed bytes
  float score = 0.0F;
  std::uint32_t type = 1; // 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
};

struct SentencePieceModel {
  std::vector<SentencePiece> pieces; // by id
  std::uint32_t model_type = 1;      // 1 unigram, 2 BPE, 3 words, 4 characters
  // -1: there is none.
  std::int32_t unknown = 0;
  std::int32_t bos = 1;
  std::int32_t eos = 2;
  std::int32_t padding = -1;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool has_character_rules = false; // characters are replaced before anything else
};

// kCorrupt for what is no such message, kTooLarge for too many pieces. `name` stands for the file
// in errors.
Result<SentencePieceModel> parse_sentencepiece_model(ByteSpan bytes, std::string_view name);

} // namespace coppice
