// SPDX-License-Identifier: Apache-2.0
#include "privacy/skellam.h"

#include <algorithm>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::uint64_t kLargestTwice = std::uint64_t{1} << 41U;

// 2 for r, and one more for each tail of a fair coin: P(r) = 2^-(r - 1).
std::uint64_t sample_order(RandomBits& bits) {
  std::uint64_t order = 2;
  while (order < kEndless && bits.bit()) ++order;
  return order;
}

} // namespace

// Note [Poisson by thinning]
// For an integer rate m, P(m) = P(m - 1) are the two highest, and with a >= 0
//   P(m + a) / P(m)         = prod_{i=1..a} m / (m + i)  (right),
//   P(m - 1 - a) / P(m - 1) = prod_{i=1..a} (m - i) / m  (left).
// So a side is drawn by a fair coin, and `a` by rejection from the half of a discrete Gaussian
//   exp(-a (a + 1) / (2 V)) = prod_{i=1..a} exp(-i / V),  V = m + J,  J = 13 (floor(sqrt m) + 1),
// cut off after a = J. That half itself is rejected from exp(-a / t), t = floor(sqrt V) + 1: the
// square is completed at a + 1/2, which leaves exp(-((2 a + 1) t - 2 V)^2 / (8 V t^2)).
// With y = i / m on the left and i / (m + i) on the right, both factors are 1 - y, and
//   1 - y = exp(-i / V) exp(-(y - i / V)) exp(-h(y)),  h(y) = -log(1 - y) - y = sum_{r>=2} y^r / r.
// What is left to accept with has two parts, both at most 1 as y >= i / V for i <= J:
// 1. exp(-sum (y - i / V)). On the left y - i / V = i J / (m V), so the sum is
//    D = a (a + 1) J / (2 m V). On the right y - i / V = i (J - i) / ((m + i) V), which is i J / (m
//    V) times ((J - i) / J) (m / (m + i)): bernoulli_exp() of D times the coin that draws i from
//    1..a in proportion to i, then shows the product of these two biases.
// 2. exp(-sum h(y)). h(y) is (a / m)^2 times the bias of this coin: r >= 2 with probability
//    2^-(r-1), then (2 / r) (y m / a)^2 (2 y)^(r - 2), each at most 1 as y <= a / m <= J / m <=
//    1/2; the sum over i is a (a / m)^2 times that of a coin that draws i uniformly from 1..a.
// For rates from 2048 on, J / m <= 1/2, and both parts are 1 - O(m^-1/2): few draws are refused.
// The cut: P(X >= m + J) <= exp(-J^2 / (2 (m + J / 3))) and P(X <= m - J) <= exp(-J^2 / (2 m))
// (Bernstein), with J >= 13 sqrt m: together below 2^-109. Sizes: m <= 2^40 gives a <= J < 2^24, V
// < 2^41, t < 2^21, and every denominator below 2^87.
std::uint64_t PoissonSampler::sample_large(RandomBits& bits) const {
  const Wide rate = rate_;
  const Wide square = 8 * static_cast<Wide>(spread_) * scale_ * scale_;
  for (;;) {
    const std::uint64_t a = sample_geometric(bits, scale_);
    if (a > cut_) continue;
    const std::uint64_t reached = (2 * a + 1) * scale_;
    const Wide off = reached > 2 * spread_ ? reached - 2 * spread_ : 2 * spread_ - reached;
    if (!bernoulli_exp<Wide>(bits, off * off, square)) continue;
    const bool right = bits.bit();
    if (a == 0) return right ? rate_ : rate_ - 1;

    const auto spread_out = [&] {
      if (!right) return true;
      std::uint64_t i = bits.below(a) + 1; // in proportion to i: the larger half of pairs
      while (!bernoulli<std::uint64_t>(bits, i, a)) i = bits.below(a) + 1;
      return bernoulli<std::uint64_t>(bits, cut_ - i, cut_) &&
             bernoulli<std::uint64_t>(bits, rate_, rate_ + i);
    };
    const Wide drift = static_cast<Wide>(a) * (a + 1) * cut_;
    if (!bernoulli_exp<Wide>(bits, drift, 2 * rate * spread_, spread_out)) continue;

    const auto higher_order = [&] {
      const std::uint64_t i = bits.below(a) + 1;
      const std::uint64_t below_y = right ? rate_ + i : rate_;
      // (y m / a)^2: i / a, and m / (m + i) on the right, each twice
      for (int twice = 0; twice < 2; ++twice) {
        if (!bernoulli<std::uint64_t>(bits, i, a)) return false;
        if (!bernoulli<std::uint64_t>(bits, rate_, below_y)) return false;
      }
      const std::uint64_t order = sample_order(bits);
      for (std::uint64_t r = 2; r < order; ++r) {
        if (!bernoulli<std::uint64_t>(bits, 2 * i, below_y)) return false;
      }
      return bernoulli<std::uint64_t>(bits, 2, order);
    };
    if (!bernoulli_exp<Wide>(bits, static_cast<Wide>(a) * a * a, rate * rate, higher_order)) {
      continue;
    }
    return right ? rate_ + a : rate_ - 1 - a;
  }
}

