// SPDX-License-Identifier: Apache-2.0
// Words for people: joining values into a sentence, sizes with units, the nearest known name.
#pragma once

#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace coppice {

// cat("round ", 3, " of ", 5): the values after one another, as operator<< prints them.
template <typename... Parts>
std::string cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

std::string join(std::span<const std::string> items, std::string_view separator);
std::vector<std::string> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);  // ASCII white space at both ends
std::string fixed(double value, int decimals); // "3.142"
std::string human_bytes(double bytes);         // "1.5 MB" (powers of 1000)
// The candidate with the smallest edit distance, empty if none is near (over a third differs).
std::string nearest_name(std::string_view name, std::span<const std::string> candidates);

} // namespace coppice
