// SPDX-License-Identifier: Apache-2.0
// A llama file made on the spot: a few thousand seeded weights, a byte-level or SentencePiece
// vocabulary, and everything changeable, so that a test can lie about one thing at a time.
#pragma once

#include <functional>
#include <map>

#include "formats/gguf_writer.h"
#include "model/base_model.h"

namespace coppice {

struct TinyTensor {
  std::vector<std::uint64_t> dims;
  BlockType type = BlockType::kF32;
  Bytes data;
};

struct TinyModel {
  std::map<std::string, GgufMetadata> metadata;
  std::map<std::string, TinyTensor> tensors;

  // Width 32, 2 layers, 4 heads of 8 columns, 2 key-value heads, feed-forward 64, tied; matrices
  // Q8_0.
  static TinyModel make(std::uint64_t seed = 1);
  // The vocabulary alone, as metadata; 256 bytes, a few merges and four special tokens.
  static std::map<std::string, GgufMetadata> byte_vocabulary();
  // <unk>, <s>, </s>, 256 bytes, and pieces that build "▁hello".
  static std::map<std::string, GgufMetadata> piece_vocabulary();

  void set_f32(const std::string& name, std::vector<std::uint64_t> dims, std::uint64_t seed);
  Bytes encode() const;
  Result<std::shared_ptr<const BaseModel>> open(const fs::path& folder) const;
};

} // namespace coppice
