// SPDX-License-Identifier: Apache-2.0
#include "sim/chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <numeric>
#include <optional>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::array<const char*, kChartColors> kLight{"#0d36c0", "#b58c0c", "#1b9d5e", "#d86baf",
                                                       "#682400", "#2893ff", "#444a52"};
constexpr std::array<const char*, kChartColors> kDark{"#5092f6", "#ff992c", "#2cd1a0", "#b9a9e0",
                                                      "#f2de88", "#bcffff", "#71777f"};
constexpr double kLabelHeight = 17;
constexpr double kLetterWidth = 7.5; // of a wide sans-serif font of 12 pixels
constexpr std::size_t kMostTooltips = 80;
constexpr std::size_t kMostDots = 30;

// Where the area of the axes lies in the picture.
struct ChartFrame {
  double width = 420;
  double height = 250;
  double left = 54;
  double right = 400;
  double top = 30;
  double bottom = 208;
};
constexpr ChartFrame kFileFrame{
    .width = 760, .height = 440, .left = 72, .right = 600, .top = 52, .bottom = 380};

std::string text_at(double x, double y, std::string_view anchor, std::string_view words) {
  return cat("<text x=\"", fixed(x, 1), "\" y=\"", fixed(y, 1), "\" text-anchor=\"", anchor, "\">",
             escape_markup(words), "</text>\n");
}

std::string rule(double x1, double y1, double x2, double y2, std::string_view style) {
  return cat("<line class=\"", style, "\" x1=\"", fixed(x1, 1), "\" y1=\"", fixed(y1, 1),
             "\" x2=\"", fixed(x2, 1), "\" y2=\"", fixed(y2, 1), "\"/>\n");
}

