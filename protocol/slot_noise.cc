// SPDX-License-Identifier: Apache-2.0
#include "protocol/slot_noise.h"

#include "privacy/discrete_noise.h"
#include "privacy/skellam.h"

namespace coppice {
namespace {

void check_source(const RoundPlan& plan, const ByteSource& source) {
  COPPICE_CHECK(plan.test || dynamic_cast<const SystemBytes*>(&source) != nullptr);
}

Result<void> add_to_slot(NoiseKind kind, const Slot& slot, std::span<std::uint32_t> elements,
                         RandomBits& bits) {
  if (kind == NoiseKind::kSkellam) {
    add_noise(elements, slot.bits.mask(), COPPICE_TRY(SkellamSampler::create(slot.noise_variance)),
              bits);
  } else {
    add_noise(elements, slot.bits.mask(),
              COPPICE_TRY(DiscreteGaussian::create({slot.noise_variance, 1})), bits);
  }
  return {};
}

Result<void> add_independent(const RoundPlan& plan, bool deltas, ByteSource& source,
                             std::span<std::uint32_t> elements) {
  check_source(plan, source);
  COPPICE_CHECK(elements.size() == plan.ring_elements());
  RandomBits bits(source);
  std::size_t at = 0;
  for (const Slot& slot : plan.slots) {
    if (slot.noise_variance > 0 && (deltas || slot.kind != SlotKind::kDelta)) {
      COPPICE_TRY(add_to_slot(plan.privacy.noise, slot, elements.subspan(at, slot.elements), bits));
    }
    at += slot.elements;
  }
  return {};
}

} // namespace

Result<void> add_slot_noise(const RoundPlan& plan, ByteSource& source,
                            std::span<std::uint32_t> elements) {
  return add_independent(plan, true, source, elements);
}

Result<void> add_banded_noise(const RoundPlan& plan, BandedNoise& series, ByteSource& source,
                              std::span<std::uint32_t> elements) {
  check_source(plan, source);
  const Slot& first = plan.slots.front();
  if (series.dimension != plan.delta_elements()) {
    return Error{ErrorCode::kFailedPrecondition,
                 "the series of correlated noise is of another adapter"};
  }
  const auto noise = COPPICE_TRY(series.next({first.noise_variance, 1}, source));
  for (std::size_t i = 0; i < noise.size(); ++i) {
    elements[i] = (elements[i] + static_cast<std::uint32_t>(noise[i])) & first.bits.mask();
  }
  return add_independent(plan, false, source, elements);
}

} // namespace coppice
