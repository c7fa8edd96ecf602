// SPDX-License-Identifier: Apache-2.0
// What a round may spend of the privacy budget, the noise in its sum, and what follows from both.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "aggregator/service.h"
#include "base/text.h"
#include "privacy/adaptive_clip.h"
#include "protocol/round_mechanism.h"
#include "protocol/slot_noise.h"

namespace coppice {
namespace {

// Of claims and rounds together. The accountant adds up ten times as many: what claims leave over
// is more than a fleet's own rounds will be.
constexpr std::uint64_t kMostChargedRounds = 10'000'000;

// "DEVICE ROUND": who has seen rounds before the ledger's first, and up to which.
constexpr std::string_view kUnknownSpendsKey = "unknown_spends";

} // namespace

bool AggregatorService::noised() const { return settings_.privacy.noise != NoiseKind::kNone; }

Result<void> AggregatorService::open_privacy() {
  ledger_ = COPPICE_TRY(PrivacyLedger::of(COPPICE_TRY(store_.spends())));
  if (const auto clip = COPPICE_TRY(store_.get("clip_norm")); clip && adapts_clip()) {
    settings_.round.clip_norm = std::strtod(clip->c_str(), nullptr);
  }
  if (!noised()) {
    say("noise is off: nothing is promised about what releases give away "
        "(coppice privacy plan says what it would take)");
    return {};
  }
  const double spent = COPPICE_TRY(ledger_.epsilon(settings_.privacy.delta));
  if (!ledger_.empty()) { // whether another round like the last is affordable
    const SpendRecord& last = ledger_.records().back();
    const double another = COPPICE_TRY(ledger_.epsilon_with(
        COPPICE_TRY(parse_mechanism(last.mechanism)), series_of(last.round.next(), last.mechanism),
        settings_.privacy.delta));
    budget_spent_ = another > settings_.privacy.epsilon;
  }
  say(cat("privacy budget: epsilon ", fixed(spent, 3), " of ", fixed(settings_.privacy.epsilon, 3),
          " is spent", budget_spent_ ? ", and another round would exceed it" : "", ", at delta ",
          settings_.privacy.delta, ", against ",
          noise_is_distributed(settings_.privacy.noise)
              ? "the aggregator too"
              : "whoever sees the releases, not the aggregator"));
  return {};
}

bool AggregatorService::adapts_clip() const { return settings_.privacy.clip_quantile > 0; }

// What the plan promises, but for the total, which depends on the plan's slots.
Result<PrivacyTerms> AggregatorService::next_privacy(PlanInputs inputs) {
  const PrivacySettings& settings = settings_.privacy;
  PrivacyTerms& terms = inputs.privacy;
  terms = {.noise = settings.noise};
  if (!noised()) return terms;
  terms.delta = settings.delta;
  terms.expected_cohort = inputs.cohort;
  if (settings_.cohort.poisson) {
    const std::uint64_t population =
        settings.population > 0 ? settings.population : registry_->size();
    const double expected = settings_.cohort.fraction_train * static_cast<double>(population);
    terms.expected_cohort = static_cast<std::uint32_t>(std::max(1.0, std::round(expected)));
    if (settings.noise == NoiseKind::kCentral) {
      terms.sampling_rate = settings_.cohort.fraction_train;
    }
  }
  if (settings.noise == NoiseKind::kBanded) {
    terms.min_separation = settings.bands;
    terms.max_participations = settings.max_participations;
  }
  terms.noise_multiplier = settings.noise_multiplier;
  if (terms.noise_multiplier > 0) return terms;
  if (!planned_multiplier_) {
    planned_multiplier_ = COPPICE_TRY(
        planned_noise_multiplier(folder_.facts(), settings_, *strategy_, adapter_->spec(), inputs));
  }
  terms.noise_multiplier = *planned_multiplier_;
  return terms;
}

// The round that began the series of banded noise which a round of this mechanism belongs to. A
// series ends where a device's participations could pass what was accounted, and where units or
// variance change (another cohort has another scale): its noise is correlated in those.
RoundId AggregatorService::series_of(RoundId round, const std::string& mechanism) const {
  if (settings_.privacy.noise != NoiseKind::kBanded) return RoundId{0};
  const std::uint64_t longest =
      std::uint64_t{settings_.privacy.bands} * settings_.privacy.max_participations;
  if (ledger_.empty()) return round;
  const SpendRecord& last = ledger_.records().back();
  const bool goes_on = last.series.value != 0 && last.mechanism == mechanism &&
                       round.value - last.series.value < longest;
  return goes_on ? last.series : round;
}

// Fills in the plan's total. False: the budget doesn't allow the round.
Result<bool> AggregatorService::afford(RoundPlan& plan) {
  if (!noised()) {
    plan.privacy.cumulative_epsilon = COPPICE_TRY(ledger_.epsilon(settings_.privacy.delta));
    return true;
  }
  const Mechanism next = mechanism_of(plan);
  const double total = COPPICE_TRY(ledger_.epsilon_with(
      next, series_of(plan.round, mechanism_text(next)), settings_.privacy.delta));
  if (total > settings_.privacy.epsilon) {
    budget_spent_ = true;
    wait_because(cat("the privacy budget is spent: another round would bring epsilon to ",
                     fixed(total, 3), ", over the ", fixed(settings_.privacy.epsilon, 3),
                     " of privacy.epsilon; no round starts any more"));
    return false;
  }
  plan.privacy.cumulative_epsilon = total;
  return true;
}

SpendRecord AggregatorService::spend_of(const RoundPlan& plan) const {
  const std::string mechanism = mechanism_text(mechanism_of(plan));
  return {.round = plan.round,
          .mechanism = mechanism,
          .series = series_of(plan.round, mechanism),
          .base = plan.base_hash,
          .epsilon = plan.privacy.cumulative_epsilon,
          .spent = clock_.wall()};
}

// Central noise, before anything of the sum is decoded. Gives the state of correlated noise that
// belongs into the release's transaction; empty for other kinds.
Result<Bytes> AggregatorService::add_noise_to_sum(const RoundPlan& plan,
                                                  std::vector<std::uint32_t>& elements) {
  if (plan.privacy.noise == NoiseKind::kCentral) {
    COPPICE_TRY(add_slot_noise(plan, elements));
    return Bytes{};
  }
  if (plan.privacy.noise != NoiseKind::kBanded) return Bytes{};
  const bool begins = series_of(plan.round, mechanism_text(mechanism_of(plan))) == plan.round;
  const Bytes stored = begins ? Bytes{} : COPPICE_TRY(store_.noise_state());
  BandedNoise series =
      COPPICE_TRY(stored.empty() ? BandedNoise::create(COPPICE_TRY(banded_coefficients_of(plan)),
                                                       plan.delta_elements())
                                 : BandedNoise::parse(stored));
  COPPICE_TRY(add_banded_noise(plan, series, elements));
  return series.serialize();
}

// From the noised share of devices whose delta was shortened, the next round's clip.
Result<void> AggregatorService::adapt_clip() {
  if (!adapts_clip()) return {};
  for (const MetricMean& metric : metrics_) {
    if (metric.name != kMetricClipped) continue;
    const AdaptiveClip settings{.quantile = settings_.privacy.clip_quantile};
    const double within = std::clamp(1 - metric.mean, 0.0, 1.0);
    settings_.round.clip_norm = COPPICE_TRY(next_clip(settings_.round.clip_norm, within, settings));
    COPPICE_TRY(store_.set("clip_norm", fixed(settings_.round.clip_norm, 12)));
  }
  return {};
}

// Why the rounds that a device claims to have seen can't be charged, if they can't. Where nothing
// is known of what any round spent, none may start as long as that claim stands, after a restart
// too: it ends with the device's membership.
Result<std::string> AggregatorService::fault_of_charge(const ClientId& client, std::uint64_t rounds,
                                                       RoundId seen) {
  if (!ledger_.empty()) {
    const bool too_many = ledger_.rounds() + rounds > kMostChargedRounds;
    if (!too_many && unproven_charge(rounds, seen).ok()) return std::string{};
    return cat("it claims to have seen round ", seen, ", and ", rounds,
               " rounds can't be charged to the privacy budget beside the ", ledger_.rounds(),
               " that are; revoke it, or begin a new fleet");
  }
  if (!noised()) return std::string{};
  if (COPPICE_TRY(unknown_spends()).empty()) {
    COPPICE_TRY(store_.set(kUnknownSpendsKey, cat(client, " ", seen)));
  }
  return cat("it has seen round ", seen, ", and this state knows nothing of what was spent");
}

// Why no round may start, if a device has seen rounds before the ledger's first; empty otherwise.
Result<std::string> AggregatorService::unknown_spends() {
  if (!noised() || !ledger_.empty()) return std::string{};
  const std::string claim = COPPICE_TRY(store_.get(kUnknownSpendsKey)).value_or("");
  if (claim.empty()) return std::string{};
  const std::string device = claim.substr(0, claim.find(' '));
  if (!registry_->allows(COPPICE_TRY(ClientId::parse_hex(device, "client id"))).ok()) {
    COPPICE_TRY(store_.set(kUnknownSpendsKey, ""));
    return std::string{};
  }
  return cat("device ", device, " has seen round ", claim.substr(device.size() + 1),
             ", and this state knows nothing of what was spent of the privacy budget; restore a "
             "later backup, or begin a new fleet, or 'coppice aggregator clients revoke' it if it "
             "lies");
}

// Devices have seen rounds that this state hasn't: it was restored from a backup, and can't prove
// that nothing was released in them. Charged as the last round that is known was.
Result<SpendRecord> AggregatorService::unproven_charge(std::uint64_t rounds, RoundId seen) const {
  const SpendRecord& like = ledger_.records().back();
  SpendRecord charge{.round = seen,
                     .mechanism = like.mechanism,
                     .series = RoundId{0},
                     .times = rounds,
                     .base = like.base,
                     .epsilon = 0,
                     .proven = false,
                     .spent = clock_.wall()};
  std::vector<SpendRecord> records = ledger_.records();
  records.push_back(charge);
  const PrivacyLedger charged = COPPICE_TRY(PrivacyLedger::of(std::move(records)));
  charge.epsilon = COPPICE_TRY(charged.epsilon(settings_.privacy.delta));
  return charge;
}

Result<void> AggregatorService::charge_unproven(RoundId last_known, RoundId seen) {
  if (ledger_.empty()) return {}; // without noise; else fault_of_charge() has refused it
  const SpendRecord charge = COPPICE_TRY(unproven_charge(seen.value - last_known.value, seen));
  COPPICE_TRY(store_.commit_charge(charge));
  ledger_ = COPPICE_TRY(PrivacyLedger::of(COPPICE_TRY(store_.spends())));
  say(cat("rounds ", last_known.next(), " to ", seen,
          " can't be proven unspent and are charged: epsilon is ", fixed(charge.epsilon, 3)));
  return {};
}

} // namespace coppice
