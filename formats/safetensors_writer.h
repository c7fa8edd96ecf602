// SPDX-License-Identifier: Apache-2.0
// Writes safetensors files. Tensors come out in the order they were added.
//
// The header is padded with spaces to eight bytes, as the reference writes it, so a file of the
// reference read and added in order is written byte-equal. Thread-compatible.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "formats/safetensors_reader.h"

namespace coppice {

class SafetensorsWriter {
 public:
  // kAlreadyExists for a key or name that is there.
  Result<void> add_metadata(std::string_view key, std::string_view value);
  // `data` is not copied: it must live until the file is written. Its size must be the product of
  // the shape times dtype_size(dtype).
  Result<void> add_tensor(std::string_view name, Dtype dtype, std::span<const std::uint64_t> shape,
                          ByteSpan data);
  Result<void> write_file(const fs::path& path) const; // atomic, streams the data
  Result<Bytes> to_bytes() const;

 private:
  Result<Bytes> head() const;
  SafetensorsMetadata metadata_;
  std::vector<SafeTensor> tensors_;
  std::unordered_set<std::string> metadata_keys_;
  std::unordered_set<std::string> names_;
};

} // namespace coppice
