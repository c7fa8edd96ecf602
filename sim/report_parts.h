// SPDX-License-Identifier: Apache-2.0
// What a report is put together from: tables, figures, sections, and the words for numbers. HTML
// that is well-formed XML too: every element is closed.
//
// Texts are escaped here; `body` and `picture` are markup already. Pure; thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/chart.h"

namespace coppice {

enum class CellAlign { kLeft, kRight };

struct ReportColumn {
  std::string title;
  CellAlign align = CellAlign::kRight;
};
struct ReportTable {
  std::string caption;
  std::vector<ReportColumn> columns;
  std::vector<std::vector<std::string>> rows; // the first cell is its row's head
};
// Nothing without rows.
std::string table_html(const ReportTable& table);

// A picture under its title; `note` below says how to read it. Empty lines' charts: see below.
std::string figure_html(std::string_view title, std::string_view picture,
                        std::string_view note = {});
// The same for a chart with any line to draw; else nothing.
std::string figure_html(const LineChart& chart, std::string_view note = {});
// With the names of its series. Nothing without bars.
std::string figure_html(const BarChart& chart, std::string_view note = {});

// Figures beside one another where there is room; nothing if there are none.
std::string grid_html(std::string_view figures);
// Nothing if `body` is empty.
std::string section_html(std::string_view title, std::string_view lead, std::string_view body);
std::string paragraph_html(std::string_view text);

inline constexpr const char* kDash = "\u2013"; // a cell without a value
inline constexpr const char* kMinus = "\u2212";
// "2.345"; a dash for what isn't finite.
std::string bits_text(double bits);
// "-11.2 %" with a true minus: of `before`, positive.
std::string change_text(double before, double now);
// "1 of 50 (2.0 %)".
std::string part_text(std::size_t part, std::size_t whole);

// At most `most` points: the means of neighbours, so that long runs stay small.
std::vector<ChartPoint> thinned(std::vector<ChartPoint> points, std::size_t most = 300);

} // namespace coppice