// At most `letters` code points.
std::string shortened(std::string_view text, std::size_t letters) {
  std::string kept;
  std::size_t count = 0;
  for (const char byte : text) {
    const bool begins = (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
    if (begins && ++count > letters) return kept + "\u2026";
    kept += byte;
  }
  return kept;
}

struct Extent {
  double least = INFINITY;
  double most = -INFINITY;
  void add(double value) {
    least = std::min(least, value);
    most = std::max(most, value);
  }
};

Axis axis_of(Extent extent, bool from_zero, const AxisScale& scale) {
  const double least = extent.least / scale.factor;
  const double most = extent.most / scale.factor;
  std::vector<double> ticks =
      from_zero && !(least < 0) ? linear_ticks(most) : ticks_between(least, most);
  for (double& tick : ticks) tick *= scale.factor;
  return axis_over(std::move(ticks));
}

// No wider than what stands on it.
Axis tight_axis(Extent extent) {
  Axis axis = axis_of(extent, false, {});
  if (!(extent.least < extent.most)) return axis;
  std::erase_if(axis.ticks,
                [extent](double tick) { return tick < extent.least || tick > extent.most; });
  axis.low = extent.least;
  axis.high = extent.most;
  return axis;
}

std::string with_unit(std::string_view label, const AxisScale& scale) {
  return scale.unit.empty() ? std::string(label) : cat(label, " (", scale.unit, ")");
}

// Both axes with their words, and what of a chart they need.
struct Axes {
  Axis x;
  Axis y;
  AxisScale x_scale;
  AxisScale y_scale;
  std::string x_label;
  std::string y_label;
};

std::vector<std::string> texts_of(const Axis& axis, const AxisScale& scale) {
  std::vector<double> ticks = axis.ticks;
  for (double& tick : ticks) tick /= scale.factor;
  if (!axis.log) return tick_texts(ticks);
  std::vector<std::string> texts;
  for (const double tick : ticks) {
    const long power = std::lround(std::log10(tick));
    texts.push_back(power >= 0 && power < 13 ? tick_texts({tick}).front() : cat("1e", power));
  }
  return texts;
}

std::string drawn(const Axes& axes, const ChartFrame& frame) {
  std::string out;
  const std::vector<std::string> y_texts = texts_of(axes.y, axes.y_scale);
  for (std::size_t i = 0; i < y_texts.size(); ++i) {
    const double tick = axes.y.ticks[i];
    out += rule(frame.left, axes.y(tick), frame.right, axes.y(tick), tick == 0 ? "axis" : "grid");
    out += text_at(frame.left - 7, axes.y(tick) + 4, "end", y_texts[i]);
  }
  out += rule(frame.left, frame.bottom, frame.right, frame.bottom, "axis");
  const std::vector<std::string> x_texts = texts_of(axes.x, axes.x_scale);
  const std::size_t most = static_cast<std::size_t>((frame.right - frame.left) / 38);
  const std::size_t every = axes.x.ticks.size() / (most + 1) + 1; // named: more would overlap
  for (std::size_t i = 0; i < axes.x.ticks.size(); ++i) {
    const double tick = axes.x.ticks[i];
    out += rule(axes.x(tick), frame.bottom, axes.x(tick), frame.bottom + 4, "axis");
    if (i % every != 0) continue;
    out += text_at(axes.x(tick), frame.bottom + 18, "middle", x_texts[i]);
  }
  out += text_at((frame.left + frame.right) / 2, frame.bottom + 37, "middle",
                 with_unit(axes.x_label, axes.x_scale));
  return out + text_at(4, frame.top - 14, "start", with_unit(axes.y_label, axes.y_scale));
}

std::vector<ChartPoint> drawable(const LineChart& chart, const ChartLine& line) {
  std::vector<ChartPoint> points;
  std::ranges::copy_if(line.points, std::back_inserter(points), [&chart](const ChartPoint& point) {
    return std::isfinite(point.x) && std::isfinite(point.y) && (!chart.log_x || point.x > 0);
  });
  return points;
}

std::vector<ChartInterval> drawable_band(const LineChart& chart, const ChartLine& line) {
  std::vector<ChartInterval> band;
  std::ranges::copy_if(line.band, std::back_inserter(band), [&chart](const ChartInterval& at) {
    return std::isfinite(at.x) && std::isfinite(at.low) && std::isfinite(at.high) &&
           (!chart.log_x || at.x > 0);
  });
  return band;
}

// Of unsure values bands are far wider than lines differ: they widen the axis by no more than the
// lines' own range at either end, and leave the page there.
void add_bands(const LineChart& chart, Extent& x, Extent& y) {
  const Extent lines = y;
  const double range = lines.most - lines.least;
  for (const ChartLine& line : chart.lines) {
    for (const ChartInterval& at : drawable_band(chart, line)) {
      x.add(at.x);
      y.add(std::max(at.low, lines.least - range));
      y.add(std::min(at.high, lines.most + range));
    }
  }
}

Axes axes_of(const LineChart& chart, const ChartFrame& frame) {
  Extent x;
  Extent y;
  for (const ChartLine& line : chart.lines) {
    for (const ChartPoint& point : drawable(chart, line)) {
      x.add(point.x);
      y.add(point.y);
    }
  }
  add_bands(chart, x, y);
  Axes axes{.x = {},
            .y = {},
            .x_scale = scale_for(chart.x_unit, x.most),
            .y_scale = scale_for(chart.y_unit, y.most),
            .x_label = chart.x_label,
            .y_label = chart.y_label};
  if (chart.log_x) {
    axes.x_scale = {};
    axes.x = axis_over(std::isfinite(x.least) ? decades(x.least, x.most) : decades(1, 10));
    axes.x.log = true;
  } else {
    axes.x = axis_of(x, chart.x_from_zero, axes.x_scale);
  }
  axes.y = axis_of(y, chart.y_from_zero, axes.y_scale);
  axes.x.from = frame.left;
  axes.x.to = frame.right;
  axes.y.from = frame.bottom;
  axes.y.to = frame.top;
  return axes;
}

// Where names stand beside the lines' ends: in the order of the ends, none on another.
std::vector<double> label_places(const std::vector<double>& ends, const ChartFrame& frame) {
  std::vector<std::size_t> order(ends.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, {}, [&ends](std::size_t i) { return ends[i]; });
  std::vector<double> places(ends);
  double free = frame.top;
  for (const std::size_t i : order) {
    places[i] = std::max(ends[i], free);
    free = places[i] + kLabelHeight;
  }
  double below = frame.bottom; // pushed up again where they ran out of the page
  std::ranges::reverse(order);
  for (const std::size_t i : order) {
    places[i] = std::min(places[i], below);
    below = places[i] - kLabelHeight;
  }
  return places;
}

// The points of a polyline, a corner before each step.
std::string path_of(const std::vector<ChartPoint>& points, LineShape shape, const Axes& axes) {
  std::string path;
  std::optional<double> before;
  const auto add = [&](double x, double y) {
    path += cat(path.empty() ? "" : " ", fixed(axes.x(x), 1), ",", fixed(axes.y(y), 1));
  };
  for (const ChartPoint& point : points) {
    if (before && shape == LineShape::kSteps) add(point.x, *before);
    add(point.x, point.y);
    before = point.y;
  }
  return path;
}

// Along the upper ends and back along the lower ones.
std::string drawn_band(const LineChart& chart, const ChartLine& line, const Axes& axes) {
  const std::vector<ChartInterval> band = drawable_band(chart, line);
  if (band.size() < 2) return {};
  std::string path;
  const auto add = [&](double x, double y) {
    const double inside = std::clamp(y, axes.y.low, axes.y.high);
    path += cat(path.empty() ? "" : " ", fixed(axes.x(x), 1), ",", fixed(axes.y(inside), 1));
  };
  for (const ChartInterval& at : band) add(at.x, at.high);
  for (auto at = band.rbegin(); at != band.rend(); ++at) add(at->x, at->low);
  return cat("<polygon class=\"band f", line.color, "\" points=\"", path, "\"/>\n");
}

std::string tooltip(const LineChart& chart, const ChartLine& line, const ChartPoint& point) {
  return cat("<title>", escape_markup(line.name), ": ", value_text(chart.y_unit, point.y), " at ",
             value_text(chart.x_unit, point.x), "</title>");
}

std::string drawn(const LineChart& chart, const ChartLine& line,
                  const std::vector<ChartPoint>& points, const Axes& axes) {
  std::string out;
  const bool dots_alone = line.shape == LineShape::kDots;
  if (!dots_alone) {
    out += cat("<polyline class=\"line c", line.color, line.dashed ? " dashed" : "", "\" points=\"",
               path_of(points, line.shape, axes), "\"/>\n");
  }
  const bool dots =
      line.shape == LineShape::kStraight && !line.dashed && points.size() <= kMostDots;
  for (const ChartPoint& point : points) {
    const std::string place =
        cat("cx=\"", fixed(axes.x(point.x), 1), "\" cy=\"", fixed(axes.y(point.y), 1), "\"");
    if (dots || dots_alone) {
      out += cat("<circle class=\"f", line.color, "\" r=\"2.5\" ", place, "/>");
    }
    if (points.size() > kMostTooltips && !dots_alone) continue;
    out += cat("<circle class=\"touch\" r=\"8\" ", place, ">", tooltip(chart, line, point),
               "</circle>\n");
  }
  return out;
}

// What a line looks like, 14 wide, before its name.
std::string label_sample(const ChartLine& line, double x, double y) {
  if (line.shape == LineShape::kDots) {
    return cat("<circle class=\"f", line.color, "\" r=\"3\" cx=\"", fixed(x + 7, 1), "\" cy=\"",
               fixed(y, 1), "\"/>\n");
  }
  return rule(x, y, x + 14, y, cat("line c", line.color, line.dashed ? " dashed" : ""));
}

std::string drawn(const LineChart& chart, const ChartFrame& frame) {
  const Axes axes = axes_of(chart, frame);
  std::string out = drawn(axes, frame);
  for (const ChartLine& line : chart.lines) out += drawn_band(chart, line, axes);
  std::vector<const ChartLine*> named;
  std::vector<double> ends;
  for (const ChartLine& line : chart.lines) {
    const std::vector<ChartPoint> points = drawable(chart, line);
    if (points.empty()) continue;
    out += drawn(chart, line, points, axes);
    named.push_back(&line);
    ends.push_back(axes.y(points.back().y));
  }
  const std::vector<double> places = label_places(ends, frame);
  const double room = frame.width - frame.right - 28;
  for (std::size_t i = 0; i < named.size(); ++i) {
    if (named[i]->name.empty()) continue;
    out += label_sample(*named[i], frame.right + 6, places[i]);
    out += text_at(frame.right + 24, places[i] + 4, "start",
                   shortened(named[i]->name, static_cast<std::size_t>(room / kLetterWidth)));
  }
  return out;
}

std::size_t letters_in(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U; }));
}

