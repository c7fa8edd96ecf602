// SPDX-License-Identifier: Apache-2.0
// Keys and values of one sequence so far, layer by layer, stored as F32, F16 or Q8_0.
//
// A position's rows are written once and read from then on. Thread-safe for different positions.
#pragma once

#include <vector>

#include "formats/block_type.h"
#include "model/base_model.h"
#include "model/native/buffer.h"
#include "model/quantized_blocks.h"

namespace coppice::native {

class KvCache {
 public:
  // F16 in Q8_0's place where a head is no whole number of blocks.
  KvCache(const ModelConfig& config, BlockType type);

  std::size_t length() const { return length_; }
  void advance(std::size_t tokens) { length_ += tokens; }
  void truncate(std::size_t length) { length_ = std::min(length_, length); }
  // Room for so many tokens; what is there stays.
  void reserve(std::size_t tokens);
  std::size_t columns() const { return columns_; } // of all key-value heads

  // k and v (columns), after RoPE.
  void put(std::size_t layer, std::size_t position, const float* k, const float* v);
  // Columns [column, column + n): whole heads.
  void keys(std::size_t layer, std::size_t position, std::size_t column, std::size_t n,
            float* out) const {
    read(stores_[2 * layer], position, column, n, out);
  }
  void values(std::size_t layer, std::size_t position, std::size_t column, std::size_t n,
              float* out) const {
    read(stores_[2 * layer + 1], position, column, n, out);
  }

 private:
  void read(const Buffer& store, std::size_t position, std::size_t column, std::size_t n,
            float* out) const;
  BlockType type_;
  std::size_t columns_;
  std::size_t row_bytes_;
  DequantizeRow* dequantize_;
  std::vector<Buffer> stores_; // keys and values of a layer, by turns
  std::size_t capacity_ = 0;
  std::size_t length_ = 0;
};

} // namespace coppice::native
