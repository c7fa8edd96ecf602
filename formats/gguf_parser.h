// SPDX-License-Identifier: Apache-2.0
// The one pass over a GGUF file's head that checks everything; private to formats/.
//
// Fills a GgufFile whose bytes_ and name_ are set. Errors carry field and offset, not yet the file.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "formats/gguf_reader.h"

namespace coppice {

// Limits of the format's own page, or of what any real file uses.
inline constexpr std::uint64_t kGgufMaxKeyBytes = 65535;
inline constexpr std::uint64_t kGgufMaxNameBytes = 1024;
inline constexpr std::uint64_t kGgufMaxStringBytes = std::uint64_t{64} << 20U;
inline constexpr std::uint64_t kGgufMinAlignment = 8;
inline constexpr std::uint64_t kGgufMaxAlignment = std::uint64_t{1} << 20U;

bool gguf_alignment_is_valid(std::uint64_t alignment);
// Bytes of a scalar; 0 for strings and arrays.
std::size_t gguf_scalar_size(GgufType type);
// Reads a T that is known to lie inside the bytes.
template <typename T>
T load_at(ByteSpan bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

class GgufParser {
 public:
  explicit GgufParser(GgufFile& file) : file_(file), reader_(file.bytes_) {}
  Result<void> run();

 private:
  Result<void> read_magic_and_version();
  Result<void> read_metadata(std::uint64_t count);
  Result<void> skip_value(std::string_view key);
  Result<void> skip_array(std::string_view key);
  Result<GgufType> take_type(std::string_view key);
  Result<std::string_view> take_string(std::uint64_t limit, const char* field);
  Result<void> sort_keys();
  Result<void> choose_alignment();
  Result<void> read_tensors(std::uint64_t count);
  Result<void> read_tensor();
  Result<void> place_tensors();
  Result<void> sort_names();

  GgufFile& file_;
  ByteReader reader_;
};

} // namespace coppice
