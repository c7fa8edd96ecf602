// SPDX-License-Identifier: Apache-2.0
// The learning rates of a recipe's steps: devices train by them, strategies divide by their sum.
//
// Pure; thread-safe.
#pragma once

#include "protocol/round_plan.h"

namespace coppice {

// The learning rate's factor at `step` of `steps` (0: unknown, then constant after the warm-up).
float schedule_factor(const Recipe& recipe, std::uint64_t step, std::uint64_t steps);

// Of all planned steps; 0 where time alone bounds them.
double planned_rate_sum(const Recipe& recipe);

} // namespace coppice