// Note [Poisson by table]
// Weights w(k), not normalized: 2^115 at the mode floor(rate), and away from it each times the
// ratio of its probability to its neighbour's, rounded down, until that is 0. Ratios are at most 1,
// so s steps from the mode a weight is at most s too low; S steps out, where the true weight falls
// below S, the sum of all that follow is at most S + rate. Over both sides the weights are together
// less than S^2 + 2 (S + rate) too low, S < 600 for rates below 2048, in a total of at least 2^115
// sqrt(rate + 1): a statistical distance below 2^-102 (largest at the largest rate). A uniform
// integer below the total then picks exactly by weight.
void PoissonSampler::build_table(std::uint64_t twice) {
  const std::uint64_t mode = twice / 2;
  std::vector<Wide> left; // from mode - 1 down
  Wide weight = Wide{1} << 115U;
  for (std::uint64_t k = mode; k > 0; --k) { // P(k - 1) = P(k) k / rate
    weight = weight * (2 * k) / twice;
    if (weight == 0) break;
    left.push_back(weight);
  }
  first_ = mode - left.size();
  Wide sum = 0;
  std::reverse(left.begin(), left.end());
  for (const Wide below : left) cumulative_.push_back(sum += below);
  weight = Wide{1} << 115U;
  for (std::uint64_t k = mode; weight != 0; ++k) { // P(k + 1) = P(k) rate / (k + 1)
    cumulative_.push_back(sum += weight);
    weight = weight * twice / (2 * (k + 1));
  }
  while (sum >> total_bits_ != 0) ++total_bits_;
}

std::uint64_t PoissonSampler::sample_table(RandomBits& bits) const {
  const Wide mask = (Wide{1} << total_bits_) - 1;
  for (;;) {
    const std::uint64_t low = bits.take(8);
    const Wide drawn = (static_cast<Wide>(bits.take(8)) << 64U | low) & mask;
    const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), drawn);
    if (found == cumulative_.end()) continue; // at or above the total, less than half the time
    return first_ + static_cast<std::uint64_t>(found - cumulative_.begin());
  }
}

PoissonSampler::PoissonSampler(std::uint64_t twice) {
  if (twice < kTableLimit) {
    build_table(twice);
    return;
  }
  rate_ = twice / 2;
  cut_ = 13 * (integer_sqrt(rate_) + 1);
  spread_ = rate_ + cut_;
  scale_ = integer_sqrt(spread_) + 1;
}

Result<PoissonSampler> PoissonSampler::create(std::uint64_t twice) {
  if (twice == 0 || twice > kLargestTwice || (twice >= kTableLimit && twice % 2 != 0)) {
    return Error{ErrorCode::kInvalidArgument, cat("a Poisson rate of ", twice,
                                                  "/2; it must be positive, at most 2^40, and an "
                                                  "integer from ",
                                                  kTableLimit / 2, " on")};
  }
  return PoissonSampler(twice);
}

std::uint64_t PoissonSampler::sample(RandomBits& bits) const {
  return cumulative_.empty() ? sample_large(bits) : sample_table(bits);
}

Result<SkellamSampler> SkellamSampler::create(std::uint64_t variance) {
  if (variance == 0 || variance > kLargestTwice) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a Skellam variance of ", variance, "; it must be between 1 and 2^41")};
  }
  // Sums of Poisson draws are Poisson draws: a large odd variance is an even one, and one more.
  const bool split = variance >= PoissonSampler::kTableLimit && variance % 2 != 0;
  std::vector<PoissonSampler> half;
  if (split) half.push_back(COPPICE_TRY(PoissonSampler::create(1)));
  return SkellamSampler(variance, COPPICE_TRY(PoissonSampler::create(variance - (split ? 1 : 0))),
                        std::move(half));
}

std::int64_t SkellamSampler::sample(RandomBits& bits) const {
  const auto difference = [&bits](const PoissonSampler& poisson) {
    const auto up = static_cast<std::int64_t>(poisson.sample(bits));
    return up - static_cast<std::int64_t>(poisson.sample(bits));
  };
  std::int64_t value = difference(whole_);
  for (const PoissonSampler& poisson : half_) value += difference(poisson);
  return value;
}

} // namespace coppice
