// SPDX-License-Identifier: Apache-2.0
// The clip norm that follows a quantile of the updates' norms, from one noised metric.
//
// (Andrew, Thakkar, McMahan, Ramaswamy, "Differentially private learning with adaptive clipping",
// NeurIPS 2021, section 2 and theorem 1.) Each device says by one bit whether its update's norm was
// within the clip; the noised share of those moves the clip of the next round.
//
// The bit travels as +1 (within) or -1 (clipped), in a metric slot of its own: b - 1/2 of the paper
// in units of 1/2, so that a device that comes or goes moves the sum by 1, and noise of deviation
// sigma_b on the count of bits is one of 2 sigma_b on this sum.
//
// Pure functions, in double; thread-safe. The aggregator alone computes them, and the plan carries
// the result, so machines need not agree on the last bit of exp.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace coppice {

struct AdaptiveClip {
  double quantile = 0.5; // gamma: the share of updates that shall be within the clip
  double learning_rate =
      0.2;             // eta: in one round the norm moves by a factor of exp(eta) at the most
  double least = 1e-6; // bounds on the norm
  double most = 1e6;
  // kInvalidArgument unless 0 < quantile < 1, 0 < learning_rate <= 10 and 0 < least <= most, all
  // finite.
  Result<void> validate() const;
};

// The share of a cohort that was within the clip, from the noised sum of +1 and -1: (1 + sum / n) /
// 2, put into [0, 1], where noise may have left it. `cohort` is the plan's expected number, never
// the actual one. kInvalidArgument for a cohort of 0.
Result<double> share_within(std::int64_t noised_sum, std::uint64_t cohort);

// C exp(-eta (share - gamma)), put into [least, most]. kInvalidArgument unless `clip` is finite and
// positive, 0 <= share <= 1, and the settings are valid.
Result<double> next_clip(double clip, double share, const AdaptiveClip& settings);

// What noise multiplier the updates must have so that they and the bits together (noise sigma_b on
// the count, cohort / 20 in the paper) are as private as a multiplier z on the updates alone:
//   z_delta = (z^-2 - (2 sigma_b)^-2)^(-1/2).
// kInvalidArgument unless both are finite, positive and 2 sigma_b > z: with less noise than that
// the bits alone spend more.
Result<double> noise_multiplier_beside_bits(double z, double sigma_b);

} // namespace coppice
