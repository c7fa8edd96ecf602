// SPDX-License-Identifier: Apache-2.0
#include "model/utf8.h"

namespace coppice {
namespace {

// Bytes of the White_Space character that `text` begins with, 0 if it begins with none.
std::size_t white_space(std::string_view text) {
  const std::size_t size = utf8_character(text);
  if (size == 1) return text[0] == ' ' || (text[0] >= '\t' && text[0] <= '\r') ? 1 : 0;
  const std::string_view character = text.substr(0, size);
  for (const std::string_view known :
       {"\u0085", "\u00a0", "\u1680", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"}) {
    if (character == known) return size;
  }
  return character >= "\u2000" && character <= "\u200a" && size == 3 ? size : 0;
}

} // namespace

std::size_t utf8_character(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead < 0xC2   ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
  if (length == 0 || text.size() < length) return 0;
  // The second byte's range is narrower after four leads: no overlong forms, no surrogates, no more
  // than U+10FFFF.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return 0;
  for (std::size_t at = 2; at < length; ++at) {
    if (byte(at) < 0x80 || byte(at) > 0xBF) return 0;
  }
  return length;
}

std::size_t utf8_prefix(std::string_view text) {
  std::size_t at = 0;
  while (const std::size_t length = utf8_character(text.substr(at))) at += length;
  return at;
}

std::size_t ill_formed_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && utf8_character(text.substr(at)) == 0) ++at;
  return at;
}

std::string_view without_leading_space(std::string_view text) {
  while (const std::size_t size = white_space(text)) text.remove_prefix(size);
  return text;
}

std::string_view without_trailing_space(std::string_view text) {
  for (std::size_t size = 1; size <= 3 && size <= text.size();) {
    const bool space = white_space(text.substr(text.size() - size)) == size;
    if (space) text.remove_suffix(size);
    size = space ? 1 : size + 1;
  }
  return text;
}

} // namespace coppice
