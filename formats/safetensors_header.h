// SPDX-License-Identifier: Apache-2.0
// The JSON header of a safetensors file, parsed without building a document: private to formats/.
//
// A header of 100 MB would make a document of a gigabyte, and its objects' keys would be searched
// one by one; here each tensor is taken as its text goes by.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <string_view>

#include "formats/safetensors_reader.h"

namespace coppice {

inline constexpr std::size_t kSafetensorsMaxDims = 8;
inline constexpr std::size_t kSafetensorsMaxMetadata = 65536;

struct PendingTensor {
  SafeTensor tensor; // without data
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

struct SafetensorsHeader {
  SafetensorsMetadata metadata;      // keys differ
  std::deque<PendingTensor> tensors; // in the order of the text; names not yet compared
};

Result<SafetensorsHeader> parse_safetensors_header(std::string_view text);

std::optional<Dtype> dtype_from_name(std::string_view name);
// kCorrupt if the product exceeds 2^63 - 1.
Result<std::uint64_t> tensor_bytes(Dtype dtype, std::span<const std::uint64_t> shape);

} // namespace coppice
