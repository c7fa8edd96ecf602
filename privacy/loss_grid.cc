// SPDX-License-Identifier: Apache-2.0
#include "privacy/loss_grid.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "privacy/normal.h"

namespace coppice {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNodesPerDeviation = 40.0;
constexpr double kMaxNodes = 8192.0;
constexpr double kMaxExponent = 600.0; // exp() of it is far from overflow

// How many standard deviations leave at most `mass` beyond: P(N > t) <= exp(-t^2 / 2) / 2.
double deviations(double mass) { return std::sqrt(-2.0 * std::log(2.0 * mass)); }

// log(M / N0) at noise x: increasing, from log(1 - q) up.
double log_ratio(const SampledStep& step, double x) {
  const double q = step.sampling_rate;
  const double exponent = (x - 0.5) / (step.noise_multiplier * step.noise_multiplier);
  if (q == 1.0) return exponent;
  if (exponent > kMaxExponent) return exponent + std::log(q);
  return std::log1p(q * std::expm1(exponent));
}

// The noise at which log_ratio is `ratio`; minus infinity at and below log(1 - q).
double noise_at(const SampledStep& step, double ratio, double expm1_ratio) {
  const double q = step.sampling_rate;
  const double variance = step.noise_multiplier * step.noise_multiplier;
  if (q == 1.0) return variance * ratio + 0.5;
  if (ratio > kMaxExponent) return variance * (ratio - std::log(q)) + 0.5;
  const double growth = expm1_ratio / q; // exp((x - 1/2) / z^2) - 1
  return growth <= -1.0 ? -kInfinity : variance * std::log1p(growth) + 0.5;
}

struct NoiseRange {
  double low;
  double high;
};

NoiseRange noise_range(const SampledStep& step, double tail_mass) {
  const double reach = step.noise_multiplier * deviations(tail_mass);
  return {-reach, step.neighbour == Neighbour::kRemoved ? 1.0 + reach : reach};
}

// Both tails of a normal distribution at one point, each with full relative precision.
struct Tails {
  double below;
  double above;
};

Tails tails_at(double x) {
  const double outer = normal_tail(std::fabs(x));
  return x > 0.0 ? Tails{1.0 - outer, outer} : Tails{outer, 1.0 - outer};
}

// Mass between two points, low <= high, from whichever tail is smaller.
double between(const Tails& low, const Tails& high) {
  return std::max(0.0, low.above < high.below ? low.above - high.above : high.below - low.below);
}

// One line of the grid: the noise there, and what each normal distribution has on either side.
struct Line {
  double expm1_ratio; // M / N0 - 1
  Tails base;         // N0
  Tails shifted;      // N1
};

Line line_at(const SampledStep& step, double loss) {
  const double z = step.noise_multiplier;
  const double ratio = step.neighbour == Neighbour::kRemoved ? loss : -loss;
  const double expm1_ratio = std::expm1(ratio);
  const double x = noise_at(step, ratio, expm1_ratio);
  return {expm1_ratio, tails_at(x / z), tails_at((x - 1.0) / z)};
}

// The first distribution's mass of one cell, and how much of it goes to the upper line.
struct Cell {
  double mass;
  double upper;
};

// `base` and `shifted` are N0's and N1's mass in the cell, `lower` its line of smaller loss l, and
// `shrink` is 1 - exp(-interval). Keeping both masses puts (P - exp(l) Q) / shrink on the upper
// line; written so that the parts common to P and exp(l) Q, most of them, are not subtracted.
Cell split_cell(const SampledStep& step, const Line& lower, double loss, double base,
                double shifted, double shrink) {
  const double q = step.sampling_rate;
  const bool removed = step.neighbour == Neighbour::kRemoved;
  const double mass = removed ? (1.0 - q) * base + q * shifted : base;
  if (std::fabs(loss) > kMaxExponent) return {mass, mass};
  const double excess = q * shifted - (lower.expm1_ratio + q) * base;
  const double upper = removed ? excess / shrink : -std::exp(loss) * excess / shrink;
  return {mass, std::clamp(upper, 0.0, mass)};
}

} // namespace

LossSketch sketch_losses(const SampledStep& step, double tail_mass) {
  const double z = step.noise_multiplier;
  const NoiseRange range = noise_range(step, tail_mass);
  const double width = range.high - range.low;
  const auto nodes =
      static_cast<std::size_t>(std::min(kMaxNodes, std::ceil(width / z * kNodesPerDeviation)));
  const double spacing = width / static_cast<double>(nodes - 1);
  const double log_weight = std::log(spacing / z) - 0.5 * std::log(2.0 * std::numbers::pi);
  LossSketch sketch{std::vector<double>(nodes), std::vector<double>(nodes)};
  for (std::size_t i = 0; i < nodes; ++i) {
    const double x = range.low + spacing * static_cast<double>(i);
    const double ratio = log_ratio(step, x);
    const double log_base = log_weight - x * x / (2.0 * z * z);
    const bool removed = step.neighbour == Neighbour::kRemoved;
    sketch.loss[i] = removed ? ratio : -ratio;
    sketch.log_mass[i] = removed ? log_base + ratio : log_base;
  }
  return sketch;
}

LossRange loss_range(const SampledStep& step, double tail_mass) {
  const NoiseRange range = noise_range(step, tail_mass);
  if (step.neighbour == Neighbour::kRemoved) {
    return {log_ratio(step, range.low), log_ratio(step, range.high)};
  }
  return {-log_ratio(step, range.high), -log_ratio(step, range.low)};
}

LossGrid discretize_losses(const SampledStep& step, double interval, const LossRange& range) {
  const auto first = static_cast<std::int64_t>(std::floor(range.low / interval));
  const auto last = static_cast<std::int64_t>(std::ceil(range.high / interval));
  const auto cells = static_cast<std::size_t>(last - first);
  LossGrid grid{first, std::vector<double>(cells + 1, 0.0), 0.0};
  const double q = step.sampling_rate;
  const bool removed = step.neighbour == Neighbour::kRemoved;
  const double shrink = -std::expm1(-interval);
  double loss = static_cast<double>(first) * interval;
  Line lower = line_at(step, loss);
  // Losses below the grid: noise below it if someone is removed, above it if added.
  grid.mass[0] =
      removed ? (1.0 - q) * lower.base.below + q * lower.shifted.below : lower.base.above;
  for (std::size_t i = 0; i < cells; ++i) {
    const double upper_loss =
        static_cast<double>(first + static_cast<std::int64_t>(i) + 1) * interval;
    const Line upper = line_at(step, upper_loss);
    const double base = removed ? between(lower.base, upper.base) : between(upper.base, lower.base);
    const double shifted =
        removed ? between(lower.shifted, upper.shifted) : between(upper.shifted, lower.shifted);
    const Cell cell = split_cell(step, lower, loss, base, shifted, shrink);
    grid.mass[i] += cell.mass - cell.upper;
    grid.mass[i + 1] += cell.upper;
    lower = upper;
    loss = upper_loss;
  }
  grid.infinite =
      removed ? (1.0 - q) * lower.base.above + q * lower.shifted.above : lower.base.below;
  return grid;
}

} // namespace coppice
