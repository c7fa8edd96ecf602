// SPDX-License-Identifier: Apache-2.0
// A TOML text as a flat list of values with their lines: the only home of toml++.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace coppice {

inline constexpr std::size_t kMaxTomlBytes = std::size_t{1} << 20U;

struct EmptyTable {};
using TomlValue =
    std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>, EmptyTable>;

struct TomlEntry {
  std::string name; // "section.key", however the file writes it
  TomlValue value;
  std::uint32_t line = 0;
};

// In alphabetical order. kTooLarge over a megabyte or beyond a depth that no settings file has;
// kInvalidArgument for what isn't TOML, and for dates, arrays of anything but strings, and tables
// in arrays, which no setting takes. `file_name` stands before the line in errors.
Result<std::vector<TomlEntry>> read_toml(std::string_view text, std::string_view file_name);

} // namespace coppice
