// SPDX-License-Identifier: Apache-2.0
// One and two steps of the sampled Gaussian without any grid: what the accountants are held
// against.
#pragma once

#include <cmath>
#include <numbers>

#include "privacy/loss_grid.h"
#include "privacy/normal.h"

namespace coppice {

// The hockey-stick divergence of (M, N0) or (N0, M) at any epsilon, negative ones too.
inline double exact_step_delta(const SampledStep& step, double epsilon) {
  const double q = step.sampling_rate;
  const double z = step.noise_multiplier;
  const bool removed = step.neighbour == Neighbour::kRemoved;
  const double growth = std::expm1(removed ? epsilon : -epsilon) / q;
  if (growth <= -1.0) return removed ? -std::expm1(epsilon) : 0.0;
  const double x = z * z * std::log1p(growth) + 0.5;
  if (removed) {
    return q * normal_tail((x - 1.0) / z) - (std::expm1(epsilon) + q) * normal_tail(x / z);
  }
  return (1.0 - std::exp(epsilon) * (1.0 - q)) * normal_tail(-x / z) -
         std::exp(epsilon) * q * normal_tail((1.0 - x) / z);
}

// delta_2(e) = E delta_1(e - loss): the trapezoid rule over the first step's noise, good to 1e-7;
// delta_1 bends within some q of log(1 - q), which the spacing has to resolve.
inline double exact_two_step_delta(const SampledStep& step, double epsilon) {
  const double q = step.sampling_rate;
  const double z = step.noise_multiplier;
  const bool removed = step.neighbour == Neighbour::kRemoved;
  const double spacing = z / 5000.0;
  double sum = 0.0;
  for (double x = -12.0 * z; x < 1.0 + 12.0 * z; x += spacing) {
    const double ratio = std::log1p(q * std::expm1((x - 0.5) / (z * z)));
    const double base = std::exp(-x * x / (2.0 * z * z)) / (z * std::sqrt(2.0 * std::numbers::pi));
    const double first = removed ? base * std::exp(ratio) : base;
    sum += spacing * first * exact_step_delta(step, epsilon - (removed ? ratio : -ratio));
  }
  return sum;
}

} // namespace coppice
