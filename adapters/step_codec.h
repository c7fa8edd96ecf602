// SPDX-License-Identifier: Apache-2.0
// A release's step: next shared adapter minus the one before, 16 bits a parameter and a scale a
// slot.
//
// Slot s holds integers q in [-32767, 32767]; the step is q * scale_s in float32, one
// multiplication and one addition, never fused. The *encoded* step is what aggregator and devices
// apply, so all hold the same bits. A parameter's step is off by at most scale_s / 2. Pure
// functions; thread-safe.
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

// scale_s = max|step in s| / 32767 (0 for a slot of zeros), rounded to float32 (upwards where it is
// so small that nearest would cost more than half a unit); integers to nearest, halves away from
// zero. kInvalidArgument: NaN, infinity, steps beyond float32, and a size that isn't the spec's.
Result<EncodedStep> encode_step(const AdapterSpec& spec, std::span<const double> step);
// The same, a slot after another, for a step that is made so: nobody holds the whole of it in
// double.
class StepEncoder {
 public:
  explicit StepEncoder(const AdapterSpec& spec);
  // The next slot's step: A of a target, then its B. Errors as above.
  Result<void> add(std::span<const double> slot);
  // kInvalidArgument before the last slot is there.
  Result<EncodedStep> finish() &&;

 private:
  std::vector<std::size_t> sizes_;
  EncodedStep encoded_;
};
// adapter += step. kInvalidArgument, with the adapter as it was: a step of another shape, and one
// that would take a value beyond float32.
Result<void> apply_step(Adapter& adapter, const EncodedStep& step);

// Layout: docs/formats.md, "Step".
Bytes serialize_step(const EncodedStep& step);
// kCorrupt: other magic, counts that aren't the spec's (checked before anything is allocated),
// trailing bytes, scales that are negative or not finite, -32768, and an integer other than 0 in a
// slot of scale 0. kUnsupported: another version.
Result<EncodedStep> parse_step(ByteSpan bytes, const AdapterSpec& spec);

} // namespace coppice
