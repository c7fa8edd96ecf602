// SPDX-License-Identifier: Apache-2.0
#include "privacy/gaussian_curve.h"

#include <cmath>
#include <numbers>

#include "base/text.h"
#include "privacy/normal.h"

namespace coppice {
namespace {

constexpr double kRelativeStep = 0x1p-40;

Result<void> check_delta(double delta) {
  if (delta > 0.0 && delta < 1.0) return {};
  return Error{ErrorCode::kInvalidArgument,
               cat("delta is ", delta, "; it must lie strictly between 0 and 1")};
}

// The smallest x > 0 with ok(x), where ok turns from false to true once; from above.
template <typename Ok>
double smallest_from_above(const Ok& ok) {
  double high = 1.0;
  while (!ok(high)) high *= 2.0;
  double low = 0.5 * high;
  while (low > 0.0 && ok(low)) {
    high = low;
    low *= 0.5;
  }
  while (high - low > kRelativeStep * high) {
    const double middle = low + 0.5 * (high - low);
    (ok(middle) ? high : low) = middle;
  }
  return high;
}

} // namespace

// With a = epsilon / mu + mu / 2 and b = epsilon / mu - mu / 2, exp(epsilon) phi(a) = phi(b), so
// exp(epsilon) P(N > a) = exp(-b^2 / 2) scaled_erfc(a / sqrt 2) / 2 neither over- nor underflows
// before delta itself does.
double gaussian_delta(double epsilon, double mu) {
  if (mu == 0.0) return 0.0;
  const double above = (epsilon / mu + mu / 2.0) / std::numbers::sqrt2;
  const double below = (epsilon / mu - mu / 2.0) / std::numbers::sqrt2;
  const double weight = 0.5 * std::exp(-below * below);
  if (below < 0.0) return 0.5 * std::erfc(below) - weight * scaled_erfc(above);
  return weight * (scaled_erfc(below) - scaled_erfc(above));
}

Result<double> gaussian_epsilon(double delta, double mu) {
  COPPICE_TRY(check_delta(delta));
  if (!std::isfinite(mu) || mu < 0.0) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("sensitivity over noise is ", mu, "; it must be finite and not negative")};
  }
  if (gaussian_delta(0.0, mu) <= delta) return 0.0;
  return smallest_from_above([&](double epsilon) { return gaussian_delta(epsilon, mu) <= delta; });
}

Result<double> gaussian_sigma(double epsilon, double delta) {
  COPPICE_TRY(check_delta(delta));
  if (!std::isfinite(epsilon) || epsilon <= 0.0) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("epsilon is ", epsilon, "; it must be finite and above 0")};
  }
  return smallest_from_above(
      [&](double sigma) { return gaussian_delta(epsilon, 1.0 / sigma) <= delta; });
}

} // namespace coppice
