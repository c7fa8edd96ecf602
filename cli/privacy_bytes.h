// SPDX-License-Identifier: Apache-2.0
// What a device sends in one round of secure aggregation, in bytes on the wire: measured on real
// messages, empty of meaning.
//
// With envelopes, chunks, CURVE and ZMTP's framing; without what isn't of the round: handshakes,
// check-ins, heartbeats, and what ZeroMQ repeats. Pure but for fresh keys; thread-safe.
#pragma once

#include <cstdint>

#include "protocol/round_plan.h"

namespace coppice {

struct DeviceBytes {
  std::uint64_t packed = 0;      // the slots alone, at their widths
  std::uint64_t upload = 0;      // them as a sealed upload, with its offer and the plan's answer
  std::uint64_t secagg_up = 0;   // advert, nonce, share boxes, shares for unmasking
  std::uint64_t secagg_down = 0; // roster, graph and neighbours' keys, boxes, survivors' list
  std::uint64_t up() const { return upload + secagg_up; }
};

// For a roster of plan.sum.cohort devices without restarts, where all share and all survive.
Result<DeviceBytes> device_bytes(const RoundPlan& plan, const GraphParameters& graph);

} // namespace coppice
