// SPDX-License-Identifier: Apache-2.0
// What the rounds of a population cost together: the one place where an (epsilon, delta) is made.
//
// A round is a mechanism; a ledger's rounds are spends, and compose over everything that ran on the
// population, whatever its kind. Epsilon is the least of the bounds that are valid for the list:
// loss distributions (privacy/pld.h) where every round is discrete Gaussian noise well above one
// unit, Renyi orders for the rest, both with a divided delta for mixed lists. Add or remove one
// person, who may take part in every round that draws them. Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "privacy/discrete_bounds.h"

namespace coppice {

enum class MechanismKind {
  kNone,                        // nothing is promised: epsilon is infinite
  kDiscreteGaussian,            // one exact sampler, on the unmasked sum
  kDistributedSkellam,          // shares of the devices, added before masking
  kDistributedDiscreteGaussian, // likewise; `shares` of them are certain to be in the sum
  kBanded,                      // a whole series, correlated: C^-1 Z with Z discrete Gaussian
};

enum class Adversary {
  kRelease,    // whoever sees what is published
  kAggregator, // whoever runs the aggregator, too
};

// One round, or for kBanded one series, where variance and sensitivity are those of Z in its own
// units, and C x must be a whole number of them (Z on a finer grid, or C x rounded and the rounding
// counted in the sensitivity). Slots of one round are one mechanism, not several.
struct Mechanism {
  MechanismKind kind;
  Adversary adversary;        // against whom it is promised
  double sampling_rate = 1.0; // of each enrolled device, drawn independently, with over-selection
  std::uint64_t shares = 1;   // kDistributedDiscreteGaussian
  double column_norm = 1.0;   // kBanded: the L2 norm of the longest column of C
  std::uint64_t participations = 1;     // kBanded: at most, bands or more rounds apart
  std::vector<NoisedVector> slots = {}; // each with its own noise; kNone has none
};

struct Spend {
  Mechanism mechanism;
  std::uint64_t times;
};

// The sampling rate counts for central discrete Gaussian noise against the release adversary alone;
// everything else is accounted at rate 1. Noise that the aggregator adds promises nothing against
// itself: such a mechanism is refused. kInvalidArgument, and why, for a rate outside (0, 1], slots
// that check_noised_vector() refuses or that are missing, no shares or participations, or a column
// norm that isn't positive.
Result<void> check_mechanism(const Mechanism& mechanism);

// The smallest epsilon >= 0 shown for `delta` in (0, 1): 0 for no spends, infinity if a round had
// no noise. Errors of check_mechanism(), kInvalidArgument for delta, kTooLarge above 10^8 rounds.
Result<double> spent_epsilon(std::span<const Spend> spends, double delta);

// The smallest delta, at most 1, shown for `epsilon` >= 0. Errors alike.
Result<double> spent_delta(std::span<const Spend> spends, double epsilon);

// What a plan asks for: (epsilon, delta) over `rounds` rounds at one sampling rate.
struct PrivacyTarget {
  double epsilon;
  double delta;
  double sampling_rate;
  std::uint64_t rounds;
};

// The smallest noise multiplier, standard deviation over L2 sensitivity, of Poisson-sampled
// Gaussian noise that meets the target by loss distributions; rounded up by at most 1e-6 of itself.
// For the integer noise that is sampled, discrete_gaussian_variance() turns it into a variance.
// Some 15 times the time of pld_epsilon(); multipliers below 10^-3 are not told apart.
// kInvalidArgument for a target outside epsilon > 0, 0 < delta < 1, 0 < rate <= 1, rounds >= 1.
Result<double> noise_multiplier_for(const PrivacyTarget& target);

// Slots with multipliers z_i of their own, drawn in the same rounds, are one Gaussian of multiplier
// (sum z_i^-2)^(-1/2): infinity for none, 0 if one has no noise.
double combined_noise_multiplier(std::span<const double> multipliers);

} // namespace coppice
