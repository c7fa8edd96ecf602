// SPDX-License-Identifier: Apache-2.0
#include "aggregator/privacy_ledger.h"

#include <map>
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
  for (const SpendRecord& record : records) {
    const auto mechanism = parse_mechanism(record.mechanism);
    if (mechanism.ok()) continue;
    return Error{ErrorCode::kCorrupt,
                 cat("what round ", record.round, " spent of the privacy budget can't be read (",
                     mechanism.error().message, "); restore the state from a backup")};
  }
  PrivacyLedger ledger;
  ledger.records_ = std::move(records);
  return ledger;
}

// Equal mechanisms together: the accountant's time grows with their number.
std::vector<Spend> PrivacyLedger::spends(const std::vector<SpendRecord>& records) const {
  std::map<std::string, std::uint64_t> times;
  std::set<RoundId> series;
  for (const SpendRecord& record : records) {
    if (record.series.value != 0 && !series.insert(record.series).second) continue;
    times[record.mechanism] += record.times;
  }
  std::vector<Spend> spends;
  for (const auto& [text, count] : times) {
    spends.push_back({parse_mechanism(text).value(), count}); // of() has read them
  }
  return spends;
}

std::uint64_t PrivacyLedger::rounds() const {
  std::uint64_t rounds = 0;
  for (const SpendRecord& record : records_) rounds += record.times;
  return rounds;
}

Result<double> PrivacyLedger::epsilon(double delta) const {
  return spent_epsilon(spends(records_), delta);
}

Result<double> PrivacyLedger::epsilon_with(const Mechanism& next, RoundId series,
                                           double delta) const {
  std::vector<SpendRecord> all = records_;
  SpendRecord& one = all.emplace_back();
  one.mechanism = mechanism_text(next);
  one.series = series;
  return spent_epsilon(spends(all), delta);
}

} // namespace coppice
