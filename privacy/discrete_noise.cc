// SPDX-License-Identifier: Apache-2.0
#include "privacy/discrete_noise.h"

#include <cmath>
#include <numeric>

#include "base/text.h"
#include "privacy/exact_coins.h"

namespace coppice {
namespace {

constexpr std::uint64_t kLargestPart = std::uint64_t{1} << 59U;
constexpr Wide kLargestProduct = Wide{1} << 118U;

} // namespace

Result<Ratio> variance_at_least(double variance) {
  if (!(variance > 0.0) || variance > 0x1p58) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a noise variance of ", variance, "; it must be above 0 and at most 2^58")};
  }
  const std::uint64_t den = variance < 0x1p38 ? std::uint64_t{1} << 20U : 1;
  // Scaling by a power of two is exact, and so is ceil.
  const double num = std::ceil(variance * static_cast<double>(den));
  return Ratio{static_cast<std::uint64_t>(num), den};
}

Result<DiscreteLaplace> DiscreteLaplace::create(std::uint64_t t, std::uint64_t s) {
  if (t == 0 || s == 0 || t >> 32U != 0 || s >> 32U != 0) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a Laplace scale of ", t, "/", s, "; both must be between 1 and 2^32 - 1")};
  }
  return DiscreteLaplace(t, s);
}

std::int64_t DiscreteLaplace::sample(RandomBits& bits) const {
  for (;;) {
    const auto size = static_cast<std::int64_t>(sample_geometric(bits, t_) / s_);
    const bool negative = bits.bit();
    if (negative && size == 0) continue; // or zero would come twice as often
    return negative ? -size : size;
  }
}

// Note [Gaussian from Laplace]
// With L = |k| and V = num / den, rejecting from exp(-L / t) leaves exp(-(L - V/t)^2 / (2 V)):
//   (L - V/t)^2 / (2 V) = (L t den - num)^2 / (2 num den t^2).
// The denominator is at most 2^119 by create(); the square fits 128 bits while L t den < 2^64.
// Larger L are refused, though they should be accepted, with probability at most exp(-480) each:
// num
// <= 2^59 makes off at least 31/32 of 2^64. That happens nowhere below 32 sigma, as (t den sigma)^2
// = num den t^2 <= 2^118, so L >= 2^64 / (t den) >= 2^5 sigma; and nowhere below 32 if sigma < 1,
// as then t = 1 and den <= 2^59. P(L >= 32 max(sigma, 1)) is below 2^-700.
Result<DiscreteGaussian> DiscreteGaussian::create(Ratio variance) {
  const auto refuse = [&](const char* why) {
    return Error{ErrorCode::kInvalidArgument, cat("a discrete Gaussian of variance ", variance.num,
                                                  "/", variance.den, ": ", why)};
  };
  if (variance.num == 0 || variance.den == 0) return refuse("both parts must be positive");
  const std::uint64_t divisor = std::gcd(variance.num, variance.den);
  const std::uint64_t num = variance.num / divisor;
  const std::uint64_t den = variance.den / divisor;
  if (num > kLargestPart || den > kLargestPart) {
    return refuse("both parts must be at most 2^59 after reduction");
  }
  const std::uint64_t t = integer_sqrt(num / den) + 1;
  // num den < 2^118 and t^2 < 2^60: the quotient is compared, as the product could wrap.
  if (static_cast<Wide>(num) * den > kLargestProduct / (static_cast<Wide>(t) * t)) {
    return refuse("too large or too fine for 128-bit arithmetic; round it up to fewer digits");
  }
  return DiscreteGaussian(num, den, t);
}

std::int64_t DiscreteGaussian::sample(RandomBits& bits) const {
  const Wide step = static_cast<Wide>(t_) * den_;
  const Wide denominator = 2 * step * t_ * num_;
  for (;;) {
    const std::uint64_t size = sample_geometric(bits, t_);
    const bool negative = bits.bit();
    if (negative && size == 0) continue;
    const Wide reached = step * size;
    if (reached >> 64U != 0) continue; // see Note [Gaussian from Laplace]
    const Wide off = reached > num_ ? reached - num_ : num_ - reached;
    if (!bernoulli_exp<Wide>(bits, off * off, denominator)) continue;
    const auto magnitude = static_cast<std::int64_t>(size);
    return negative ? -magnitude : magnitude;
  }
}

} // namespace coppice
