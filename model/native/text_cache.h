// SPDX-License-Identifier: Apache-2.0
// The keys and values of the last text, kept for the next: a prompt that begins alike under the
// same adapters is read from where they part.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/engine.h"
#include "model/native/kv_cache.h"

namespace coppice::native {

class TextCache {
 public:
  explicit TextCache(BlockType type) : type_(type) {}
  BlockType type() const { return type_; }
  // A cache with as much of `text` as is kept, less its last token, whose logits are wanted.
  // Nothing is kept across the length from which on LongRoPE turns all positions otherwise.
  KvCache& cache_for(const ModelConfig& config, std::span<const AdapterUse> adapters,
                     std::span<const TokenId> text);
  // After the text: what the cache holds now.
  void keep(std::vector<TokenId> text) { text_ = std::move(text); }

 private:
  BlockType type_;
  std::unique_ptr<KvCache> cache_;
  std::uint64_t adapters_ = 0; // a hash of all their values
  std::vector<TokenId> text_;
};

} // namespace coppice::native
