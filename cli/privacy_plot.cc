// SPDX-License-Identifier: Apache-2.0
#include "cli/privacy_plot.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/text.h"
#include "cli/table.h"

namespace coppice {
namespace {

constexpr double kWidth = 760;
constexpr double kHeight = 440;
constexpr double kLeft = 72; // of the area that lines are drawn in
constexpr double kRight = 600;
constexpr double kTop = 52;
constexpr double kBottom = 380;
constexpr double kLabelHeight = 17;
// Okabe and Ito's, told apart by colour-blind people too; without yellow.
constexpr const char* kColors[] = {"#0072b2", "#d55e00", "#009e73",
                                   "#cc79a7", "#e69f00", "#56b4e9"};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char letter : text) {
    switch (letter) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += letter;
    }
  }
  return out;
}

std::string text_at(double x, double y, std::string_view attributes, std::string_view words) {
  return cat("<text x=\"", fixed(x, 1), "\" y=\"", fixed(y, 1), "\" ", attributes, ">",
             escaped(words), "</text>\n");
}

std::string rule(double x1, double y1, double x2, double y2, const char* color) {
  return cat("<line x1=\"", fixed(x1, 1), "\" y1=\"", fixed(y1, 1), "\" x2=\"", fixed(x2, 1),
             "\" y2=\"", fixed(y2, 1), "\" stroke=\"", color, "\"/>\n");
}

std::string number_text(double value) {
  if (value >= 1000 && value == std::floor(value)) {
    return grouped(static_cast<std::uint64_t>(value));
  }
  return cat(value);
}

bool finite(const PlotPoint& point) { return std::isfinite(point.x) && std::isfinite(point.y); }

std::vector<PlotPoint> all_points(const Plot& plot) {
  std::vector<PlotPoint> points;
  for (const PlotLine& line : plot.lines) {
    std::ranges::copy_if(line.points, std::back_inserter(points), finite);
  }
  return points;
}

// A value of an axis to its place on the page.
struct Axis {
  std::vector<double> ticks;
  bool log = false;
  double from = 0; // on the page
  double to = 0;
  double operator()(double value) const {
    const double low = log ? std::log10(ticks.front()) : ticks.front();
    const double high = log ? std::log10(ticks.back()) : ticks.back();
    const double at = ((log ? std::log10(value) : value) - low) / (high - low);
    return from + at * (to - from);
  }
};

std::vector<double> decades(double least, double most) {
  const int first = static_cast<int>(std::floor(std::log10(least) + 1e-9));
  const int last = std::max(first + 1, static_cast<int>(std::ceil(std::log10(most) - 1e-9)));
  std::vector<double> ticks;
  for (int power = first; power <= last; ++power) ticks.push_back(std::pow(10.0, power));
  return ticks;
}

std::string axes(const Plot& plot, const Axis& x, const Axis& y) {
  std::string out;
  for (const double tick : y.ticks) {
    out += rule(kLeft, y(tick), kRight, y(tick), tick == 0 ? "#333333" : "#e2e2e2");
    out += text_at(kLeft - 8, y(tick) + 4, "text-anchor=\"end\"", number_text(tick));
  }
  for (const double tick : x.ticks) {
    out += rule(x(tick), kBottom, x(tick), kBottom + 5, "#333333");
    const std::string words = x.log ? cat("1e", std::lround(std::log10(tick))) : number_text(tick);
    out += text_at(x(tick), kBottom + 20, "text-anchor=\"middle\"", words);
  }
  out += text_at((kLeft + kRight) / 2, kBottom + 44, "text-anchor=\"middle\"", plot.x_label);
  const double middle = (kTop + kBottom) / 2;
  out += text_at(20, middle,
                 cat("text-anchor=\"middle\" transform=\"rotate(-90 20 ", fixed(middle, 1), ")\""),
                 plot.y_label);
  return out;
}

// Where names stand beside the lines' ends: in the order of the ends, none on another.
std::vector<double> label_places(const std::vector<double>& ends) {
  std::vector<std::size_t> order(ends.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, {}, [&ends](std::size_t i) { return ends[i]; });
  std::vector<double> places(ends);
  double free = kTop;
  for (const std::size_t i : order) {
    places[i] = std::max(ends[i], free);
    free = places[i] + kLabelHeight;
  }
  double below = kBottom; // pushed up again where they ran out of the page
  std::ranges::reverse(order);
  for (const std::size_t i : order) {
    places[i] = std::min(places[i], below);
    below = places[i] - kLabelHeight;
  }
  return places;
}

std::string lines(const Plot& plot, const Axis& x, const Axis& y) {
  std::string out;
  std::vector<double> ends;
  for (const PlotLine& line : plot.lines) {
    const char* const color = kColors[ends.size() % std::size(kColors)];
    std::string points;
    double end = kBottom;
    for (const PlotPoint& point : line.points) {
      if (!finite(point)) continue;
      end = y(point.y);
      points += cat(points.empty() ? "" : " ", fixed(x(point.x), 1), ",", fixed(end, 1));
    }
    out += cat("<polyline fill=\"none\" stroke=\"", color, "\" stroke-width=\"2\" points=\"",
               points, "\"/>\n");
    ends.push_back(end);
  }
  const std::vector<double> places = label_places(ends);
  for (std::size_t i = 0; i < places.size(); ++i) {
    out += text_at(kRight + 10, places[i] + 4,
                   cat("fill=\"", kColors[i % std::size(kColors)], "\""), plot.lines[i].name);
  }
  return out;
}

} // namespace

std::vector<double> linear_ticks(double most) {
  if (!(most > 0) || !std::isfinite(most)) return {0, 1};
  const double power = std::pow(10.0, std::floor(std::log10(most)));
  double step = power;
  if (most / power < 2) {
    step = power / 5;
  } else if (most / power < 5) {
    step = power / 2;
  }
  const auto count = static_cast<int>(std::ceil(most / step - 1e-9));
  std::vector<double> ticks;
  for (int i = 0; i <= count; ++i) ticks.push_back(i * step);
  return ticks;
}

std::string plot_svg(const Plot& plot) {
  double least_x = INFINITY;
  double most_x = 0;
  double most_y = 0;
  for (const PlotPoint& point : all_points(plot)) {
    least_x = std::min(least_x, point.x);
    most_x = std::max(most_x, point.x);
    most_y = std::max(most_y, point.y);
  }
  Axis x{.ticks = linear_ticks(most_x), .log = plot.log_x, .from = kLeft, .to = kRight};
  if (plot.log_x) x.ticks = std::isfinite(least_x) ? decades(least_x, most_x) : decades(1, 10);
  const Axis y{.ticks = linear_ticks(most_y), .from = kBottom, .to = kTop};
  std::string out =
      cat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", kWidth, "\" height=\"", kHeight,
          "\" viewBox=\"0 0 ", kWidth, " ", kHeight, "\" font-family=\"sans-serif\" ",
          "font-size=\"13\" fill=\"#333333\">\n<title>", escaped(plot.title), "</title>\n",
          "<rect width=\"", kWidth, "\" height=\"", kHeight, "\" fill=\"#ffffff\"/>\n");
  out += text_at(kLeft, 28, "font-size=\"15\" font-weight=\"bold\"", plot.title);
  out += axes(plot, x, y);
  out += lines(plot, x, y);
  return out + "</svg>\n";
}

} // namespace coppice
