// SPDX-License-Identifier: Apache-2.0
#include "sim/chart_axis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/text.h"

namespace coppice {
namespace {

constexpr double kRounding = 1e-9; // of a step: what sums of steps are off by
constexpr double kLeastRange = 1e-300;
constexpr int kMostDigits = 9; // more is written as a power of ten
constexpr int kMostTicks = 50;

std::string digits(double value, int significant) {
  std::array<char, 32> text{};
  const int length = std::snprintf(text.data(), text.size(), "%.*g", significant, value);
  return {text.data(), static_cast<std::size_t>(length)};
}

// `significant` digits, never as a power of ten between 0.001 and 999.
std::string with_suffix(double value, int significant) {
  constexpr std::array<const char*, 5> kSuffixes{"", "k", "M", "G", "T"};
  std::size_t at = 0;
  const double size = std::abs(value);
  double factor = 1;
  while (size / factor >= 9999.5 || (at > 0 && size / factor >= 999.5)) {
    if (at + 1 == kSuffixes.size()) break;
    factor *= 1000;
    ++at;
  }
  const double shown = value / factor;
  // All digits before the point are said: four-digit numbers stand without a suffix.
  const int whole = std::abs(shown) >= 1 ? 1 + static_cast<int>(std::log10(std::abs(shown))) : 1;
  return digits(shown, std::clamp(whole, significant, kMostDigits)) + kSuffixes[at];
}

AxisScale thousands(const std::array<const char*, 5>& units, double most) {
  AxisScale scale{1, units[0]};
  for (std::size_t i = 1; i < units.size() && most >= 1000 * scale.factor; ++i) {
    scale = {scale.factor * 1000, units.at(i)};
  }
  return scale;
}

std::vector<double> steps(double least, double most, double step) {
  const double first = std::floor(least / step + kRounding);
  const double last = std::ceil(most / step - kRounding);
  const int count = static_cast<int>(std::clamp(last - first, 1.0, 1.0 * kMostTicks));
  std::vector<double> ticks;
  for (int i = 0; i <= count; ++i) ticks.push_back((first + i) * step);
  return ticks;
}

std::vector<double> ticks_from_zero(double most, double least_step) {
  if (!(most > kLeastRange) || !std::isfinite(most)) return {0, 1};
  const double power = std::pow(10.0, std::floor(std::log10(most)));
  double step = power;
  if (most / power < 2) {
    step = power / 5;
  } else if (most / power < 5) {
    step = power / 2;
  }
  return steps(0, most, std::max(step, least_step));
}

} // namespace

std::vector<double> linear_ticks(double most) { return ticks_from_zero(most, 0); }

std::vector<double> count_ticks(double most) { return ticks_from_zero(most, 1); }

std::vector<double> ticks_between(double least, double most) {
  if (!std::isfinite(most - least) || (least == 0 && most == 0)) return {0, 1};
  // Values that differ by less than doubles can step through are one value.
  if (!(most - least > std::max(kLeastRange, kRounding * std::max(-least, most)))) {
    const double around = std::max(std::abs(most) * 0.1, 1e-3);
    least = most - around;
    most += around;
  }
  const double rough = (most - least) / 5;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double ratio = rough / power;
  double step = 10 * power;
  if (ratio < 1.5) {
    step = power;
  } else if (ratio < 3.5) {
    step = 2 * power;
  } else if (ratio < 7.5) {
    step = 5 * power;
  }
  return steps(least, most, step);
}

std::vector<double> decades(double least, double most) {
  const int first = std::max(-300, static_cast<int>(std::floor(std::log10(least) + kRounding)));
  const int last = std::max(first + 1, static_cast<int>(std::ceil(std::log10(most) - kRounding)));
  std::vector<double> ticks;
  for (int power = first; power <= last; ++power) ticks.push_back(std::pow(10.0, power));
  return ticks;
}

AxisScale scale_for(AxisUnit unit, double most) {
  most = std::abs(most);
  switch (unit) {
    case AxisUnit::kPlain: break;
    case AxisUnit::kShare: return {0.01, "%"};
    case AxisUnit::kBytes: return thousands({"B", "kB", "MB", "GB", "TB"}, most);
    case AxisUnit::kJoules: return thousands({"J", "kJ", "MJ", "GJ", "TJ"}, most);
    case AxisUnit::kSeconds:
      if (most >= 3 * 86400) return {86400, "days"};
      if (most >= 2 * 3600) return {3600, "h"};
      if (most >= 180) return {60, "min"};
      return {1, "s"};
  }
  return {};
}

std::vector<std::string> tick_texts(const std::vector<double>& ticks) {
  const double step =
      ticks.size() < 2 ? 1 : (ticks.back() - ticks.front()) / static_cast<double>(ticks.size() - 1);
  std::vector<std::string> texts;
  const bool large = !ticks.empty() && std::abs(ticks.back()) >= 10'000;
  const int decimals = static_cast<int>(std::ceil(-std::log10(step) - kRounding));
  for (const double tick : ticks) {
    texts.push_back(large ? with_suffix(tick, 4) : fixed(tick + 0.0, std::clamp(decimals, 0, 8)));
    if (texts.back().starts_with("-") && std::abs(tick) < step / 2) texts.back().erase(0, 1);
  }
  return texts;
}

std::string value_text(AxisUnit unit, double value) {
  if (!std::isfinite(value)) return "\u2013";
  const AxisScale scale = scale_for(unit, value);
  const std::string number = with_suffix(value / scale.factor, 3);
  return scale.unit.empty() ? number : cat(number, " ", scale.unit);
}

double Axis::operator()(double value) const {
  const double first = log ? std::log10(low) : low;
  const double last = log ? std::log10(high) : high;
  const double at = ((log ? std::log10(value) : value) - first) / (last - first);
  return from + at * (to - from);
}

Axis axis_over(std::vector<double> ticks) {
  const double low = ticks.front();
  const double high = ticks.back();
  return {.ticks = std::move(ticks), .low = low, .high = high, .log = false, .from = 0, .to = 0};
}

} // namespace coppice
