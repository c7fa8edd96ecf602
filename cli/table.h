// SPDX-License-Identifier: Apache-2.0
// Tables for people: aligned columns, a caption that says what is better, gains in percent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace coppice {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

// Widths are counted in code points, so names in any script line up as far as the terminal's font
// lets them.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Stands above: "bits per byte, lower is better".
  void set_caption(std::string caption) { caption_ = std::move(caption); }
  // One cell a column.
  void add_row(std::vector<std::string> cells);
  // A line before the next row: for a mean or a total.
  void add_rule() { rules_.push_back(rows_.size()); }
  // All of it, each line ended, no blanks at their ends. Without rows: nothing but the head.
  std::string render() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> rules_;
  std::string caption_;
};

// Of a figure that is better when lower: "+12.3 %" if `now` is that much below `before`, "-0.5 %"
// if it is above. "-" where `before` is not positive.
std::string gain_percent(double before, double now);

// 0.123 -> "12.3 %".
std::string percent(double share);

// 1234567 -> "1,234,567".
std::string grouped(std::uint64_t number);

} // namespace coppice
