// SPDX-License-Identifier: Apache-2.0
// Comma-separated tables as in RFC 4180: CRLF, quotes where a cell needs them, a header row.
//
// Doubles are the shortest text that reads back as the same; what isn't finite is an empty cell.
// Each cell names its column; the first row's names are the head, and all rows name the same.
// For one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace coppice {

// As it stands in a table: quoted if it holds a comma, a quote, CR or LF. What begins as a formula
// would in a spreadsheet (=, +, -, @, tab) is preceded by an apostrophe, since names come from
// data.
std::string csv_cell(std::string_view text);

class CsvTable {
 public:
  template <typename T>
  void cell(std::string_view column, const T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      add(column, number_text(value));
    } else {
      add(column, csv_cell(value));
    }
  }
  void end_row();
  // Empty without rows.
  std::string take() && { return std::move(text_); }

 private:
  static std::string number_text(double value);
  static std::string number_text(std::uint64_t value) { return std::to_string(value); }
  static std::string number_text(bool value) { return value ? "true" : "false"; }
  void add(std::string_view column, std::string cell);
  void write(const std::vector<std::string>& cells);

  bool first_ = true;
  std::vector<std::string> heads_;
  std::vector<std::string> cells_;
  std::string text_;
};

} // namespace coppice
