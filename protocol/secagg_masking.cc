// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_masking.h"

#include <algorithm>
#include <thread>

namespace coppice {
namespace {

// A stretch of elements of one width, and where its keystream begins.
struct Stretch {
  std::size_t begin = 0;
  std::size_t count = 0;
  std::uint32_t bits = 0;
  std::uint64_t first_byte = 0;
};

std::vector<Stretch> stretches_of(const std::vector<Slot>& slots) {
  std::vector<Stretch> made;
  Stretch next;
  for (const Slot& slot : slots) {
    if (next.count > 0 && next.bits != slot.bits.value) {
      made.push_back(next);
      next = {.begin = next.begin + next.count,
              .first_byte = next.first_byte + mask_bytes(next.count, next.bits)};
    }
    next.bits = slot.bits.value;
    next.count += slot.elements;
  }
  made.push_back(next);
  return made;
}

} // namespace

void apply_masks(const std::vector<Slot>& slots, std::span<const SignedSeed> seeds,
                 std::span<std::uint32_t> elements, unsigned threads) {
  if (seeds.empty()) return;
  const std::vector<Stretch> stretches = stretches_of(slots);
  COPPICE_CHECK(stretches.back().begin + stretches.back().count == elements.size());
  const auto mask_share = [&](unsigned part, unsigned parts) {
    for (const Stretch& stretch : stretches) {
      const std::size_t from = stretch.count * part / parts;
      const std::size_t to = stretch.count * (part + 1) / parts;
      add_masks(seeds, stretch.first_byte + mask_bytes(from, stretch.bits), stretch.bits,
                elements.subspan(stretch.begin + from, to - from));
    }
  };
  const unsigned parts = std::max(1U, threads);
  std::vector<std::jthread> others;
  for (unsigned part = 1; part < parts; ++part) others.emplace_back(mask_share, part, parts);
  mask_share(0, parts);
}

} // namespace coppice
