// SPDX-License-Identifier: Apache-2.0
// What `coppice model info` tells of a base model beyond its configuration. Pure functions:
// thread-safe.
#pragma once

#include <string_view>

#include "model/base_model.h"

namespace coppice {

// How much of the model is stored in one way. The three tensors of an NF4 matrix count as one.
struct StorageShare {
  std::string_view type; // "Q4_0", "NF4"
  std::size_t tensors = 0;
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
};
// Of all tensors, by falling number of elements.
std::vector<StorageShare> storage_shares(const GgufFile& file);

// The types of the matrices (norms and tables are F32 in any file), most elements first: "Q4_0", or
// "Q4_0 + Q6_K" in a file that mixes them.
std::string quantization_summary(const GgufFile& file);

// Bytes of all tensors' data, and bits for each of their elements.
std::uint64_t tensor_bytes(const GgufFile& file);
double bits_per_weight(const GgufFile& file);

} // namespace coppice
