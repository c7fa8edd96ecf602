// SPDX-License-Identifier: Apache-2.0
// Keys and values of one sequence so far, layer by layer, as elements that attention reads.
#pragma once

#include <vector>

#include "model/base_model.h"
#include "model/native/buffer.h"
#include "model/native/product_kernels.h"

namespace coppice::native {

class KvCache {
 public:
  KvCache(const ModelConfig& config, const ProductKernels& kernels, std::size_t capacity)
      : columns_(std::size_t{config.kv_heads} * config.head_width),
        stride_(kernels.padded(columns_)),
        bytes_(kernels.element_bytes) {
    for (std::uint32_t layer = 0; layer < 2 * config.layers; ++layer) {
      stores_.emplace_back(capacity * stride_ * bytes_);
    }
  }
  std::size_t length() const { return length_; }
  void advance(std::size_t tokens) { length_ += tokens; }
  void clear() { length_ = 0; }
  // The first `rows` rows of a layer's keys or values.
  ElementRows keys(std::size_t layer, std::size_t rows) { return view(2 * layer, rows); }
  ElementRows values(std::size_t layer, std::size_t rows) { return view(2 * layer + 1, rows); }

 private:
  ElementRows view(std::size_t store, std::size_t rows) {
    return {stores_[store].data(), rows, columns_, stride_, bytes_};
  }
  std::size_t columns_;
  std::size_t stride_;
  std::size_t bytes_;
  std::vector<Buffer> stores_;
  std::size_t length_ = 0;
};

} // namespace coppice::native
