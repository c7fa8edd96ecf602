// SPDX-License-Identifier: Apache-2.0
// Configurations near one that can't learn, that can. Behind `coppice privacy plan`.
//
// Pure; thread-safe. Takes a few seconds.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/privacy_planner.h"

namespace coppice {

// An adapter with fewer parameters. Those of one `knob` are alternatives of each other: of each
// knob the largest that does is offered, and none where a knob named by `unless` does.
struct SmallerAdapter {
  std::string knob;   // "rank"
  std::string change; // "rank 4"
  std::uint64_t parameters = 0;
  std::string unless = {}; // "ffa"
};

struct Alternative {
  std::string change; // "rank 4", "a cohort of 900"
  PrivacyQuestion question;
  PrivacyAnswer answer; // can_learn()
};

// One change at a time: each knob of `smaller`, then a larger cohort of the same population, then a
// larger epsilon up to kMostEpsilon. Where no single one does, a smaller adapter together with a
// larger cohort, a larger epsilon, or both at their largest. Empty where nothing of this does.
Result<std::vector<Alternative>> feasible_alternatives(const PrivacyQuestion& question,
                                                       const PrivacyAnswer& answer,
                                                       std::span<const SmallerAdapter> smaller);

// The smallest cohort, to two digits, that learns at the question's sampling rate and epsilon: of a
// population that is larger in the same measure. May be more than one sum takes.
std::uint64_t cohort_at_same_rate(const PrivacyQuestion& question, const PrivacyAnswer& answer);

} // namespace coppice
