// SPDX-License-Identifier: Apache-2.0
// A comparison for programs: the fields of coppice.sim_compare.v1 (docs/simulation.md). What isn't
// finite is null. Pure.
#pragma once

#include "formats/json.h"
#include "sim/comparison.h"
#include "sim/robustness.h"

namespace coppice {

Json comparison_json(const Comparison& comparison);
// An array: an object a scenario and attack.
Json robustness_json(const Robustness& robust);

} // namespace coppice
