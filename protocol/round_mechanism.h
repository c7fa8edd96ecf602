// SPDX-License-Identifier: Apache-2.0
// What a plan's round costs, as the accountant sees it.
//
// Pure; thread-safe.
#pragma once

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

} // namespace coppice
