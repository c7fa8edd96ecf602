// SPDX-License-Identifier: Apache-2.0
#include "privacy/loss_layout.h"

#include <algorithm>
#include <limits>

namespace coppice {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// What is neglected on purpose: all of it is added to delta or counted twice. Tails relative to
// delta; the rest relative to the tilted mass, of which delta may be a small part.
constexpr double kNeglect = 1e-6;
constexpr double kLogNeglect = 14.0;
constexpr double kTiltedNeglect = 1e-9;
constexpr double kLogTiltedNeglect = 20.0;
constexpr double kOrderReach = 16.0;
constexpr double kOrderSpan = 1e-6;

// The standard deviation of all losses together, estimated.
double sketched_deviation(std::span<const LossGroup> groups) {
  double variance = 0.0;
  for (const LossGroup& group : groups) {
    const auto& [loss, log_mass] = group.sketch;
    double first = 0.0;
    double second = 0.0;
    for (std::size_t i = 0; i < loss.size(); ++i) {
      const double mass = std::exp(log_mass[i]);
      first += mass * loss[i];
      second += mass * loss[i] * loss[i];
    }
    variance += static_cast<double>(group.steps) * std::max(0.0, second - first * first);
  }
  return std::sqrt(variance);
}

// Below it, one step's losses carry so little of the tilted mass that they may count as it.
double low_cut(const LossGroup& group, double tilt, double share) {
  const auto& [loss, log_mass] = group.sketch;
  double peak = -kInfinity;
  for (std::size_t i = 0; i < loss.size(); ++i) peak = std::max(peak, log_mass[i] + tilt * loss[i]);
  const bool rising = loss.front() < loss.back();
  double below = 0.0;
  for (std::size_t k = 0; k < loss.size(); ++k) {
    const std::size_t i = rising ? k : loss.size() - 1 - k;
    below += std::exp(log_mass[i]);
    if (below * std::exp(tilt * loss[i] - peak) > share) return loss[i];
  }
  return loss[rising ? 0 : loss.size() - 1];
}

} // namespace

double total_steps(std::span<const LossGroup> groups) {
  double steps = 0.0;
  for (const LossGroup& group : groups) steps += static_cast<double>(group.steps);
  return steps;
}

void sketch_groups(std::vector<LossGroup>& groups, double delta) {
  const double tail = std::min(0.01, delta * kNeglect) / total_steps(groups);
  for (LossGroup& group : groups) group.sketch = sketch_losses(group.step, tail);
}

double sketched_log_moment(std::span<const LossGroup> groups, double order) {
  double total = 0.0;
  for (const LossGroup& group : groups) {
    double peak = -kInfinity;
    const auto& [loss, log_mass] = group.sketch;
    for (std::size_t i = 0; i < loss.size(); ++i)
      peak = std::max(peak, log_mass[i] + order * loss[i]);
    double sum = 0.0;
    for (std::size_t i = 0; i < loss.size(); ++i) {
      sum += std::exp(log_mass[i] + order * loss[i] - peak);
    }
    total += static_cast<double>(group.steps) * (peak + std::log(sum));
  }
  return total;
}

LossLayout lay_out_losses(std::span<const LossGroup> groups, double tilt, double epsilon,
                          double log_delta) {
  const auto moment = [&](double t) { return sketched_log_moment(groups, t); };
  LossLayout layout{};
  layout.tilt = tilt;
  const double at_tilt = moment(tilt);
  const auto top = [&](double t) { return (moment(t) - log_delta + kLogNeglect) / t; };
  // Beyond a few times the natural scale the grid's own coarseness would spoil the bound.
  const double reach = kOrderReach * std::max(tilt, 1.0 / sketched_deviation(groups));
  layout.order = minimize_over_logs(reach * kOrderSpan, reach, top);
  layout.high = top(layout.order);
  // Both tails may be amplified when they wrap, so that they are measured against delta.
  const double near = kLogNeglect + at_tilt - log_delta;
  const double log_top = std::max(kLogTiltedNeglect, near - tilt * epsilon);
  const double log_low = std::max(kLogTiltedNeglect, near - tilt * layout.high);
  const auto tilted_top = [&](double s) { return (moment(tilt + s) - at_tilt + log_top) / s; };
  const auto tilted_low = [&](double s) { return (moment(tilt - s) - at_tilt + log_low) / s; };
  layout.low = -tilted_low(minimize_over_logs(reach * kOrderSpan, reach, tilted_low));
  const double wrapped = tilted_top(minimize_over_logs(reach * kOrderSpan, reach, tilted_top)) -
                         std::max(layout.low, epsilon);
  layout.high = std::max(layout.high, layout.low + wrapped);
  const double steps = total_steps(groups);
  for (const LossGroup& group : groups) {
    LossRange range =
        loss_range(group.step, std::min(0.01, std::exp(log_delta) * kNeglect) / steps);
    range.low =
        std::min(std::max(range.low, low_cut(group, tilt, kTiltedNeglect / steps)), range.high);
    layout.ranges.push_back(range);
  }
  return layout;
}

} // namespace coppice
