// SPDX-License-Identifier: Apache-2.0
// What a round that is over left under way: uploads that arrive in the virtual time of later rounds
// and count there (aggregator/late_uploads.h). Part of what a run goes on from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "protocol/round_plan.h"
#include "sim/population.h"
#include "sim/virtual_time.h"

namespace coppice {

struct LateDevice {
  DeviceNumber device = 0;
  Nanos at;                            // its upload arrives then, or it is free again
  std::vector<std::uint32_t> elements; // of the upload; none: it brings nothing
  std::uint64_t tokens = 0;            // that it trained on
  std::uint64_t clamped = 0;           // of its delta's values
  bool clipped = false;
};

struct LateRound {
  RoundPlan plan;
  Nanos starts;
  std::vector<LateDevice> devices; // sorted by device
};

struct LateName {
  RoundId round;
  DeviceNumber device = 0;
  bool operator==(const LateName&) const = default;
};

void put_late(ByteWriter& writer, std::span<const LateRound> rounds);
Result<std::vector<LateRound>> take_late(ByteReader& reader); // kCorrupt

} // namespace coppice
