// SPDX-License-Identifier: Apache-2.0
// StateStore's late uploads: what came after its round, until a release takes it.
#include <cstring>

#include "aggregator/state_store.h"
#include "base/text.h"
#include "protocol/limits.h"

namespace coppice {

Result<void> StateStore::commit_late(RoundId round, const RunningSum& sum) {
  auto transaction = COPPICE_TRY(database_.begin());
  COPPICE_TRY(check_epoch());
  auto write = COPPICE_TRY(database_.prepare("INSERT OR REPLACE INTO late_sums VALUES (?, ?, ?)"));
  COPPICE_TRY(write.bind(1, round.value)
                  .bind(2, as_bytes(std::span<const std::uint32_t>(sum.elements)))
                  .bind(3, epoch_.value)
                  .run());
  COPPICE_TRY(write_uploads(round, sum, true));
  crash_point("aggregator.late.before");
  COPPICE_TRY(transaction.commit());
  crash_point("aggregator.late.after");
  return {};
}

Result<std::vector<EarlierRound>> StateStore::earlier_rounds() {
  // A round that nothing can come of any more is told by its plan, and there the search ends.
  auto read =
      COPPICE_TRY(database_.prepare("SELECT plan, started FROM rounds WHERE status = 1 "
                                    "ORDER BY round DESC LIMIT ?"));
  read.bind(1, std::uint64_t{limits::kStaleness} + 1);
  std::vector<EarlierRound> rounds;
  while (COPPICE_TRY(read.step())) {
    EarlierRound round;
    round.plan = COPPICE_TRY(RoundPlan::decode(read.blob(0)));
    if (round.plan.sum.max_staleness == 0) break;
    round.plan_hash = round.plan.hash();
    round.deadline = Millis{read.integer(1)} + round.plan.deadline;
    COPPICE_TRY(read_late(round));
    rounds.insert(rounds.begin(), std::move(round));
  }
  return rounds;
}

Result<void> StateStore::read_late(EarlierRound& round) {
  const std::uint64_t number = round.plan.round.value;
  for (const ClientId& member : COPPICE_TRY(members(round.plan.round))) {
    round.members.emplace(member, MemberState::kOffered);
  }
  for (const auto& [client, upload] : COPPICE_TRY(counted(round.plan.round))) {
    round.members[client] = MemberState::kCounted;
  }
  auto waiting = COPPICE_TRY(
      database_.prepare("SELECT client, upload FROM uploads WHERE round = ? AND counted_in = 0"));
  waiting.bind(1, number);
  while (COPPICE_TRY(waiting.step())) {
    round.sum.counted.emplace(COPPICE_TRY(ClientId::from_span(waiting.blob(0), "client")),
                              COPPICE_TRY(Sha256::from_span(waiting.blob(1), "upload")));
  }
  auto sum = COPPICE_TRY(database_.prepare("SELECT sum FROM late_sums WHERE round = ?"));
  sum.bind(1, number);
  const bool there = COPPICE_TRY(sum.step());
  if (there) round.sum.elements.resize(round.plan.ring_elements());
  const ByteSpan raw = there ? sum.blob(0) : ByteSpan{};
  if (there == round.sum.counted.empty() ||
      raw.size() != round.sum.elements.size() * sizeof(std::uint32_t)) {
    return Error{ErrorCode::kCorrupt,
                 cat("the late sum of round ", number, " doesn't fit its plan and uploads")};
  }
  if (there) std::memcpy(round.sum.elements.data(), raw.data(), raw.size());
  return {};
}

Result<std::vector<ClientId>> StateStore::taking_part(RoundId round) {
  auto read =
      COPPICE_TRY(database_.prepare("SELECT client FROM uploads WHERE counted_in = ?1"
                                    " OR (round = ?1 AND counted_in IS NULL) ORDER BY client"));
  read.bind(1, round.value);
  std::vector<ClientId> clients;
  while (COPPICE_TRY(read.step())) {
    clients.push_back(COPPICE_TRY(ClientId::from_span(read.blob(0), "client")));
  }
  return clients;
}

Result<void> StateStore::drop_late() {
  COPPICE_TRY(database_.execute("DELETE FROM late_sums"));
  return database_.execute("DELETE FROM uploads WHERE counted_in = 0");
}

Result<void> StateStore::forget_late() {
  auto transaction = COPPICE_TRY(database_.begin());
  COPPICE_TRY(check_epoch());
  COPPICE_TRY(drop_late());
  return transaction.commit();
}

} // namespace coppice
