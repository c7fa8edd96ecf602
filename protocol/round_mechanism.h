// SPDX-License-Identifier: Apache-2.0
// What a plan's round costs, as the accountant sees it.
//
// Pure; thread-safe.
#pragma once

#include <functional>

#include "privacy/accountant.h"
#include "privacy/banded_noise.h"
#include "protocol/round_plan.h"

namespace coppice {

// Of a plan with noise that passes check_noise() (checked). With banded noise it is the whole
// series of rounds that the plan belongs to, whatever its length.
Mechanism mechanism_of(const RoundPlan& plan);

// The coefficients of a plan's banded noise: one a round of its min_separation, as fine as the
// sampler can take at its deltas' variance (banded_noise.h).
Result<BandedCoefficients> banded_coefficients_of(const RoundPlan& plan);

// What a fleet wants to afford: so many plans of one kind (with banded noise, series).
struct NoiseTarget {
  double epsilon;
  double delta;
  std::uint64_t times;
};
// The plan with the least noise whose mechanism meets the target, among those that `plan_with`
// makes for noise multipliers from `start` on: what the continuous Gaussian would need, and
// integers, metrics and shares take more. The multiplier is exact to 10^-4 of itself, and better
// where that would be worth another round. kInvalidArgument if there is none, and plan_with's
// errors, of a ring too small for instance.
Result<RoundPlan> least_noise(const std::function<Result<RoundPlan>(double)>& plan_with,
                              double start, const NoiseTarget& target);

} // namespace coppice
