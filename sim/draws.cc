// SPDX-License-Identifier: Apache-2.0
#include "sim/draws.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace coppice {
namespace {

// ln 2 in two parts: `kLn2High` times an exponent is exact.
constexpr double kLn2High = 0x1.62e42feep-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;

// In (0, 1]: its logarithm is finite.
double positive_uniform(KeyedRandom& random) { return 1.0 - random.uniform_double(); }

} // namespace

// x = m 2^e with m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh(s), s = (m - 1) / (m + 1), |s| < 0.172:
// the series' first left-out term is below 2^-60 of the sum.
double portable_log(double x) {
  COPPICE_CHECK(x > 0 && std::isfinite(x));
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < std::numbers::sqrt2 / 2) {
    m *= 2;
    --exponent;
  }
  const double s = (m - 1) / (m + 1);
  const double square = s * s;
  double series = 0;
  for (int k = 23; k >= 3; k -= 2) series = (series + 1.0 / k) * square;
  const double e = exponent;
  return e * kLn2High + (2 * s + (2 * s * series + e * kLn2Low));
}

// x = k ln 2 + r with |r| <= 0.35: the Taylor series up to r^14 leaves less than 2^-60.
double portable_exp(double x) {
  COPPICE_CHECK(x <= 709);
  if (x < -708) return 0;
  const double k = std::floor(x / std::numbers::ln2 + 0.5);
  const double r = (x - k * kLn2High) - k * kLn2Low;
  double series = 1;
  for (int n = 14; n >= 1; --n) series = 1 + series * r / n;
  return std::ldexp(series, static_cast<int>(k));
}

double draw_normal(KeyedRandom& random) {
  for (;;) {
    const double x = 2 * random.uniform_double() - 1;
    const double y = 2 * random.uniform_double() - 1;
    const double square = x * x + y * y;
    if (square > 0 && square < 1) return x * std::sqrt(-2 * portable_log(square) / square);
  }
}

double draw_log_gamma(KeyedRandom& random, double shape) {
  COPPICE_CHECK(shape > 0);
  if (shape < 1) {
    const double boost = portable_log(positive_uniform(random)) / shape;
    return draw_log_gamma(random, shape + 1) + boost;
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = draw_normal(random);
    const double root = 1 + c * x;
    if (root <= 0) continue;
    const double log_v = 3 * portable_log(root);
    const double v = root * root * root;
    const double log_u = portable_log(positive_uniform(random));
    if (log_u < 0.5 * x * x + d - d * v + d * log_v) return portable_log(d) + log_v;
  }
}

std::vector<double> draw_dirichlet(KeyedRandom& random, std::span<const double> alphas) {
  std::vector<double> shares;
  shares.reserve(alphas.size());
  for (const double alpha : alphas) shares.push_back(draw_log_gamma(random, alpha));
  const double largest = std::ranges::max(shares);
  double sum = 0;
  for (double& share : shares) sum += share = portable_exp(share - largest);
  for (double& share : shares) share /= sum;
  return shares;
}

} // namespace coppice
