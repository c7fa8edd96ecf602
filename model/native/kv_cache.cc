// SPDX-License-Identifier: Apache-2.0
#include "model/native/kv_cache.h"

#include <algorithm>
#include <cstring>

#include "model/quantize_blocks.h"

namespace coppice::native {
namespace {

BlockType storable(const ModelConfig& config, BlockType type) {
  const std::uint32_t block = block_type_info(type).block_elements;
  return config.head_width % block == 0 ? type : BlockType::kF16;
}

} // namespace

KvCache::KvCache(const ModelConfig& config, BlockType type)
    : type_(storable(config, type)),
      columns_(std::size_t{config.kv_heads} * config.head_width),
      row_bytes_(coppice::row_bytes(type_, columns_)),
      dequantize_(dequantizer(type_)),
      stores_(2 * std::size_t{config.layers}) {}

void KvCache::reserve(std::size_t tokens) {
  if (tokens <= capacity_) return;
  for (Buffer& store : stores_) {
    Buffer larger(tokens * row_bytes_);
    if (length_ > 0) std::memcpy(larger.data(), store.data(), length_ * row_bytes_);
    store = std::move(larger);
  }
  capacity_ = tokens;
}

void KvCache::put(std::size_t layer, std::size_t position, const float* k, const float* v) {
  const auto store = [&](Buffer& rows, const float* row) {
    auto* at = reinterpret_cast<std::uint8_t*>(rows.data() + position * row_bytes_);
    quantize_row(type_, {row, columns_}, {}, {at, row_bytes_});
  };
  store(stores_[2 * layer], k);
  store(stores_[2 * layer + 1], v);
}

void KvCache::read(const Buffer& store, std::size_t position, std::size_t column, std::size_t n,
                   float* out) const {
  const std::size_t at = position * row_bytes_ + coppice::row_bytes(type_, column);
  dequantize_(reinterpret_cast<const std::uint8_t*>(store.data() + at), n, out);
}

} // namespace coppice::native
