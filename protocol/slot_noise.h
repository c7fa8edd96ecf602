// SPDX-License-Identifier: Apache-2.0
// A plan's noise added to the elements of its slots: by a device to its own, or to the sum.
//
// The bytes come from the system and nowhere else: real noise can't be repeated. Thread-safe on
// different elements.
#pragma once

#include <span>

#include "privacy/banded_noise.h"
#include "protocol/round_plan.h"

namespace coppice {

// Independent draws of each slot's noise_variance, modulo its ring: Skellam under plans of that
// kind, else discrete Gaussian. Nothing without noise. kInvalidArgument: a variance that no sampler
// takes.
Result<void> add_slot_noise(const RoundPlan& plan, std::span<std::uint32_t> elements);

// Under plans with banded noise: the delta slots get the series' next noise, and `series` is then
// that of the next round; the other slots are as above.
Result<void> add_banded_noise(const RoundPlan& plan, BandedNoise& series,
                              std::span<std::uint32_t> elements);

} // namespace coppice
