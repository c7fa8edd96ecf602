// SPDX-License-Identifier: Apache-2.0
// Writes GGUF version 3: metadata and tensors in the order they were added.
//
// A file read with GgufFile and added entry by entry, tensor by tensor comes out byte for byte the
// same if it was version 3 with its tensors laid out in order. Thread-compatible.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_set>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "formats/gguf_reader.h"

namespace coppice {

using GgufMetadata =
    std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t,
                 std::int32_t, std::uint64_t, std::int64_t, float, double, bool, std::string,
                 std::vector<std::string>, std::vector<float>, std::vector<std::int32_t>,
                 std::vector<std::uint32_t>>;

class GgufWriter {
 public:
  // kInvalidArgument: the alignment is no power of two from 8 B to 1 MiB.
  static Result<GgufWriter> create(std::uint64_t alignment = 32);

  // kAlreadyExists for a key that is there; kInvalidArgument for an empty or overlong key, and for
  // "general.alignment" with another value than create() was given.
  Result<void> add_metadata(std::string_view key, const GgufMetadata& value);
  // Copies a value as it was read.
  Result<void> add_metadata(std::string_view key, const GgufValue& value);

  // `data` is not copied: it must live until the file is written. Its size must be
  // encoded_size(type, dims). kAlreadyExists for a name that is there.
  Result<void> add_tensor(std::string_view name, std::span<const std::uint64_t> dims,
                          BlockType type, ByteSpan data);
  // The same for data that is made when its turn to be written comes, and forgotten after: `make`
  // is called once a write, in the order of the tensors. An error of it, or a wrong number of bytes
  // (kInternal), ends the write.
  Result<void> add_tensor(std::string_view name, std::span<const std::uint64_t> dims,
                          BlockType type, std::function<Result<Bytes>()> make);

  // Streams tensor data from where it lies; `path` holds the old file or the whole new one.
  Result<void> write_file(const fs::path& path) const;
  // All of it in memory: for small files, without tensors that are made.
  Bytes to_bytes() const;

 private:
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> dims;
    BlockType type;
    std::uint64_t size;
    ByteSpan data;                       // empty if it is made
    std::function<Result<Bytes>()> make; // empty if it lies ready
  };
  explicit GgufWriter(std::uint64_t alignment) : alignment_(alignment) {}
  Result<void> begin_entry(std::string_view key);
  Bytes head() const;
  Result<void> add(Tensor tensor);

  std::uint64_t alignment_;
  ByteWriter metadata_;
  std::unordered_set<std::string> keys_;
  std::vector<Tensor> tensors_;
  std::unordered_set<std::string> names_;
};

} // namespace coppice
