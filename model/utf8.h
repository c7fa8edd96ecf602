// SPDX-License-Identifier: Apache-2.0
// Well-formed UTF-8 (Unicode 15, table 3-7), one character at a time. Pure functions: thread-safe.
#pragma once

#include <cstddef>
#include <string_view>

namespace coppice {

// Bytes of the well-formed character that `text` begins with: 1 to 4, or 0 if it begins with none
// (stray or missing continuation bytes, overlong forms, surrogates, beyond U+10FFFF, empty).
std::size_t utf8_character(std::string_view text);

// Bytes of the longest prefix that is well-formed, and of the longest that holds no well-formed
// character at all. One of the two is 0 unless `text` is empty.
std::size_t utf8_prefix(std::string_view text);
std::size_t ill_formed_prefix(std::string_view text);

// Without the characters of Unicode's White_Space at its start, or at its end.
std::string_view without_leading_space(std::string_view text);
std::string_view without_trailing_space(std::string_view text);

} // namespace coppice
