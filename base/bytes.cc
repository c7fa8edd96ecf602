// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include "base/text.h"

namespace coppice {
namespace {
constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
} // namespace

std::string to_hex(ByteSpan bytes) {
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    hex.push_back(kHexDigits[byte >> 4U]);
    hex.push_back(kHexDigits[byte & 15U]);
  }
  return hex;
}

Result<Bytes> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return Error{ErrorCode::kInvalidArgument, "hex has an odd length"};
  Bytes bytes(hex.size() / 2);
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const char lower = (hex[i] >= 'A' && hex[i] <= 'F') ? static_cast<char>(hex[i] + 32) : hex[i];
    const std::size_t digit = kHexDigits.find(lower);
    if (digit == std::string_view::npos) {
      return Error{ErrorCode::kInvalidArgument, cat("not a hex digit at position ", i)};
    }
    bytes[i / 2] = static_cast<std::uint8_t>((std::size_t{bytes[i / 2]} << 4U) | digit);
  }
  return bytes;
}

std::string to_base64(ByteSpan bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  std::uint32_t bits = 0;
  int held = 0;
  for (const std::uint8_t byte : bytes) {
    bits = (bits << 8U) | byte;
    held += 8;
    for (; held >= 6; held -= 6) text.push_back(kBase64Digits[(bits >> (held - 6)) & 63U]);
  }
  if (held > 0) text.push_back(kBase64Digits[(bits << (6 - held)) & 63U]);
  return text;
}

Result<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 == 1) return Error{ErrorCode::kInvalidArgument, "base64 is cut short"};
  Bytes bytes;
  bytes.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int held = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t digit = kBase64Digits.find(text[i]);
    if (digit == std::string_view::npos) {
      return Error{ErrorCode::kInvalidArgument, cat("not a base64 character at position ", i)};
    }
    bits = (bits << 6U) | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<std::uint8_t>(bits >> held));
    }
  }
  const std::uint32_t leftover = bits & ((1U << held) - 1U);
  if (leftover != 0) return Error{ErrorCode::kInvalidArgument, "base64 has stray trailing bits"};
  return bytes;
}

void ByteWriter::put_text(std::string_view text) {
  put(static_cast<std::uint32_t>(text.size()));
  put_raw(as_bytes(text));
}

Result<ByteSpan> ByteReader::take_raw(std::size_t count, const char* field) {
  if (count > left()) {
    return Error{ErrorCode::kCorrupt,
                 cat(field, " needs ", count, " bytes at offset ", at_, ", ", left(), " are left")};
  }
  const ByteSpan raw = bytes_.subspan(at_, count);
  at_ += count;
  return raw;
}

Result<std::string> ByteReader::take_text(std::size_t limit, const char* field) {
  const auto length = COPPICE_TRY(take<std::uint32_t>(field));
  if (length > limit) {
    return Error{ErrorCode::kTooLarge, cat(field, " has ", length, " bytes, at most ", limit)};
  }
  return std::string(as_text(COPPICE_TRY(take_raw(length, field))));
}

Result<void> ByteReader::expect_end(const char* what) const {
  if (left() == 0) return {};
  return Error{ErrorCode::kCorrupt, cat(what, " has ", left(), " bytes too many")};
}

} // namespace coppice
