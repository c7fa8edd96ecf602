// SPDX-License-Identifier: Apache-2.0
#include "aggregator/privacy_ledger.h"

#include <algorithm>
#include <ranges>
#include <set>

#include "base/text.h"
#include "formats/json.h"

namespace coppice {
namespace {

constexpr std::uint64_t kKinds = static_cast<std::uint64_t>(MechanismKind::kBanded) + 1;

Result<NoisedVector> slot_from(const Json& json) {
  return NoisedVector{.variance = COPPICE_TRY(json_double(json, "variance")),
                      .l2_sensitivity = COPPICE_TRY(json_double(json, "l2")),
                      .l1_sensitivity = COPPICE_TRY(json_double(json, "l1")),
                      .dimension = COPPICE_TRY(json_uint(json, "dimension"))};
}

} // namespace

std::string mechanism_text(const Mechanism& mechanism) {
  Json json;
  json["kind"] = static_cast<std::uint64_t>(mechanism.kind);
  json["aggregator_adversary"] = mechanism.adversary == Adversary::kAggregator;
  json["sampling_rate"] = mechanism.sampling_rate;
  json["shares"] = mechanism.shares;
  json["column_norm"] = mechanism.column_norm;
  json["participations"] = mechanism.participations;
  json["slots"] = Json::array();
  for (const NoisedVector& slot : mechanism.slots) {
    json["slots"].push_back({{"variance", slot.variance},
                             {"l2", slot.l2_sensitivity},
                             {"l1", slot.l1_sensitivity},
                             {"dimension", slot.dimension}});
  }
  return dump_json(json);
}

Result<Mechanism> parse_mechanism(std::string_view text) {
  const Json json = COPPICE_TRY(parse_json(text));
  Mechanism mechanism;
  const std::uint64_t kind = COPPICE_TRY(json_uint(json, "kind"));
  if (kind >= kKinds) return Error{ErrorCode::kCorrupt, "a spend of an unknown kind"};
  mechanism.kind = static_cast<MechanismKind>(kind);
  mechanism.adversary = COPPICE_TRY(json_bool(json, "aggregator_adversary"))
                            ? Adversary::kAggregator
                            : Adversary::kRelease;
  mechanism.sampling_rate = COPPICE_TRY(json_double(json, "sampling_rate"));
  mechanism.shares = COPPICE_TRY(json_uint(json, "shares"));
  mechanism.column_norm = COPPICE_TRY(json_double(json, "column_norm"));
  mechanism.participations = COPPICE_TRY(json_uint(json, "participations"));
  if (!json.contains("slots") || !json.at("slots").is_array()) {
    return Error{ErrorCode::kCorrupt, "a spend without slots"};
  }
  for (const Json& slot : json.at("slots")) {
    mechanism.slots.push_back(COPPICE_TRY(slot_from(slot)));
  }
  COPPICE_TRY(check_mechanism(mechanism));
  return mechanism;
}

Result<PrivacyLedger> PrivacyLedger::of(std::vector<SpendRecord> records) {
  PrivacyLedger ledger;
  std::set<RoundId> series;
  for (const SpendRecord& record : records) {
    auto known = ledger.spends_.find(record.mechanism);
    if (known == ledger.spends_.end()) {
      auto mechanism = parse_mechanism(record.mechanism);
      if (!mechanism.ok()) {
        return Error{
            ErrorCode::kCorrupt,
            cat("what round ", record.round, " spent of the privacy budget can't be read (",
                mechanism.error().message, "); restore the state from a backup")};
      }
      known =
          ledger.spends_.emplace(record.mechanism, Spend{std::move(mechanism).value(), 0}).first;
    }
    if (record.series.value != 0 && !series.insert(record.series).second) continue;
    known->second.times += record.times;
  }
  ledger.records_ = std::move(records);
  return ledger;
}

std::uint64_t PrivacyLedger::rounds() const {
  std::uint64_t rounds = 0;
  for (const SpendRecord& record : records_) rounds += record.times;
  return rounds;
}

Result<double> PrivacyLedger::epsilon(double delta) const {
  const auto spends = std::views::values(spends_);
  return spent_epsilon(std::vector<Spend>(spends.begin(), spends.end()), delta);
}

Result<double> PrivacyLedger::epsilon_with(const Mechanism& next, RoundId series,
                                           double delta) const {
  const bool paid = series.value != 0 &&
                    std::ranges::find(records_, series, &SpendRecord::series) != records_.end();
  if (paid) return epsilon(delta);
  PrivacyLedger with;
  with.spends_ = spends_;
  with.spends_.try_emplace(mechanism_text(next), Spend{next, 0}).first->second.times += 1;
  return with.epsilon(delta);
}

} // namespace coppice
