// SPDX-License-Identifier: Apache-2.0
// Poisson and Skellam noise on the integers, without floating point, in constant expected time.
//
// The Skellam distribution is closed under sums, so what n devices add together is noise of n times
// the variance, of the very same kind (Agarwal, Kairouz, Liu, "The Skellam mechanism for
// differentially private federated learning", NeurIPS 2021).
//
// One draw is within 2^-101 (Skellam; Poisson 2^-102) of its distribution in statistical distance:
// for N draws in all, whatever delta an accountant computed grows by at most N (1 + e^epsilon)
// 2^-101, which is below 2^-54 for 2^38 draws at epsilon 6. The distance comes from tails beyond 13
// standard deviations that are cut off (Note [Poisson by thinning]) and, below a rate of 2048, from
// a table of 115 bits (Note [Poisson by table]); all else is exact, given uniform bytes.
//
// Time and the bytes read depend on what is drawn, and so do the table's addresses; see
// privacy/discrete_noise.h. Thread-safe on different RandomBits.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "privacy/exact_coins.h"

namespace coppice {

class PoissonSampler {
 public:
  // Rate (mean and variance) `twice` / 2. kInvalidArgument unless 0 < twice <= 2^41, and even from
  // kTableLimit on.
  static constexpr std::uint64_t kTableLimit = 4096;
  static Result<PoissonSampler> create(std::uint64_t twice);
  std::uint64_t sample(RandomBits& bits) const;

 private:
  explicit PoissonSampler(std::uint64_t twice);
  void build_table(std::uint64_t twice);
  std::uint64_t sample_table(RandomBits& bits) const;
  std::uint64_t sample_large(RandomBits& bits) const;

  // A small rate: cumulative weights of first_, first_ + 1, ...; empty for a large one.
  std::uint64_t first_ = 0;
  std::vector<Wide> cumulative_;
  unsigned total_bits_ = 0; // of the last
  // A large rate.
  std::uint64_t rate_ = 0;
  std::uint64_t cut_ = 0;    // J of the note
  std::uint64_t spread_ = 0; // V
  std::uint64_t scale_ = 0;  // t
};

// The difference of two Poisson draws of rate `variance` / 2: mean 0, P(k) = exp(-variance)
// I_k(variance) with the modified Bessel function I_k.
class SkellamSampler {
 public:
  // kInvalidArgument unless 0 < variance <= 2^41.
  static Result<SkellamSampler> create(std::uint64_t variance);
  std::int64_t sample(RandomBits& bits) const; // below 2^26 in magnitude
  std::uint64_t variance() const { return variance_; }

 private:
  SkellamSampler(std::uint64_t variance, PoissonSampler whole, std::vector<PoissonSampler> half)
      : variance_(variance), whole_(std::move(whole)), half_(std::move(half)) {}
  std::uint64_t variance_;
  PoissonSampler whole_;
  std::vector<PoissonSampler> half_; // of rate 1/2, where the variance is large and odd
};

} // namespace coppice
