// SPDX-License-Identifier: Apache-2.0
// Safetensors files: a JSON header and tensors one after another, as views into the mapped file.
//
// Refused are: headers over 100 MB, duplicate names or fields, unknown dtypes or fields, metadata
// that isn't text, shapes whose product isn't the data's size, over eight dimensions, data with
// gaps, overlaps or bytes left over. Layout: docs/formats.md. Errors: kCorrupt, kTooLarge,
// kUnsupported (dtype), kNotFound; each names file and tensor. Immutable after open: thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"

namespace coppice {

enum class Dtype {
  kBool,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kU16,
  kI16,
  kF16,
  kBF16,
  kU32,
  kI32,
  kF32,
  kU64,
  kI64,
  kF64,
};
std::string_view dtype_name(Dtype dtype); // "F32", as in the file
std::size_t dtype_size(Dtype dtype);      // bytes an element

struct SafeTensor {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<std::uint64_t> shape; // row-major: the last runs fastest; empty for a scalar
  ByteSpan data;                    // little-endian; may lie at any address, so copy elements out
  std::uint64_t elements() const;
};

// A deque grows without one large allocation. At most 65,536 entries are read.
using SafetensorsMetadata = std::deque<std::pair<std::string, std::string>>;

class SafetensorsFile {
 public:
  // Maps the file; the map lives as long as this object or a copy of it.
  static Result<SafetensorsFile> open(const fs::path& path);
  // The bytes must outlive the object and its copies; `name` stands for the file in errors.
  static Result<SafetensorsFile> parse(ByteSpan bytes,
                                       std::string_view name = "the safetensors file");

  // In the order of their data.
  const std::vector<SafeTensor>& tensors() const { return tensors_; }
  Result<const SafeTensor*> find_tensor(std::string_view name) const;
  bool has_tensor(std::string_view name) const;
  // Of "__metadata__", in the order of the file.
  const SafetensorsMetadata& metadata() const { return metadata_; }

 private:
  friend class SafetensorsParser;
  SafetensorsFile() = default;
  std::shared_ptr<const MappedFile> map_;
  std::string name_;
  SafetensorsMetadata metadata_;
  std::vector<SafeTensor> tensors_;
  std::vector<std::uint32_t> by_name_; // indices, sorted by name
};

} // namespace coppice
