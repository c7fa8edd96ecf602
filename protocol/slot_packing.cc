// SPDX-License-Identifier: Apache-2.0
#include "protocol/slot_packing.h"

namespace coppice {

std::size_t packed_slots_size(const std::vector<Slot>& slots) {
  std::size_t bytes = 0;
  for (const Slot& slot : slots) bytes += packed_size(slot.elements, slot.bits);
  return bytes;
}

Bytes pack_slots(const std::vector<Slot>& slots, std::span<const std::uint32_t> elements) {
  Bytes packed;
  packed.reserve(packed_slots_size(slots));
  std::size_t at = 0;
  for (const Slot& slot : slots) {
    COPPICE_CHECK(slot.elements <= elements.size() - at);
    ring_pack(elements.subspan(at, slot.elements), slot.bits, packed);
    at += slot.elements;
  }
  COPPICE_CHECK(at == elements.size());
  return packed;
}

Result<std::vector<std::uint32_t>> unpack_slots(const std::vector<Slot>& slots, ByteSpan packed) {
  std::vector<std::uint32_t> elements;
  for (const Slot& slot : slots) {
    const std::size_t size = packed_size(slot.elements, slot.bits);
    if (size > packed.size()) {
      return Error{ErrorCode::kCorrupt, "the upload is shorter than its slots"};
    }
    const auto part = COPPICE_TRY(ring_unpack(packed.first(size), slot.elements, slot.bits));
    elements.insert(elements.end(), part.begin(), part.end());
    packed = packed.subspan(size);
  }
  if (!packed.empty()) return Error{ErrorCode::kCorrupt, "the upload is longer than its slots"};
  return elements;
}

} // namespace coppice
