// SPDX-License-Identifier: Apache-2.0
#include "sim/chart.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "base/text.h"
#include "tests/sim/well_formed.h"

namespace coppice {
namespace {

std::vector<std::vector<ChartPoint>> polylines(const std::string& svg) {
  std::vector<std::vector<ChartPoint>> lines;
  constexpr std::string_view kBegin = "points=\"";
  for (std::size_t at = svg.find(kBegin); at != std::string::npos; at = svg.find(kBegin, at + 1)) {
    const std::size_t begin = at + kBegin.size();
    lines.emplace_back();
    for (const std::string& pair : split(svg.substr(begin, svg.find('"', begin) - begin), ' ')) {
      const std::vector<std::string> both = split(pair, ',');
      if (both.size() != 2) continue;
      lines.back().push_back(
          {std::strtod(both[0].c_str(), nullptr), std::strtod(both[1].c_str(), nullptr)});
    }
  }
  return lines;
}

LineChart two_lines() {
  return {.title = "a < b & \"c\"",
          .x_label = "rounds",
          .y_label = "epsilon",
          .lines = {{"z = 1", {{0, 0}, {500, 1.5}, {1000, 2.3}}},
                    {"z = 2", {{0, 0}, {500, 1.5}, {1000, 2.29}}}}};
}

TEST(Chart, IsWellFormedWhateverTheWords) {
  EXPECT_TRUE(is_well_formed(line_chart_file(two_lines())));
  EXPECT_TRUE(is_well_formed(line_chart_file({})));
  EXPECT_FALSE(is_well_formed("<svg><text>a & b</text></svg>"));
  EXPECT_FALSE(is_well_formed("<svg><text></svg></text>"));
}

TEST(Chart, DrawsEachPointWhereItsAxesPutIt) {
  const auto lines = polylines(line_chart_file(two_lines()));
  ASSERT_EQ(lines.size(), 2U);
  ASSERT_EQ(lines[0].size(), 3U);
  // Axes to 1,000 and to 2.5: the corner, the middle of the width, and up by 2.3 / 2.5.
  EXPECT_DOUBLE_EQ(lines[0][0].x, 72);
  EXPECT_DOUBLE_EQ(lines[0][0].y, 380);
  EXPECT_DOUBLE_EQ(lines[0][1].x, 336);
  EXPECT_DOUBLE_EQ(lines[0][2].x, 600);
  EXPECT_NEAR(lines[0][2].y, 380 - (380 - 52) * 2.3 / 2.5, 0.05); // printed to a tenth
}

TEST(Chart, PutsDecadesAtEqualDistances) {
  const auto lines =
      polylines(line_chart_file({.title = "",
                                 .x_label = "",
                                 .y_label = "",
                                 .log_x = true,
                                 .lines = {{"one", {{1e-6, 3}, {1e-4, 2}, {1e-2, 1}}}}}));
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_DOUBLE_EQ(lines[0][0].x, 72);
  EXPECT_DOUBLE_EQ(lines[0][1].x, 336);
  EXPECT_DOUBLE_EQ(lines[0][2].x, 600);
}

// The lines end a tenth of a unit apart; their names don't lie on each other.
TEST(Chart, NamesLinesBesideTheirEndsAndApart) {
  const std::string svg = line_chart_file(two_lines());
  const auto place = [&svg](const char* name) {
    const std::size_t at = svg.rfind("y=\"", svg.find(cat(">", name, "<")));
    return std::strtod(svg.c_str() + at + 3, nullptr);
  };
  EXPECT_LE(place("z = 1") + 16, place("z = 2"));
}

TEST(Chart, LeavesOutWhatIsNotFinite) {
  LineChart plot = two_lines();
  plot.lines[0].points.push_back({1000, INFINITY});
  EXPECT_EQ(polylines(line_chart_file(plot)), polylines(line_chart_file(two_lines())));
}

// Upper ends from left to right, lower ones back; the axis reaches as far as the band does.
TEST(Chart, DrawsABandAlongItsUpperEndsAndBackAlongItsLower) {
  LineChart plot = two_lines();
  plot.lines.resize(1);
  plot.lines[0].band = {{0, 0, 0}, {500, 1, 2}, {750, NAN, NAN}, {1000, 1.5, 4}};
  const auto shapes = polylines(line_chart_file(plot));
  ASSERT_EQ(shapes.size(), 2U); // the band lies behind, and comes first
  const std::vector<ChartPoint>& band = shapes[0];
  ASSERT_EQ(band.size(), 6U);
  EXPECT_DOUBLE_EQ(band[1].x, 336);
  EXPECT_NEAR(band[1].y, 380 - (380 - 52) * 2.0 / 4, 0.05);
  EXPECT_NEAR(band[2].y, 52, 0.05);
  EXPECT_NEAR(band[3].y, 380 - (380 - 52) * 1.5 / 4, 0.05);
  EXPECT_DOUBLE_EQ(band[5].x, 72);
}

// The line goes from 0 to 2.3, so a band may take the axis down to -2.3 and up to 4.6: to round
// ticks around those, and not to -100 and 100.
TEST(Chart, CutsABandThatWouldFlattenItsLine) {
  LineChart plot = two_lines();
  plot.lines.resize(1);
  plot.lines[0].band = {{0, -100, 100}, {1000, -100, 100}};
  const auto shapes = polylines(line_chart_file(plot));
  ASSERT_EQ(shapes.size(), 2U);
  EXPECT_DOUBLE_EQ(shapes[0][0].y, 52);
  EXPECT_DOUBLE_EQ(shapes[0][3].y, 380);
  EXPECT_GT(shapes[1][0].y - shapes[1][2].y, (380 - 52) / 4.0);
}

TEST(Chart, ChoosesRoundTicks) {
  EXPECT_EQ(linear_ticks(1000), (std::vector<double>{0, 200, 400, 600, 800, 1000}));
  EXPECT_EQ(linear_ticks(2.3), (std::vector<double>{0, 0.5, 1, 1.5, 2, 2.5}));
  EXPECT_EQ(linear_ticks(7), (std::vector<double>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(linear_ticks(0), (std::vector<double>{0, 1}));
  EXPECT_EQ(count_ticks(4), (std::vector<double>{0, 1, 2, 3, 4})); // nobody counts halves
  EXPECT_EQ(count_ticks(1), (std::vector<double>{0, 1}));
  EXPECT_EQ(count_ticks(25), linear_ticks(25));
  EXPECT_EQ(count_ticks(0), (std::vector<double>{0, 1}));
  EXPECT_EQ(ticks_between(0, 0), (std::vector<double>{0, 1})); // nothing below zero
}

} // namespace
} // namespace coppice
