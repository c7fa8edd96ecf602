// SPDX-License-Identifier: Apache-2.0
// GGUF files, versions 2 and 3, little-endian: metadata and tensors as views into the mapped file.
//
// Every offset, count, length, alignment and product is checked before it is used: a GgufFile that
// was made can be walked without further checks. Refused are: other versions and byte orders,
// unknown types, arrays in arrays, duplicate keys and tensor names, more than four dimensions,
// empty tensors, data outside the file or overlapping other data, alignments that aren't a power of
// two from 8 B to 1 MiB, strings over 64 MiB, keys over 65,535 bytes, tensor names over 1,024. No
// allocation exceeds twice the bytes it stands for; nothing is copied but tensor names. Errors:
// kCorrupt (broken or truncated), kUnsupported (version, byte order, type), kTooLarge (over a
// limit), kNotFound (a key or tensor), kInvalidArgument (a key of another type); each names file
// and field. Immutable after open: thread-safe. Layout: docs/formats.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "formats/block_type.h"

namespace coppice {

enum class GgufType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
std::string_view gguf_type_name(GgufType type); // "u8", "string", ...

// A metadata value, still encoded: scalars as their bytes, a string as its text, an array as its
// items (strings each with their u64 length) without the array's own head.
struct GgufValue {
  GgufType type = GgufType::kU8;
  GgufType item_type = GgufType::kU8; // of an array's items; else as `type`
  std::uint64_t count = 1;            // of an array's items
  ByteSpan encoded;
};

struct GgufEntry {
  std::string_view key;
  GgufValue value;
};

struct GgufTensor {
  std::string name;
  std::vector<std::uint64_t> dims; // one to four; dims[0] runs fastest
  BlockType type = BlockType::kF32;
  ByteSpan data;
  std::uint64_t elements() const; // the product of dims
};

class GgufFile {
 public:
  // Maps the file; the map lives as long as this object or a copy of it.
  static Result<GgufFile> open(const fs::path& path);
  static Result<GgufFile> parse(std::shared_ptr<const MappedFile> map, std::string_view name);
  // The bytes must outlive the object and its copies; `name` stands for the file in errors.
  static Result<GgufFile> parse(ByteSpan bytes, std::string_view name = "the GGUF file");

  std::uint32_t version() const { return version_; }
  std::uint64_t alignment() const { return alignment_; }
  const std::string& name() const { return name_; }
  ByteSpan bytes() const { return bytes_; }

  // Metadata in the order of the file. Views live as long as the map.
  std::size_t metadata_count() const { return entries_.size(); }
  GgufEntry metadata_at(std::size_t index) const;
  std::optional<GgufValue> find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key).has_value(); }

  // Any integer type is accepted as long as the value fits; get_float takes f32, f64 and integers.
  Result<std::uint64_t> get_uint(std::string_view key) const;
  Result<std::int64_t> get_int(std::string_view key) const;
  Result<double> get_float(std::string_view key) const;
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string_view> get_string(std::string_view key) const;
  // Arrays. A number is not taken for an array of one.
  Result<std::vector<std::string_view>> get_strings(std::string_view key) const;
  Result<std::vector<float>> get_floats(std::string_view key) const;
  Result<std::vector<std::int64_t>> get_ints(std::string_view key) const;
  // The same, with a value for files that lack the key; a key of another type is still an error.
  Result<std::uint64_t> get_uint_or(std::string_view key, std::uint64_t missing) const;
  Result<std::int64_t> get_int_or(std::string_view key, std::int64_t missing) const;
  Result<double> get_float_or(std::string_view key, double missing) const;
  Result<bool> get_bool_or(std::string_view key, bool missing) const;
  Result<std::string_view> get_string_or(std::string_view key, std::string_view missing) const;
  Result<std::vector<std::string_view>> get_strings_or(std::string_view key,
                                                       std::vector<std::string_view> missing) const;
  Result<std::vector<float>> get_floats_or(std::string_view key, std::vector<float> missing) const;
  Result<std::vector<std::int64_t>> get_ints_or(std::string_view key,
                                                std::vector<std::int64_t> missing) const;

  // In the order of the file.
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  // kNotFound names the nearest tensor, if one is near. The pointer lives as long as this object.
  Result<const GgufTensor*> find_tensor(std::string_view name) const;
  bool has_tensor(std::string_view name) const;

 private:
  friend class GgufParser;
  GgufFile() = default;
  Error wrong_type(std::string_view key, const GgufValue& value, std::string_view wanted) const;
  Result<GgufValue> require(std::string_view key) const;

  std::shared_ptr<const MappedFile> map_;
  ByteSpan bytes_;
  std::string name_;
  std::uint32_t version_ = 0;
  std::uint64_t alignment_ = 0;
  std::vector<std::uint64_t> entries_;        // offsets of the metadata entries
  std::vector<std::uint64_t> entries_by_key_; // the same, sorted by key
  std::vector<GgufTensor> tensors_;
  std::vector<std::uint32_t> tensors_by_name_; // indices, sorted by name
};

} // namespace coppice