// An element's area leaves room for its longest name.
ChartFrame frame_for(const LineChart& chart) {
  std::size_t letters = 0;
  for (const ChartLine& line : chart.lines) letters = std::max(letters, letters_in(line.name));
  ChartFrame frame;
  if (letters > 0) {
    frame.right = frame.width - std::min(150.0, 30 + static_cast<double>(letters) * kLetterWidth);
  }
  return frame;
}

std::string element(std::string_view title, std::string_view inside) {
  const ChartFrame frame;
  return cat("<svg class=\"chart\" role=\"img\" aria-label=\"", escape_markup(title),
             "\" viewBox=\"0 0 ", frame.width, " ", frame.height, "\">\n", inside, "</svg>\n");
}

std::string drawn(const BarChart& chart, const ChartBar& bar, const Axes& axes) {
  std::string out = cat("<g><title>", escape_markup(bar.name));
  std::string boxes;
  double below = 0;
  const double left = axes.x(bar.from);
  const double width = axes.x(bar.to) - left;
  const double gap = width > 4 ? 1 : 0;
  for (std::size_t i = 0; i < bar.heights.size() && i < chart.series.size(); ++i) {
    const double height = bar.heights[i];
    if (!(height > 0) || !std::isfinite(height)) continue;
    out +=
        cat("\n", escape_markup(chart.series[i].name), ": ", value_text(AxisUnit::kPlain, height));
    const double top = axes.y(below + height);
    boxes += cat("<rect class=\"f", chart.series[i].color, "\" x=\"", fixed(left, 1), "\" y=\"",
                 fixed(top, 2), "\" width=\"", fixed(width - gap, 1), "\" height=\"",
                 fixed(axes.y(below) - top, 2), "\"/>");
    below += height;
  }
  return cat(out, "</title>", boxes, "</g>\n");
}

