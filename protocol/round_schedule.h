// SPDX-License-Identifier: Apache-2.0
// When the parts of a round end: all derived from the plan's one deadline, counted from its start.
//
// Without secure aggregation there is one part. With it training ends early enough for the devices
// to agree on masks, upload, and help to unmask. The aggregator's clock decides; a device takes its
// own times from the time left that came with the plan.
#pragma once

#include "protocol/round_plan.h"

namespace coppice {

struct RoundSchedule {
  Millis training; // devices stop training
  Millis roster;   // with secure aggregation: who has not advertised keys is not in
  Millis nonces;   // missing ones cost an attempt
  Millis shares;   // who has not shared is as if never there
  Millis uploads;  // the sum is closed
  Millis end;      // the round is abandoned
};

constexpr RoundSchedule round_schedule(const RoundPlan& plan) {
  const auto percent = [&](std::int64_t share) {
    return Millis{plan.deadline.count * share / 100};
  };
  if (!plan.sum.secure_aggregation) {
    return {.training = percent(90),
            .roster = {},
            .nonces = {},
            .shares = {},
            .uploads = plan.deadline,
            .end = plan.deadline};
  }
  return {.training = percent(60),
          .roster = percent(65),
          .nonces = percent(72),
          .shares = percent(80),
          .uploads = percent(90),
          .end = plan.deadline};
}

} // namespace coppice
