// SPDX-License-Identifier: Apache-2.0
// Means over seeds with their 95 % confidence intervals, and the same of differences of pairs.
//
// An interval is the mean +- t(0.975, n - 1) s / sqrt(n), Student's t, s with n - 1 (Student, The
// Probable Error of a Mean, Biometrika 1908). It holds if values, or differences, are independent
// and about normal; each interval stands for itself, without a correction for how many are looked
// at. Two runs that share seed, cohorts and text differ by far less than two that don't, which is
// why pairs are subtracted first. Values that aren't finite are left out, of pairs both. Pure.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

namespace coppice {

struct MeanInterval {
  std::size_t count = 0;   // of values that were finite
  double mean = NAN;       // without values
  double half_width = NAN; // with fewer than two: one value says nothing of its spread
  double low() const { return mean - half_width; }
  double high() const { return mean + half_width; }
  // False where there is no interval.
  bool excludes(double value) const { return low() > value || high() < value; }
};

MeanInterval mean_interval(std::span<const double> values);
// Of values[i] - reference[i]. Both of one length.
MeanInterval paired_difference(std::span<const double> values, std::span<const double> reference);

} // namespace coppice
