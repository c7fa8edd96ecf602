// SPDX-License-Identifier: Apache-2.0
#include "privacy/discrete_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/text.h"

namespace coppice {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kTwoPiSquared = 2.0 * std::numbers::pi * std::numbers::pi;
constexpr double kMinShareVariance = 0.25;
constexpr double kSlackForRoundedBounds = 1.0 + 1e-9; // sensitivities come out of square roots

Error wrong(const char* field, double value, const char* rule) {
  return Error{ErrorCode::kInvalidArgument,
               cat("the ", field, " of a noised vector is ", value, "; it must ", rule)};
}

// Terms grow with k towards exp(-2 pi^2 v), so a sum to a million is cut where they are all alike.
double share_distance(double share_variance, std::uint64_t shares) {
  constexpr std::uint64_t kSummed = 4096;
  double sum = 0.0;
  for (std::uint64_t k = 1; k < std::min(shares, kSummed); ++k) {
    const auto at = static_cast<double>(k);
    sum += std::exp(-kTwoPiSquared * share_variance * at / (at + 1.0));
  }
  if (shares > kSummed) {
    const double ratio = static_cast<double>(kSummed) / static_cast<double>(kSummed + 1);
    sum +=
        static_cast<double>(shares - kSummed) * std::exp(-kTwoPiSquared * share_variance * ratio);
  }
  return 10.0 * sum;
}

} // namespace

Result<void> check_noised_vector(const NoisedVector& vector) {
  const auto& [variance, l2, l1, dimension] = vector;
  if (!(variance >= 0.0)) return wrong("variance", variance, "not be negative");
  if (!(l2 >= 0.0 && std::isfinite(l2))) return wrong("L2 sensitivity", l2, "be 0 or more");
  if (!(l1 >= 0.0 && std::isfinite(l1))) return wrong("L1 sensitivity", l1, "be 0 or more");
  if (dimension == 0) return wrong("dimension", 0.0, "be at least 1");
  if (l1 * kSlackForRoundedBounds < l2) return wrong("L1 sensitivity", l1, "reach the L2 one");
  return {};
}

double l1_sensitivity_bound(double l2_sensitivity, std::uint64_t dimension) {
  return l2_sensitivity * std::min(l2_sensitivity, std::sqrt(static_cast<double>(dimension)));
}

double discrete_gaussian_rdp(const NoisedVector& vector, double order) {
  if (vector.l2_sensitivity == 0.0) return 0.0;
  return order * vector.l2_sensitivity * vector.l2_sensitivity / (2.0 * vector.variance);
}

// With e <= 2.000001 exp(-2 pi^2 s), log((1 + e) / (1 - e)) <= 2.000001 e <= 4.1 exp(-2 pi^2 s).
double smoothing_variance(std::uint64_t dimension) {
  return std::log(4.1 * static_cast<double>(dimension) / kSmoothingSlack) / kTwoPiSquared;
}

double continuous_noise_multiplier(const NoisedVector& vector) {
  if (vector.l2_sensitivity == 0.0) return kInfinity;
  const double left = vector.variance - smoothing_variance(vector.dimension);
  return left > 0.0 ? std::sqrt(left) / vector.l2_sensitivity : 0.0;
}

double discrete_gaussian_variance(double noise_multiplier, double l2_sensitivity,
                                  std::uint64_t dimension) {
  const double deviation = noise_multiplier * l2_sensitivity;
  return deviation * deviation + smoothing_variance(dimension);
}

double discrete_gaussian_sum_rdp(const NoisedVector& vector, std::uint64_t shares, double order) {
  const auto& [variance, l2, l1, dimension] = vector;
  if (l2 == 0.0) return 0.0;
  const double share_variance = variance / static_cast<double>(shares);
  if (!(share_variance >= kMinShareVariance)) return kInfinity;
  const double tau = share_distance(share_variance, shares);
  const auto d = static_cast<double>(dimension);
  const double scaled = l2 / std::sqrt(variance);
  const double added = order * scaled * scaled / 2.0 + tau * d;
  const double crossed =
      order / 2.0 * (scaled * scaled + 2.0 * l1 / std::sqrt(variance) * tau + tau * tau * d);
  const double together = scaled + tau * std::sqrt(d);
  return std::min({added, crossed, order / 2.0 * together * together});
}

double skellam_rdp(const NoisedVector& vector, double order) {
  const auto& [variance, l2, l1, dimension] = vector;
  if (l2 == 0.0) return 0.0;
  if (variance == 0.0) return kInfinity;
  const double a = std::max(2.0, std::ceil(order));
  const double quadratic = ((2.0 * a - 1.0) * l2 * l2 + 6.0 * l1) / (4.0 * variance * variance);
  return a * l2 * l2 / (2.0 * variance) + std::min(quadratic, 3.0 * l1 / (2.0 * variance));
}

double banded_sensitivity(double column_norm, std::uint64_t participations, double per_round) {
  return std::sqrt(static_cast<double>(participations)) * column_norm * per_round;
}

} // namespace coppice
