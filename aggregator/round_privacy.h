// SPDX-License-Identifier: Apache-2.0
// What one round spends of a privacy budget: its terms, its price, its noise, and the next clip.
//
// Functions over settings and ledger, without disk, clock or randomness of their own: the service
// and the simulator call the same ones. Thread-safe.
#pragma once

#include <optional>

#include "aggregator/privacy_ledger.h"
#include "aggregator/round_maker.h"
#include "privacy/random_bits.h"

namespace coppice {

inline bool has_noise(const AggregatorSettings& settings) {
  return settings.privacy.noise != NoiseKind::kNone;
}

// What the plan promises, but for the total, which depends on the plan's slots, and for a
// multiplier that is to be planned (0 in the settings). `enrolled`: devices, where
// privacy.population is 0.
PrivacyTerms privacy_terms(const AggregatorSettings& settings, std::uint32_t cohort,
                           std::uint64_t enrolled);

// The round that began the series of banded noise which a round of this mechanism belongs to; 0 for
// other noise. A series ends where a device's participations could pass what was accounted, and
// where units or variance change (another cohort has another scale): its noise is correlated in
// those.
RoundId series_of(const PrivacyLedger& ledger, const PrivacySettings& settings, RoundId round,
                  const std::string& mechanism);

// Epsilon of everything spent and of this plan; what it states as cumulative_epsilon.
Result<double> epsilon_with_plan(const PrivacyLedger& ledger, const PrivacySettings& settings,
                                 const RoundPlan& plan);
// The row that pays for a plan with noise.
SpendRecord spend_of(const PrivacyLedger& ledger, const PrivacySettings& settings,
                     const RoundPlan& plan, Millis wall);

// Noise on the sum, where the plan has it added there, before anything of the sum is decoded.
// `stored`: the state of correlated noise after the round before, empty for none. Gives the state
// after this round, which belongs into the release's transaction; empty for other kinds.
Result<Bytes> add_noise_to_sum(const PrivacyLedger& ledger, const PrivacySettings& settings,
                               const RoundPlan& plan, ByteSpan stored, ByteSource& source,
                               std::vector<std::uint32_t>& elements);

// From the noised share of devices whose delta was shortened, the next round's clip. None where
// the clip stays as it is.
Result<std::optional<double>> adapted_clip(const AggregatorSettings& settings,
                                           std::span<const MetricMean> metrics);

} // namespace coppice
