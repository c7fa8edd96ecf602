// SPDX-License-Identifier: Apache-2.0
// Charts as SVG: lines, steps and stacked bars over two axes with round ticks and units. Whole:
// without fonts, scripts or other files.
//
// Lines are named at their right ends, told apart by colour and dashes; a band behind a line shows
// how sure its values are. Colours are the classes c0
// to c6 (strokes) and f0 to f6 (fills) of chart_style(); the palette keeps a CIE76 distance of 27
// or more between any two for full colour vision, protanopia and deuteranopia, and 3:1 to its
// background. Points carry their values as tooltips. Values that aren't finite are left out.
// Words are escaped. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sim/chart_axis.h"

namespace coppice {

inline constexpr unsigned kChartColors = 7;
inline constexpr unsigned kGreyColor = 6; // for what is only there to compare with

struct ChartPoint {
  double x = 0;
  double y = 0;
  bool operator==(const ChartPoint&) const = default;
};

struct ChartInterval {
  double x = 0;
  double low = 0;
  double high = 0;
};

enum class LineShape {
  kStraight, // from point to point
  kSteps,    // stays until the next point: a distribution function
  kDots,     // points alone
};

struct ChartLine {
  std::string name;
  std::vector<ChartPoint> points; // x from small to large
  unsigned color = 0;             // below kChartColors
  bool dashed = false;
  LineShape shape = LineShape::kStraight;
  // Behind the line, in its colour; x from small to large. Cut off where it would make the axis
  // more than three times as long as the lines need.
  std::vector<ChartInterval> band = {};
};

struct LineChart {
  std::string title;
  std::string x_label;
  std::string y_label;
  AxisUnit x_unit = AxisUnit::kPlain;
  AxisUnit y_unit = AxisUnit::kPlain;
  bool log_x = false; // then points at or below 0 are left out
  bool x_from_zero = true;
  bool y_from_zero = true;
  std::vector<ChartLine> lines;
};

struct ChartBar {
  double from = 0; // on the horizontal axis
  double to = 0;
  std::vector<double> heights; // stacked from below, one a series
  std::string name;            // in the tooltip: "round 7"
};
struct BarSeries {
  std::string name;
  unsigned color = 0;
};
struct BarChart { // of counts
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<BarSeries> series; // named by the page, not in the picture
  std::vector<ChartBar> bars;
  std::vector<double> rules; // upright lines at these x: "no change"
};

// A file of its own, 760 by 440, with its title and light colours.
std::string line_chart_file(const LineChart& chart);
// An element for a page that has chart_style(); its title is its label for those who don't see it.
std::string line_chart_element(const LineChart& chart);
std::string bar_chart_element(const BarChart& chart);

// CSS of the classes that elements use: light, dark where the reader's system is, light on paper.
std::string chart_style();

// For text and attributes of HTML, XML and SVG. Control characters that neither may hold become
// U+FFFD.
std::string escape_markup(std::string_view text);

} // namespace coppice
