// SPDX-License-Identifier: Apache-2.0
// Are counts those of equally likely outcomes?
#pragma once

#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>

namespace coppice {

// Pearson's chi-square against the uniform distribution, as standard deviations of a normal: by
// Wilson and Hilferty's cube root (1931), good to a few per cent of the tail from 1 degree up.
inline double chi_square_deviations(std::span<const std::uint64_t> counts) {
  const double all =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
  const double expected = all / static_cast<double>(counts.size());
  double statistic = 0;
  for (const std::uint64_t count : counts) {
    const double off = static_cast<double>(count) - expected;
    statistic += off * off / expected;
  }
  const double freedom = static_cast<double>(counts.size()) - 1;
  const double spread = 2 / (9 * freedom);
  return (std::cbrt(statistic / freedom) - (1 - spread)) / std::sqrt(spread);
}

// Exceeded by chance once in 30,000 tests. Seeds are fixed: a test passes always or never.
inline constexpr double kChiSquareBound = 4.0;

} // namespace coppice
