// SPDX-License-Identifier: Apache-2.0
// StateStore's privacy: what is spent, and the state of noise that is correlated over rounds.
#include <cstdlib>

#include "aggregator/state_store.h"
#include "base/text.h"

namespace coppice {

// A round is charged once, whatever is repeated after a crash. Epsilon is text: for people, and
// compared by nobody.
Result<void> StateStore::insert_spend(const SpendRecord& spend) {
  auto write = COPPICE_TRY(
      database_.prepare("INSERT OR REPLACE INTO spends VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
  return write.bind(1, spend.round.value)
      .bind(2, spend.mechanism)
      .bind(3, spend.series.value)
      .bind(4, spend.times)
      .bind(5, spend.base.span())
      .bind(6, fixed(spend.epsilon, 9))
      .bind(7, std::int64_t{spend.proven ? 1 : 0})
      .bind(8, spend.spent.count)
      .run();
}

Result<void> StateStore::commit_charge(const SpendRecord& spend) {
  auto transaction = COPPICE_TRY(database_.begin());
  COPPICE_TRY(check_epoch());
  COPPICE_TRY(insert_spend(spend));
  return transaction.commit();
}

Result<std::vector<SpendRecord>> StateStore::spends() {
  auto read = COPPICE_TRY(
      database_.prepare("SELECT round, mechanism, series, times, base, epsilon, proven, spent "
                        "FROM spends ORDER BY round"));
  std::vector<SpendRecord> records;
  while (COPPICE_TRY(read.step())) {
    records.push_back({.round = RoundId{read.number(0)},
                       .mechanism = read.text(1),
                       .series = RoundId{read.number(2)},
                       .times = read.number(3),
                       .base = COPPICE_TRY(Sha256::from_span(read.blob(4), "base hash")),
                       .epsilon = std::strtod(read.text(5).c_str(), nullptr),
                       .proven = read.integer(6) != 0,
                       .spent = Millis{read.integer(7)}});
  }
  return records;
}

Result<Bytes> StateStore::strategy_state() {
  auto read = COPPICE_TRY(database_.prepare("SELECT state FROM strategy WHERE id = 1"));
  if (!COPPICE_TRY(read.step())) return Bytes{};
  return Bytes(read.blob(0).begin(), read.blob(0).end());
}

Result<Bytes> StateStore::noise_state() {
  auto read = COPPICE_TRY(database_.prepare("SELECT state FROM noise WHERE id = 1"));
  if (!COPPICE_TRY(read.step())) return Bytes{};
  return Bytes(read.blob(0).begin(), read.blob(0).end());
}

Result<std::vector<ClientId>> StateStore::participants_after(RoundId round) {
  auto read = COPPICE_TRY(
      database_.prepare("SELECT DISTINCT client FROM members WHERE round > ? ORDER BY client"));
  read.bind(1, round.value);
  std::vector<ClientId> clients;
  while (COPPICE_TRY(read.step())) {
    clients.push_back(COPPICE_TRY(ClientId::from_span(read.blob(0), "member")));
  }
  return clients;
}

} // namespace coppice
