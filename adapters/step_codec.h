// SPDX-License-Identifier: Apache-2.0
// A release's step: next shared adapter minus the one before, 16 bits a parameter and a scale a slot.
//
// Slot s holds integers q in [-32767, 32767]; the step is q * scale_s in float32, one multiplication
// and one addition, never fused. The *encoded* step is what aggregator and devices apply, so all
// hold the same bits. Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "adapters/adapter.h"

namespace coppice {

struct EncodedStep {
  std::vector<float> scales;          // one a slot: A and B of each target, in ring order
  std::vector<std::int16_t> integers; // one a parameter
  bool operator==(const EncodedStep&) const = default;
};

// scale_s = max|step in s| / 32767 (0 for a slot of zeros), rounded to nearest. Refuses NaN, infinity, and
// a size that isn't the spec's.
Result<EncodedStep> encode_step(const AdapterSpec& spec, std::span<const double> step);
// adapter += step. Refuses a step of another shape.
Result<void> apply_step(Adapter& adapter, const EncodedStep& step);

// Layout: docs/formats.md, "Step".
Bytes serialize_step(const EncodedStep& step);
Result<EncodedStep> parse_step(ByteSpan bytes, const AdapterSpec& spec);

} // namespace coppice
