// SPDX-License-Identifier: Apache-2.0
// Axes of charts: round numbers as ticks, units that fit, and the words for both.
//
// Pure; thread-safe.
#pragma once

#include <string>
#include <vector>

namespace coppice {

// What an axis counts in: decides which larger units may stand on it.
enum class AxisUnit {
  kPlain,   // 12,000 is "12k"
  kBytes,   // of powers of 1000
  kSeconds, // or minutes, hours, days
  kJoules,  // of powers of 1000
  kShare,   // 0.25 is "25 %"
};

// 0 up to the first multiple at or above `most` of a step that is 1, 2 or 5 times a power of ten:
// four to ten of them. `most` > 0; else 0 and 1.
std::vector<double> linear_ticks(double most);
// The same for what is counted: by whole steps, of which there may be fewer.
std::vector<double> count_ticks(double most);
// The same from a multiple at or below `least`: three to eight. Values that don't differ get an
// axis around them; where all are zero, or not finite, it is 0 and 1.
std::vector<double> ticks_between(double least, double most);
// Powers of ten around both; at least two. `least` > 0.
std::vector<double> decades(double least, double most);

// Values / `factor` stand on the axis, in `unit`: {1e6, "MB"}.
struct AxisScale {
  double factor = 1;
  std::string unit;
};
AxisScale scale_for(AxisUnit unit, double most);

// With as many decimals as the narrowest step takes, the same for all: "1.90", "1.95", "2.00";
// large ones as "12k", "1.5M".
std::vector<std::string> tick_texts(const std::vector<double>& ticks);
// A value with its unit, to three digits: "1.23 MB", "3.5 h", "12.4 %", "1.23k".
std::string value_text(AxisUnit unit, double value);

// A value of an axis to its place on the page.
struct Axis {
  std::vector<double> ticks; // ascending
  double low = 0;
  double high = 1; // above `low`
  bool log = false;
  double from = 0; // on the page
  double to = 0;
  double operator()(double value) const;
};
// Ends at its first and last tick, of which there are two or more.
Axis axis_over(std::vector<double> ticks);

} // namespace coppice
