// SPDX-License-Identifier: Apache-2.0
// What a round may spend of the privacy budget, the noise in its sum, and what follows from both.
#include <cstdlib>

#include "aggregator/round_privacy.h"
#include "aggregator/service.h"
#include "base/text.h"

namespace coppice {
namespace {

// Of claims and rounds together. The accountant adds up ten times as many: what claims leave over
// is more than a fleet's own rounds will be.
constexpr std::uint64_t kMostChargedRounds = 10'000'000;

// "DEVICE ROUND": who has seen rounds before the ledger's first, and up to which.
constexpr std::string_view kUnknownSpendsKey = "unknown_spends";

} // namespace

Result<void> AggregatorService::open_privacy() {
  ledger_ = COPPICE_TRY(PrivacyLedger::of(COPPICE_TRY(store_.spends())));
  if (const auto clip = COPPICE_TRY(store_.get("clip_norm"));
      clip && settings_.privacy.clip_quantile > 0) {
    settings_.round.clip_norm = std::strtod(clip->c_str(), nullptr);
  }
  if (!has_noise(settings_)) {
    say("noise is off: nothing is promised about what releases give away "
        "(coppice privacy plan says what it would take)");
    return {};
  }
  const double spent = COPPICE_TRY(ledger_.epsilon(settings_.privacy.delta));
  if (!ledger_.empty()) { // whether another round like the last is affordable
    const SpendRecord& last = ledger_.records().back();
    const double another = COPPICE_TRY(ledger_.epsilon_with(
        COPPICE_TRY(parse_mechanism(last.mechanism)),
        series_of(ledger_, settings_.privacy, last.round.next(), last.mechanism),
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

// What the plan promises, but for the total, which depends on the plan's slots.
Result<PrivacyTerms> AggregatorService::next_privacy(PlanInputs inputs) {
  inputs.privacy = privacy_terms(settings_, inputs.cohort, registry_->size());
  if (!has_noise(settings_) || inputs.privacy.noise_multiplier > 0) return inputs.privacy;
  if (!planned_multiplier_) {
    planned_multiplier_ = COPPICE_TRY(
        planned_noise_multiplier(folder_.facts(), settings_, *strategy_, adapter_->spec(), inputs));
  }
  inputs.privacy.noise_multiplier = *planned_multiplier_;
  return inputs.privacy;
}

// Fills in the plan's total. False: the budget doesn't allow the round.
Result<bool> AggregatorService::afford(RoundPlan& plan) {
  const double total = COPPICE_TRY(epsilon_with_plan(ledger_, settings_.privacy, plan));
  if (has_noise(settings_) && total > settings_.privacy.epsilon) {
    budget_spent_ = true;
    wait_because(cat("the privacy budget is spent: another round would bring epsilon to ",
                     fixed(total, 3), ", over the ", fixed(settings_.privacy.epsilon, 3),
                     " of privacy.epsilon; no round starts any more"));
    return false;
  }
  plan.privacy.cumulative_epsilon = total;
  return true;
}

Result<void> AggregatorService::adapt_clip() {
  const auto clip = COPPICE_TRY(adapted_clip(settings_, metrics_));
  if (!clip) return {};
  settings_.round.clip_norm = *clip;
  return store_.set("clip_norm", fixed(*clip, 12));
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
  if (!has_noise(settings_)) return std::string{};
  if (COPPICE_TRY(unknown_spends()).empty()) {
    COPPICE_TRY(store_.set(kUnknownSpendsKey, cat(client, " ", seen)));
  }
  return cat("it has seen round ", seen, ", and this state knows nothing of what was spent");
}

// Why no round may start, if a device has seen rounds before the ledger's first; empty otherwise.
Result<std::string> AggregatorService::unknown_spends() {
  if (!has_noise(settings_) || !ledger_.empty()) return std::string{};
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
