// SPDX-License-Identifier: Apache-2.0
#include "model/native/text_cache.h"

#include <algorithm>
#include <bit>

namespace coppice::native {
namespace {

// Of lists that differ in a value, a strength or their order: not for use against an adversary, who
// would be the user of this very process.
std::uint64_t hash_of(std::span<const AdapterUse> adapters) {
  std::uint64_t hash = adapters.size();
  const auto mix = [&](std::uint64_t value) {
    hash = (hash ^ value) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 29U;
  };
  for (const AdapterUse& use : adapters) {
    mix(std::bit_cast<std::uint32_t>(use.strength));
    for (std::size_t target = 0; target < use.adapter->targets(); ++target) {
      mix(std::bit_cast<std::uint32_t>(use.adapter->spec().scale(target)));
      mix(use.adapter->spec().targets[target].rank);
    }
    for (const float value : use.adapter->values()) mix(std::bit_cast<std::uint32_t>(value));
  }
  return hash;
}

} // namespace

KvCache& TextCache::cache_for(const ModelConfig& config, std::span<const AdapterUse> adapters,
                              std::span<const TokenId> text) {
  const std::uint64_t hash = hash_of(adapters);
  if (cache_ == nullptr) cache_ = std::make_unique<KvCache>(config, type_);
  const std::uint32_t limit = config.rope.short_context;
  const bool turned_otherwise = limit > 0 && (text_.size() > limit) != (text.size() > limit);
  std::size_t alike = 0;
  if (hash == adapters_ && !turned_otherwise) {
    const auto parted = std::ranges::mismatch(text_, text);
    alike = static_cast<std::size_t>(parted.in1 - text_.begin());
  }
  adapters_ = hash;
  cache_->truncate(std::min(alike, text.size() - 1));
  return *cache_;
}

} // namespace coppice::native