std::string color_rules() {
  std::string css;
  for (unsigned i = 0; i < kChartColors; ++i) {
    css += cat(".c", i, "{stroke:var(--c", i, ")}.f", i, "{fill:var(--c", i, ")}");
  }
  return css;
}

std::string color_values(const std::array<const char*, kChartColors>& colors) {
  std::string css;
  for (unsigned i = 0; i < kChartColors; ++i) css += cat("--c", i, ":", colors[i], ";");
  return css;
}

// Viewers of pictures know no variables.
std::string file_style() {
  std::string css =
      ".line{fill:none;stroke-width:2}.dashed{stroke-dasharray:5 4}.grid{stroke:#e2e2e2}"
      ".axis{stroke:#333333}.touch{fill:transparent}.band{fill-opacity:.16}";
  for (unsigned i = 0; i < kChartColors; ++i) {
    css += cat(".c", i, "{stroke:", kLight.at(i), "}.f", i, "{fill:", kLight.at(i), "}");
  }
  return css;
}

} // namespace

std::string escape_markup(std::string_view text) {
  std::string out;
  for (const char letter : text) {
    switch (letter) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\n':
      case '\t': out += letter; break;
      default: out += static_cast<unsigned char>(letter) < 0x20 ? "\ufffd" : std::string(1, letter);
    }
  }
  return out;
}

std::string line_chart_file(const LineChart& chart) {
  const ChartFrame frame = kFileFrame;
  return cat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", frame.width, "\" height=\"",
             frame.height, "\" viewBox=\"0 0 ", frame.width, " ", frame.height,
             "\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#333333\">\n<title>",
             escape_markup(chart.title), "</title>\n<style>", file_style(), "</style>\n",
             "<rect width=\"", frame.width, "\" height=\"", frame.height,
             "\" fill=\"#ffffff\"/>\n<g font-size=\"15\" font-weight=\"bold\">",
             text_at(4, 18, "start", chart.title), "</g>\n", drawn(chart, frame), "</svg>\n");
}

std::string line_chart_element(const LineChart& chart) {
  return element(chart.title, drawn(chart, frame_for(chart)));
}

std::string bar_chart_element(const BarChart& chart) {
  const ChartFrame frame;
  Extent x;
  Extent y;
  for (const ChartBar& bar : chart.bars) {
    x.add(bar.from);
    x.add(bar.to);
    y.add(std::accumulate(bar.heights.begin(), bar.heights.end(), 0.0));
  }
  Axes axes{.x = tight_axis(x),
            .y = axis_over(count_ticks(y.most)),
            .x_scale = {},
            .y_scale = {},
            .x_label = chart.x_label,
            .y_label = chart.y_label};
  axes.x.from = frame.left;
  axes.x.to = frame.right;
  axes.y.from = frame.bottom;
  axes.y.to = frame.top;
  std::string out = drawn(axes, frame);
  for (const ChartBar& bar : chart.bars) out += drawn(chart, bar, axes);
  for (const double at : chart.rules) {
    out += rule(axes.x(at), frame.top, axes.x(at), frame.bottom, "axis");
  }
  return element(chart.title, out);
}

std::string chart_style() {
  return cat(":root{", color_values(kLight), "}\n@media screen and (prefers-color-scheme:dark){",
             ":root{", color_values(kDark), "}}\n",
             ".chart{width:100%;height:auto;display:block;font-size:12px;fill:var(--ink)}"
             ".line{fill:none;stroke-width:2;stroke-linejoin:round}.dashed{stroke-dasharray:5 4}"
             ".grid{stroke:var(--grid)}.axis{stroke:var(--muted)}.touch{fill:transparent}"
             ".band{fill-opacity:.16}",
             color_rules(), "\n");
}

} // namespace coppice
