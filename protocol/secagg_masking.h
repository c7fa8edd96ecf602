// SPDX-License-Identifier: Apache-2.0
// Masks over all slots of a plan: what a device adds to its elements, and what the aggregator takes
// off the sum.
//
// One seed's keystream runs over all slots in order (crypto/mask_stream.h, Note [Mask layout]).
// Threads share the elements, not the seeds, so the same bits come out of any number of them.
// Thread-safe on different elements.
#pragma once

#include <span>
#include <vector>

#include "crypto/mask_stream.h"
#include "protocol/round_plan.h"

namespace coppice {

// elements.size() is the sum of the slots' (checked).
void apply_masks(const std::vector<Slot>& slots, std::span<const SignedSeed> seeds,
                 std::span<std::uint32_t> elements, unsigned threads = 1);

} // namespace coppice
