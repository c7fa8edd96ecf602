// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/check.h"
#include "base/text.h"

namespace coppice {
namespace {

constexpr std::size_t kGap = 2; // blanks between columns

std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; // not a continuation byte
  }));
}

std::string line_of(const std::vector<std::string>& cells, const std::vector<Column>& columns,
                    const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line.append(kGap, ' ');
    const std::string blanks(widths[i] - code_points(cells[i]), ' ');
    line += columns[i].align == Align::kRight ? blanks + cells[i] : cells[i] + blanks;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

} // namespace

void Table::add_row(std::vector<std::string> cells) {
  COPPICE_CHECK(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::render() const {
  std::vector<std::string> titles;
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) {
    titles.push_back(column.title);
    widths.push_back(code_points(column.title));
  }
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], code_points(row[i]));
  }
  std::size_t total = kGap * (columns_.empty() ? 0 : columns_.size() - 1);
  for (const std::size_t width : widths) total += width;
  const std::string rule = std::string(total, '-') + '\n';

  std::string text = caption_.empty() ? "" : caption_ + '\n';
  text += line_of(titles, columns_, widths) + rule;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    if (std::find(rules_.begin(), rules_.end(), i) != rules_.end()) text += rule;
    text += line_of(rows_[i], columns_, widths);
  }
  return text;
}

std::string gain_percent(double before, double now) {
  if (!(before > 0) || !std::isfinite(now)) return "-";
  const double gain = (before - now) / before * 100;
  const std::string digits = fixed(std::fabs(gain), 1);
  if (digits == "0.0") return "0.0 %";
  return cat(gain > 0 ? "+" : "-", digits, " %");
}

std::string percent(double share) { return cat(fixed(100 * share, 1), " %"); }

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

} // namespace coppice
