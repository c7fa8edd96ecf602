// SPDX-License-Identifier: Apache-2.0
// What rounds of Poisson-sampled Gaussian noise cost together, from their privacy loss
// distributions: the (epsilon, delta) that is published. Add or remove one, the worse of the two.
//
// Never optimistic: losses are discretized upwards (privacy/loss_grid.h), truncated tails and what
// could wrap around the transform are added to delta, and so is a bound on rounding
// (privacy/loss_sum.h). Too large by less than 1e-4 of epsilon in every case tried with up to 10^5
// steps, sampling rates from 10^-3 and z from 0.3; beyond that, and for deltas below some 1e-12 of
// rarely drawn people, it stays a bound.
// Each question gets its own grid: 2^16 points, from 4,300 steps on 2^17, from 17,000 on 2^18, over
// the losses that matter at that delta, so that intervals are some 1e-5 to 1e-3. 10 to 45 ms for
// one group, less for each further one. Real-valued noise; at sampling rate 1 alone,
// privacy/gaussian_curve.h is exact. Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"

namespace coppice {

// `steps` rounds of one kind. Everybody is drawn into each round independently, at the same rate.
struct SampledGaussian {
  double noise_multiplier; // standard deviation over L2 sensitivity
  double sampling_rate;
  std::uint64_t steps;
};

inline constexpr std::uint64_t kMaxPldSteps = 100'000'000;

// The smallest epsilon >= 0 shown for `delta`; infinity where a group has no noise, 0 where nothing
// was spent. kInvalidArgument unless 0 < delta < 1, noise multipliers are not negative, rates lie
// in [0, 1]; kTooLarge above kMaxPldSteps steps in all; kUnsupported where losses overflow.
Result<double> pld_epsilon(std::span<const SampledGaussian> groups, double delta);

// The smallest delta shown for `epsilon` >= 0; 1 where a group has no noise. Errors alike.
Result<double> pld_delta(std::span<const SampledGaussian> groups, double epsilon);

} // namespace coppice
