// SPDX-License-Identifier: Apache-2.0
#include "sim/csv_table.h"

#include <array>
#include <charconv>
#include <cmath>

namespace coppice {

std::string csv_cell(std::string_view text) {
  std::string cell(text);
  if (!cell.empty() && std::string_view("=+-@\t").find(cell[0]) != std::string_view::npos) {
    cell.insert(0, 1, '\'');
  }
  if (cell.find_first_of(",\"\r\n") == std::string::npos) return cell;
  std::string quoted = "\"";
  for (const char letter : cell) {
    if (letter == '"') quoted += '"';
    quoted += letter;
  }
  return quoted + "\"";
}

std::string CsvTable::number_text(double value) {
  if (!std::isfinite(value)) return {};
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end.ptr};
}

void CsvTable::add(std::string_view column, std::string cell) {
  if (first_) heads_.push_back(csv_cell(column));
  cells_.push_back(std::move(cell));
}

void CsvTable::end_row() {
  if (first_) write(heads_);
  first_ = false;
  write(cells_);
  cells_.clear();
}

void CsvTable::write(const std::vector<std::string>& cells) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) text_ += ',';
    text_ += cells[i];
  }
  text_ += "\r\n";
}

} // namespace coppice
