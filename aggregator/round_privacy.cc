// SPDX-License-Identifier: Apache-2.0
#include "aggregator/round_privacy.h"

#include <algorithm>
#include <cmath>

#include "privacy/adaptive_clip.h"
#include "protocol/round_mechanism.h"
#include "protocol/slot_noise.h"

namespace coppice {

PrivacyTerms privacy_terms(const AggregatorSettings& settings, std::uint32_t cohort,
                           std::uint64_t enrolled) {
  PrivacyTerms terms{.noise = settings.privacy.noise};
  if (!has_noise(settings)) return terms;
  terms.noise_multiplier = settings.privacy.noise_multiplier;
  terms.delta = settings.privacy.delta;
  terms.expected_cohort = cohort;
  if (settings.cohort.poisson) {
    const std::uint64_t population =
        settings.privacy.population > 0 ? settings.privacy.population : enrolled;
    const double expected = settings.cohort.fraction_train * static_cast<double>(population);
    terms.expected_cohort = static_cast<std::uint32_t>(std::max(1.0, std::round(expected)));
    if (terms.noise == NoiseKind::kCentral) terms.sampling_rate = settings.cohort.fraction_train;
  }
  if (terms.noise == NoiseKind::kBanded) {
    terms.min_separation = settings.privacy.bands;
    terms.max_participations = settings.privacy.max_participations;
  }
  return terms;
}

RoundId series_of(const PrivacyLedger& ledger, const PrivacySettings& settings, RoundId round,
                  const std::string& mechanism) {
  if (settings.noise != NoiseKind::kBanded) return RoundId{0};
  const std::uint64_t longest = std::uint64_t{settings.bands} * settings.max_participations;
  if (ledger.empty()) return round;
  const SpendRecord& last = ledger.records().back();
  const bool goes_on = last.series.value != 0 && last.mechanism == mechanism &&
                       round.value - last.series.value < longest;
  return goes_on ? last.series : round;
}

Result<double> epsilon_with_plan(const PrivacyLedger& ledger, const PrivacySettings& settings,
                                 const RoundPlan& plan) {
  if (plan.privacy.noise == NoiseKind::kNone) return ledger.epsilon(settings.delta);
  const Mechanism next = mechanism_of(plan);
  return ledger.epsilon_with(next, series_of(ledger, settings, plan.round, mechanism_text(next)),
                             settings.delta);
}

SpendRecord spend_of(const PrivacyLedger& ledger, const PrivacySettings& settings,
                     const RoundPlan& plan, Millis wall) {
  const std::string mechanism = mechanism_text(mechanism_of(plan));
  return {.round = plan.round,
          .mechanism = mechanism,
          .series = series_of(ledger, settings, plan.round, mechanism),
          .base = plan.base_hash,
          .epsilon = plan.privacy.cumulative_epsilon,
          .spent = wall};
}

Result<Bytes> add_noise_to_sum(const PrivacyLedger& ledger, const PrivacySettings& settings,
                               const RoundPlan& plan, ByteSpan stored, ByteSource& source,
                               std::vector<std::uint32_t>& elements) {
  if (plan.privacy.noise == NoiseKind::kCentral) {
    COPPICE_TRY(add_slot_noise(plan, source, elements));
    return Bytes{};
  }
  if (plan.privacy.noise != NoiseKind::kBanded) return Bytes{};
  const RoundId began = series_of(ledger, settings, plan.round, mechanism_text(mechanism_of(plan)));
  BandedNoise series = COPPICE_TRY(
      began == plan.round || stored.empty()
          ? BandedNoise::create(COPPICE_TRY(banded_coefficients_of(plan)), plan.delta_elements())
          : BandedNoise::parse(stored));
  COPPICE_TRY(add_banded_noise(plan, series, source, elements));
  return series.serialize();
}

Result<std::optional<double>> adapted_clip(const AggregatorSettings& settings,
                                           std::span<const MetricMean> metrics) {
  if (settings.privacy.clip_quantile <= 0) return std::optional<double>{};
  for (const MetricMean& metric : metrics) {
    if (metric.name != kMetricClipped) continue;
    const AdaptiveClip clip{.quantile = settings.privacy.clip_quantile};
    const double within = std::clamp(1 - metric.mean, 0.0, 1.0);
    return std::optional<double>{COPPICE_TRY(next_clip(settings.round.clip_norm, within, clip))};
  }
  return std::optional<double>{};
}

} // namespace coppice
