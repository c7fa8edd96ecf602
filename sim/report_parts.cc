// SPDX-License-Identifier: Apache-2.0
#include "sim/report_parts.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace coppice {
namespace {

std::string tag_of(CellAlign align, bool head) {
  const char* const number = align == CellAlign::kRight ? " class=\"number\"" : "";
  return head ? cat("<th scope=\"row\"", number, ">") : cat("<td", number, ">");
}

bool has_points(const LineChart& chart) {
  return std::ranges::any_of(chart.lines, [](const ChartLine& line) {
    return std::ranges::any_of(line.points, [](const ChartPoint& point) {
      return std::isfinite(point.x) && std::isfinite(point.y);
    });
  });
}

} // namespace

std::string table_html(const ReportTable& table) {
  if (table.rows.empty()) return {};
  std::string out = "<div class=\"table\">";
  if (!table.caption.empty()) {
    out += cat("<p class=\"caption\">", escape_markup(table.caption), "</p>\n");
  }
  // The words above stay where they are when a wide table is scrolled.
  out += cat("<div class=\"wide\" tabindex=\"0\"><table aria-label=\"",
             escape_markup(table.caption), "\">\n<thead><tr>");
  for (const ReportColumn& column : table.columns) {
    out += cat("<th scope=\"col\"", column.align == CellAlign::kRight ? " class=\"number\"" : "",
               ">", escape_markup(column.title), "</th>");
  }
  out += "</tr></thead>\n<tbody>\n";
  for (const std::vector<std::string>& row : table.rows) {
    out += "<tr>";
    for (std::size_t i = 0; i < row.size() && i < table.columns.size(); ++i) {
      out += cat(tag_of(table.columns[i].align, i == 0), escape_markup(row[i]),
                 i == 0 ? "</th>" : "</td>");
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div></div>\n";
}

std::string figure_html(std::string_view title, std::string_view picture, std::string_view note) {
  std::string out = cat("<figure><figcaption>", escape_markup(title), "</figcaption>\n", picture);
  if (!note.empty()) out += cat("<p class=\"note\">", escape_markup(note), "</p>");
  return out + "</figure>\n";
}

std::string figure_html(const LineChart& chart, std::string_view note) {
  return has_points(chart) ? figure_html(chart.title, line_chart_element(chart), note)
                           : std::string();
}

std::string figure_html(const BarChart& chart, std::string_view note) {
  if (chart.bars.empty()) return {};
  std::string keys = "<p class=\"keys\">";
  for (const BarSeries& series : chart.series) {
    keys +=
        cat("<span class=\"key\"><svg width=\"10\" height=\"10\" aria-hidden=\"true\">"
            "<rect class=\"f",
            series.color, "\" width=\"10\" height=\"10\"/></svg> ", escape_markup(series.name),
            "</span> ");
  }
  return figure_html(chart.title, cat(keys, "</p>\n", bar_chart_element(chart)), note);
}

std::string grid_html(std::string_view figures) {
  return figures.empty() ? std::string() : cat("<div class=\"figures\">\n", figures, "</div>\n");
}

std::string section_html(std::string_view title, std::string_view lead, std::string_view body) {
  if (body.empty()) return {};
  return cat("<section>\n<h2>", escape_markup(title), "</h2>\n",
             lead.empty() ? std::string() : paragraph_html(lead), body, "</section>\n");
}

std::string paragraph_html(std::string_view text) {
  return cat("<p>", escape_markup(text), "</p>\n");
}

std::string bits_text(double bits) { return std::isfinite(bits) ? fixed(bits, 3) : kDash; }

std::string change_text(double before, double now) {
  const double change = (now / before - 1) * 100;
  if (!std::isfinite(change) || !(before > 0)) return kDash;
  const std::string size = fixed(std::abs(change), 1);
  if (size == "0.0") return "0.0 %";
  return cat(change < 0 ? kMinus : "+", size, " %");
}

std::string part_text(std::size_t part, std::size_t whole) {
  if (whole == 0) return kDash;
  return cat(part, " of ", whole, " (",
             fixed(100 * static_cast<double>(part) / static_cast<double>(whole), 1), " %)");
}

std::vector<ChartPoint> thinned(std::vector<ChartPoint> points, std::size_t most) {
  std::erase_if(points, [](const ChartPoint& point) {
    return !std::isfinite(point.x) || !std::isfinite(point.y);
  });
  if (points.size() <= most) return points;
  const std::size_t together = (points.size() + most - 1) / most;
  std::vector<ChartPoint> means;
  for (std::size_t at = 0; at < points.size(); at += together) {
    const std::size_t count = std::min(together, points.size() - at);
    ChartPoint mean;
    for (std::size_t i = at; i < at + count; ++i) {
      mean.x += points[i].x / static_cast<double>(count);
      mean.y += points[i].y / static_cast<double>(count);
    }
    means.push_back(mean);
  }
  return means;
}

} // namespace coppice
