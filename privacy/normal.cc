// SPDX-License-Identifier: Apache-2.0
#include "privacy/normal.h"

#include <cmath>
#include <numbers>

namespace coppice {
namespace {

// Above this, 16 terms of the asymptotic series are exact to 2^-52 (the 15th is 1.5e-16).
constexpr double kAsymptoticFrom = 8.0;
constexpr int kAsymptoticTerms = 16;

// 1 / (x sqrt(pi)) sum_k (-1)^k (2k - 1)!! / (2 x^2)^k (Abramowitz and Stegun 7.1.23).
double scaled_erfc_asymptotic(double x) {
  const double step = 1.0 / (2.0 * x * x);
  double sum = 0.0;
  double term = 1.0;
  for (int k = 0; k < kAsymptoticTerms; ++k) {
    sum += term;
    term *= -(2.0 * k + 1.0) * step;
  }
  return sum * std::numbers::inv_sqrtpi / x;
}

} // namespace

double normal_tail(double x) { return 0.5 * std::erfc(x / std::numbers::sqrt2); }

double scaled_erfc(double x) {
  if (x >= kAsymptoticFrom) return scaled_erfc_asymptotic(x);
  // The square's own rounding would cost up to 64 units in the last place of the exponential.
  const double square = x * x;
  const double rest = std::fma(x, x, -square);
  return std::exp(square) * (1.0 + rest) * std::erfc(x);
}

double log_scaled_erfc(double x) {
  if (x >= kAsymptoticFrom) return std::log(scaled_erfc_asymptotic(x));
  return x * x + std::log(std::erfc(x)); // erfc is between 1e-29 and 2 here
}

} // namespace coppice
