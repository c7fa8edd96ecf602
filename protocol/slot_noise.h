// SPDX-License-Identifier: Apache-2.0
// A plan's noise added to the elements of its slots: by a device to its own, or to the sum.
//
// Real noise can't be repeated: its bytes are SystemBytes. Only under plans marked `test`, which
// devices of a real fleet refuse, may they come from elsewhere (checked). Thread-safe on different
// elements and sources.
#pragma once

#include <span>

#include "crypto/secret_random.h"
#include "privacy/banded_noise.h"
#include "protocol/round_plan.h"

namespace coppice {

class SystemBytes final : public ByteSource {
 public:
  void fill(std::span<std::uint8_t> bytes) override { random_.fill(bytes); }

 private:
  SecretRandom random_;
};

// Independent draws of each slot's noise_variance, modulo its ring: Skellam under plans of that
// kind, else discrete Gaussian. Nothing without noise. kInvalidArgument: a variance that no sampler
// takes.
Result<void> add_slot_noise(const RoundPlan& plan, ByteSource& source,
                            std::span<std::uint32_t> elements);

// Under plans with banded noise: the delta slots get the series' next noise, and `series` is then
// that of the next round; the other slots are as above.
Result<void> add_banded_noise(const RoundPlan& plan, BandedNoise& series, ByteSource& source,
                              std::span<std::uint32_t> elements);

} // namespace coppice
