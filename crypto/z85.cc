// SPDX-License-Identifier: Apache-2.0
#include "crypto/z85.h"

#include "base/text.h"

namespace coppice {
namespace {
constexpr std::string_view kDigits =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
static_assert(kDigits.size() == 85);
constexpr std::size_t kGroupBytes = 4;
constexpr std::size_t kGroupDigits = 5;
} // namespace

Result<std::string> z85_encode(ByteSpan bytes) {
  if (bytes.size() % kGroupBytes != 0) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("Z85 takes multiples of 4 bytes, not ", bytes.size())};
  }
  std::string text(bytes.size() / kGroupBytes * kGroupDigits, '0');
  for (std::size_t group = 0; group < bytes.size() / kGroupBytes; ++group) {
    std::uint32_t value = 0; // the group as a big-endian number
    for (std::size_t i = 0; i < kGroupBytes; ++i) {
      value = (value << 8U) | bytes[group * kGroupBytes + i];
    }
    for (std::size_t i = kGroupDigits; i > 0; --i) {
      text[group * kGroupDigits + i - 1] = kDigits[value % 85];
      value /= 85;
    }
  }
  return text;
}

Result<Bytes> z85_decode(std::string_view text) {
  if (text.size() % kGroupDigits != 0) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("Z85 text has multiples of 5 characters, not ", text.size())};
  }
  Bytes bytes;
  bytes.reserve(text.size() / kGroupDigits * kGroupBytes);
  for (std::size_t at = 0; at < text.size(); at += kGroupDigits) {
    std::uint64_t value = 0; // 85^5 is above 2^32
    for (std::size_t i = at; i < at + kGroupDigits; ++i) {
      const std::size_t digit = kDigits.find(text[i]);
      if (digit == std::string_view::npos) {
        return Error{ErrorCode::kInvalidArgument, cat("not a Z85 character at position ", i)};
      }
      value = value * 85 + digit;
    }
    if (value > 0xFFFFFFFFU) {
      return Error{ErrorCode::kInvalidArgument, cat("Z85 number too large at position ", at)};
    }
    for (const unsigned shift : {24U, 16U, 8U, 0U}) {
      bytes.push_back(static_cast<std::uint8_t>(value >> shift));
    }
  }
  return bytes;
}

std::string to_z85(const CurvePublicKey& key) { return z85_encode(key.span()).value(); }

Result<CurvePublicKey> curve_key_from_z85(std::string_view text) {
  const Bytes raw = COPPICE_TRY(z85_decode(text));
  auto key = CurvePublicKey::from_span(raw, "a CURVE key");
  if (!key) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a CURVE key has 40 characters, not ", text.size())};
  }
  return key;
}

} // namespace coppice
