// SPDX-License-Identifier: Apache-2.0
// Lines over two axes as an SVG file: whole, without fonts, scripts or other files.
//
// Values start at 0 on the vertical axis; the horizontal one is linear from 0, or logarithmic.
// Each line is named at its right end. Pure; thread-safe.
#pragma once

#include <string>
#include <vector>

namespace coppice {

struct PlotPoint {
  double x = 0;
  double y = 0;
  bool operator==(const PlotPoint&) const = default;
};
struct PlotLine {
  std::string name;
  std::vector<PlotPoint> points; // x from small to large; those that aren't finite are left out
};
struct Plot {
  std::string title;
  std::string x_label;
  std::string y_label;
  bool log_x = false; // then every x is above 0
  std::vector<PlotLine> lines;
};

std::string plot_svg(const Plot& plot);

// 0 up to the first multiple at or above `most` of a step that is 1, 2 or 5 times a power of ten:
// four to ten of them. `most` > 0; else 0 and 1.
std::vector<double> linear_ticks(double most);

} // namespace coppice
