// SPDX-License-Identifier: Apache-2.0
// The elements of all slots to an upload's bytes and back: each slot at its own width,
// byte-aligned.
//
// Pure; thread-safe.
#pragma once

#include <span>
#include <vector>

#include "protocol/round_plan.h"

namespace coppice {

std::size_t packed_slots_size(const std::vector<Slot>& slots); // bytes
// elements.size() is the sum of the slots' (checked).
Bytes pack_slots(const std::vector<Slot>& slots, std::span<const std::uint32_t> elements);
// kCorrupt: shorter or longer than the slots, or what ring_unpack() refuses.
Result<std::vector<std::uint32_t>> unpack_slots(const std::vector<Slot>& slots, ByteSpan packed);

} // namespace coppice
