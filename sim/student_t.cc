// SPDX-License-Identifier: Apache-2.0
#include "sim/student_t.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "base/result.h"

namespace coppice {
namespace {

constexpr double kPrecision = 1e-15;
constexpr int kMostTerms = 10'000; // a few dozen do for the degrees of real comparisons
constexpr int kBisections = 200;   // halves any bracket of doubles down to neighbours

// The continued fraction of I_x(a, b); converges fast for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300; // instead of a division by zero
  const auto kept = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / kept(1 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int m = 1; m < kMostTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / kept(1 + even * d);
    c = kept(1 + even / c);
    fraction *= c * d;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / kept(1 + odd * d);
    c = kept(1 + odd / c);
    fraction *= c * d;
    if (std::abs(c * d - 1) < kPrecision) break;
  }
  return fraction;
}

// I_x(a, b). `y` is 1 - x, given beside it because it may be far smaller than an ulp of x.
double regularized_beta(double a, double b, double x, double y) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log(y));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, y) / b;
}

// P(T > t) for t >= 0: without the cancellation of 1 - P(T <= t).
double upper_tail(double t, double degrees) {
  if (std::isinf(degrees)) return std::erfc(t / std::numbers::sqrt2) / 2;
  const double sum = degrees + t * t;
  return regularized_beta(degrees / 2, 0.5, degrees / sum, t * t / sum) / 2;
}

} // namespace

double student_t_cdf(double t, double degrees) {
  COPPICE_CHECK(degrees > 0);
  return t < 0 ? upper_tail(-t, degrees) : 1 - upper_tail(t, degrees);
}

double student_t_quantile(double p, double degrees) {
  COPPICE_CHECK(p > 0 && p < 1 && degrees > 0);
  if (p < 0.5) return -student_t_quantile(1 - p, degrees);
  const double tail = 1 - p;
  double low = 0;
  double high = 1;
  while (upper_tail(high, degrees) > tail && high < std::numeric_limits<double>::max() / 2) {
    low = high;
    high *= 2;
  }
  for (int i = 0; i < kBisections; ++i) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (upper_tail(middle, degrees) > tail ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

} // namespace coppice
