// SPDX-License-Identifier: Apache-2.0
// Uploads that come after their round is over (FedBuff), as a pure state machine.
//
// A round whose plan has SumTerms::max_staleness leaves an EarlierRound: its devices go on until
// the plan's deadline, and what they send counts in the next release that is made, whatever round
// makes it. Their uploads are summed apart, a ring sum for each earlier round, since each is
// decoded by its own plan. The sums belong to no round before a release takes them all: a round
// that is abandoned loses none of them.
//
// The driver's promises are those of aggregator/round.h: an acknowledgement follows the commit of
// the sum it is in; a release takes what is committed, in one transaction with its own rows.
// No clock, randomness or disk inside. Thread-compatible.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aggregator/round.h"

namespace coppice {

struct EarlierRound {
  RoundPlan plan;
  Sha256 plan_hash;
  Millis deadline; // on the clock of the `now`s
  std::map<ClientId, MemberState> members;
  // Of the uploads that wait for a release: `counted` are committed. No elements: none wait.
  RunningSum sum;
};

// What a release takes from an earlier round. The spans are of LateUploads.
struct LateSum {
  const RoundPlan* plan = nullptr;
  std::span<const std::uint32_t> elements;
  std::uint32_t participants = 0;
};

class LateUploads {
 public:
  // A round is over. If it was released, who of its members was asked or trains is under way from
  // here on.
  void add(const AggregatorRound& round);
  // As the store has it, after a restart.
  void add(EarlierRound earlier);
  void clear() { rounds_.clear(); }

  // Devices are free again where their plan's deadline is past, or `newest` is beyond its
  // max_staleness; rounds that nothing can come of any more are forgotten. Uploads under plans from
  // before `oldest` don't count: a revert took what they started from.
  void advance(AdapterVersion newest, AdapterVersion oldest, Millis now);

  // The round with that plan; null if it is no earlier round (any more).
  const EarlierRound* find(const Sha256& plan_hash) const;
  const std::vector<EarlierRound>& rounds() const { return rounds_; }

  // It checked in (again): the round whose plan it is to be offered again, if any. One that is
  // still busy answers so; one that was killed trains again if it can, or declines and is free.
  const EarlierRound* connected(const ClientId& client);
  void answered(const Sha256& plan_hash, const ClientId& client, bool accepted);
  void lost(const ClientId& client);

  enum class Arrived : std::uint8_t {
    kAdded,   // the sum with it is to be committed
    kPending, // its commit is under way
    kCounted, // it was committed before: acknowledge it again
  };
  // An upload under that plan, opened, verified and unpacked. Errors are reasons to refuse it:
  // kFailedPrecondition where its time is over, kInvalidArgument for another shape or other bytes.
  Result<Arrived> arrived(const Sha256& plan_hash, const ClientId& client, const Sha256& upload,
                          std::span<const std::uint32_t> elements);
  // Its seal or shape was wrong.
  void rejected(const Sha256& plan_hash, const ClientId& client);

  // Rounds with uploads whose commit is due, and after that of one what is to be acknowledged.
  std::vector<const EarlierRound*> uncommitted() const;
  struct Acknowledged {
    ClientId client;
    Sha256 upload;
  };
  std::vector<Acknowledged> committed(const Sha256& plan_hash);

  // What the next release takes: all that is committed. Nothing may be uncommitted.
  std::vector<LateSum> sums() const;
  void released(); // it has taken them

  // What AggregatorRound is told: how much waits for the next release, and may still come.
  LateUploadsChanged counts() const;
  // Devices that are under way; sorted.
  std::vector<ClientId> under_way() const;

 private:
  EarlierRound* of(const Sha256& plan_hash);
  std::vector<EarlierRound> rounds_; // oldest first
};

} // namespace coppice
