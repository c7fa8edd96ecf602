// SPDX-License-Identifier: Apache-2.0
// Text to token ids and back, from a GGUF file's own vocabulary.
//
// Byte-level BPE (`gpt2` model; the pre-tokenizers of model/pretokenizer.h) and SentencePiece by
// scores (`llama` model; byte fallback, space prefix). Ids equal those of the models' own
// tokenizers. Any bytes can be encoded; ill-formed UTF-8 too. Immutable: thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf_reader.h"

namespace coppice {

using TokenId = std::int32_t;

struct EncodeOptions {
  bool add_bos = false; // only has an effect if the vocabulary has a BOS
  bool parse_special =
      false; // control tokens' texts in `text` become their ids; off for users' text
};

// Whether a special token takes the white space on its two sides with it, as Phi-3's do.
struct StripSides {
  bool before = false;
  bool after = false;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  static Result<std::shared_ptr<const Tokenizer>> from_gguf(const GgufFile& file);

  virtual std::vector<TokenId> encode(std::string_view text, EncodeOptions options = {}) const = 0;
  // The bytes of the ids after one another; control tokens give nothing. A SentencePiece prefix
  // space at the start is dropped.
  virtual std::string decode(std::span<const TokenId> ids) const = 0;
  // One id's bytes, for streaming: pieces after one another equal decode() but for the prefix
  // space.
  virtual std::string piece(TokenId id) const = 0;

  virtual std::size_t vocabulary_size() const = 0;
  virtual std::string kind() const = 0; // "gpt2/llama-bpe", "llama": for `model info`
  virtual bool add_bos() const = 0;     // whether the file asks for BOS
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  virtual bool ends_generation(TokenId id) const = 0; // EOS, EOT
  virtual StripSides strips(TokenId id) const = 0;
  virtual std::optional<TokenId> find(
      std::string_view token) const = 0; // a token by its exact text
};

} // namespace coppice
