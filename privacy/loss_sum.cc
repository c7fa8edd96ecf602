// SPDX-License-Identifier: Apache-2.0
#include "privacy/loss_sum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "privacy/fft.h"

namespace coppice {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kRangePoints = 2.0; // at most, of a single step, over those of the window

double interval_for(const LossLayout& layout, std::size_t points) {
  const auto size = static_cast<double>(points);
  double interval = (layout.high - layout.low) / (size - 4.0);
  for (const LossRange& range : layout.ranges) {
    interval = std::max(interval, (range.high - range.low) / (kRangePoints * size));
  }
  return interval;
}

// Tilts one step's masses into the cyclic array, scaled to sum to 1; returns the log of the scale,
// and through `log_shifted` the log moment at layout.order.
double tilt_into(const LossGrid& grid, double interval, const LossLayout& layout,
                 std::vector<double>& cyclic, double& log_shifted) {
  const auto loss_at = [&](std::size_t i) {
    return static_cast<double>(grid.first + static_cast<std::int64_t>(i)) * interval;
  };
  const auto peak_at = [&](double t) {
    double peak = -kInfinity;
    for (const std::size_t i : {std::size_t{0}, grid.mass.size() - 1}) {
      peak = std::max(peak, t * loss_at(i));
    }
    for (std::size_t i = 0; i < grid.mass.size(); i += 64) {
      if (grid.mass[i] > 0.0) peak = std::max(peak, t * loss_at(i) + std::log(grid.mass[i]));
    }
    return peak;
  };
  const double peak = peak_at(layout.tilt);
  const double shifted_peak = peak_at(layout.order);
  const auto points = static_cast<std::int64_t>(cyclic.size());
  double sum = 0.0;
  double shifted = 0.0;
  for (std::size_t i = 0; i < grid.mass.size(); ++i) {
    const double loss = loss_at(i);
    const double mass = grid.mass[i] * std::exp(layout.tilt * loss - peak);
    const auto k = (grid.first + static_cast<std::int64_t>(i)) % points;
    cyclic[static_cast<std::size_t>(k < 0 ? k + points : k)] += mass;
    sum += mass;
    shifted += grid.mass[i] * std::exp(layout.order * loss - shifted_peak);
  }
  for (double& mass : cyclic) mass /= sum;
  log_shifted = shifted_peak + std::log(shifted);
  return peak + std::log(sum);
}

} // namespace

// A factor's transform is off by some 1e-16 a stage, and its T-th power by T times as much.
double rounding_bound(double steps) { return 1e-15 * (64.0 + steps); }

Result<LossSum> LossSum::create(std::span<const LossGroup> groups, const LossLayout& layout,
                                std::size_t points) {
  // Overflow in a layout, and NaN later on, come of noise that no double can tell from none.
  const auto out_of_range = [] {
    return Error{
        ErrorCode::kUnsupported,
        "privacy losses of this size can't be composed; the noise is too small or too large"};
  };
  if (!std::isfinite(layout.tilt + layout.order + layout.low + layout.high) ||
      layout.low >= layout.high) {
    return out_of_range();
  }
  LossSum out;
  const RealFft fft = COPPICE_TRY(RealFft::create(points));
  out.interval_ = interval_for(layout, points);
  out.tilt_ = layout.tilt;
  out.first_ = static_cast<std::int64_t>(std::floor(layout.low / out.interval_));
  double log_shifted = 0.0;
  Spectrum product;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const LossGroup& group = groups[g];
    const LossGrid grid = discretize_losses(group.step, out.interval_, layout.ranges[g]);
    const auto times = static_cast<double>(group.steps);
    std::vector<double> cyclic(points, 0.0);
    double group_shifted = 0.0;
    out.log_scale_ += times * tilt_into(grid, out.interval_, layout, cyclic, group_shifted);
    log_shifted += times * group_shifted;
    out.left_out_ += times * grid.infinite;
    Spectrum spectrum = fft.forward(cyclic);
    power(spectrum, group.steps);
    if (product.re.empty()) {
      product = std::move(spectrum);
    } else {
      multiply(product, spectrum);
    }
  }
  const std::vector<double> cyclic = fft.inverse(product);
  const auto size = static_cast<std::int64_t>(points);
  const std::int64_t start = ((out.first_ % size) + size) % size;
  out.mass_.assign(cyclic.begin() + start, cyclic.end());
  out.mass_.insert(out.mass_.end(), cyclic.begin(), cyclic.begin() + start);
  // Chernoff, on the discretized losses: P(loss >= end) <= E exp(t (loss - end)).
  const double end = out.loss(size);
  out.left_out_ += std::exp(std::min(0.0, log_shifted - layout.order * end));
  out.rounding_ = rounding_bound(total_steps(groups));
  if (!std::isfinite(out.log_scale_ + out.left_out_ + out.mass_[0])) return out_of_range();
  return out;
}

// delta(e) = sum over losses l > e of (1 - exp(e - l)) P(l), from the top down: `above` is the sum
// of P, and `discounted` that of exp(e - l) P with e the line that was reached.
double LossSum::delta(double epsilon) const {
  const double decay = std::exp(-interval_);
  double above = 0.0;
  double discounted = 0.0;
  auto i = static_cast<std::int64_t>(mass_.size()) - 1;
  for (; i >= 0 && loss(i) > epsilon; --i) {
    const double p = untilted(i);
    above += p;
    discounted = discounted * decay + p; // now seen from loss(i)
  }
  const double lowest = loss(i + 1);
  const double seen = discounted == 0.0 ? 0.0 : std::exp(epsilon - lowest) * discounted;
  return std::clamp(above - seen + slack(std::max(epsilon, loss(0))), 0.0, 1.0);
}

double LossSum::epsilon(double delta) const {
  const double end = loss(static_cast<std::int64_t>(mass_.size()));
  if (slack(std::max(end, 0.0)) > delta) return kInfinity; // and no larger epsilon does better
  const double decay = std::exp(-interval_);
  double above = 0.0;
  double discounted = 0.0; // seen from the line above i
  for (auto i = static_cast<std::int64_t>(mass_.size()) - 1; i >= 0; --i) {
    const double line = loss(i);
    const double allowed = delta - slack(std::max(line, 0.0));
    if (above - decay * discounted > allowed) {
      // Crossed between line i and the one above: above - exp(e - line) decay discounted = allowed.
      return allowed < 0.0 || discounted <= 0.0
                 ? std::max(0.0, line + interval_)
                 : std::max(0.0, line + std::min(interval_, std::log((above - allowed) /
                                                                     (decay * discounted))));
    }
    if (line <= 0.0) return 0.0;
    const double p = untilted(i);
    above += p;
    discounted = discounted * decay + p;
  }
  return std::max(0.0, loss(0));
}

} // namespace coppice
