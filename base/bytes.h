// SPDX-License-Identifier: Apache-2.0
// Byte buffers, hex, and bounded little-endian readers and writers over spans.
//
// ByteReader never reads past its span: each take_* returns an error (kCorrupt) that names the
// field and the bytes left. Neither class allocates more than it was given. Thread-compatible.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace coppice {

static_assert(std::endian::native == std::endian::little,
              "formats are little-endian, as is memory");

using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
template <typename T>
requires std::is_trivially_copyable_v<T> ByteSpan as_bytes(std::span<const T> items) {
  return {reinterpret_cast<const std::uint8_t*>(items.data()), items.size_bytes()};
}
inline std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Lower-case hex, two digits a byte.
std::string to_hex(ByteSpan bytes);
Result<Bytes> from_hex(std::string_view hex);
// URL-safe base64 without padding (invites are passed through terminals and chat programs).
std::string to_base64(ByteSpan bytes);
Result<Bytes> from_base64(std::string_view text);

class ByteWriter {
 public:
  template <typename T>
  requires std::is_arithmetic_v<T>
  void put(T value) {
    std::array<std::uint8_t, sizeof(T)> raw;
    std::memcpy(raw.data(), &value, sizeof(T));
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
  }
  void put_raw(ByteSpan raw) { bytes_.insert(bytes_.end(), raw.begin(), raw.end()); }
  void put_text(std::string_view text); // u32 length, then the bytes
  std::size_t size() const { return bytes_.size(); }
  Bytes take() && { return std::move(bytes_); }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : bytes_(bytes) {}

  template <typename T>
  requires std::is_arithmetic_v<T> Result<T> take(const char* field) {
    auto raw = take_raw(sizeof(T), field);
    if (!raw) return std::move(raw).error();
    T value;
    std::memcpy(&value, raw->data(), sizeof(T));
    return value;
  }
  // A view into the span: valid as long as the bytes given to the constructor.
  Result<ByteSpan> take_raw(std::size_t count, const char* field);
  // u32 length (at most `limit`, and at most the bytes left), then the bytes.
  Result<std::string> take_text(std::size_t limit, const char* field);

  std::size_t left() const { return bytes_.size() - at_; }
  std::size_t position() const { return at_; }
  // Trailing bytes are an error: two parsers must not disagree on where a thing ends.
  Result<void> expect_end(const char* what) const;

 private:
  ByteSpan bytes_;
  std::size_t at_ = 0;
};

} // namespace coppice
