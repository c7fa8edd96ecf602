// SPDX-License-Identifier: Apache-2.0
// One round, as a pure state machine: (state, event, now) -> (state, actions).
//
// No sockets, clock, randomness or disk inside: the service, the simulator and the fault tests
// drive the same object. The driver carries out the actions in order and answers the commits with
// events. Order is the promise: an offer follows its plan's commit, an acknowledgement the commit
// of the sum it is in, the release the commit of the survivors. A bad upload closes that client
// only; the round is lost only below its threshold or past its deadline, and then whole (PROTOCOL:
// uploads, crashes, exactly once). Thread-compatible.
#pragma once

#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "protocol/round_plan.h"

namespace coppice {

// ---- phases: each holds only what that phase knows ----

enum class MemberState : std::uint8_t {
  kOffered,  // asked; no answer yet
  kAccepted, // trains
  kDeclined, // "not now"
  kReported, // its upload is in the running sum, not committed yet
  kCounted,  // committed: it counts once, whatever is repeated
  kLost,     // lease ran out, revoked, or sent an upload that was refused
};

// What a phase with uploads in it knows of them.
struct RunningSum {
  std::vector<std::uint32_t> elements;    // one a ring element, all slots in order
  std::map<ClientId, Sha256> counted;     // committed: client, upload
  std::map<ClientId, Sha256> uncommitted; // added, waiting for the commit under way
};

struct Planned {}; // the plan's commit is under way
struct Collecting {
  RunningSum sum;
};
struct Closing { // the survivors' commit is under way
  RunningSum sum;
};
struct Finalizing { // strategy, release and their commit are under way
  RunningSum sum;
};
struct Released {
  AdapterVersion version;
};
struct Abandoned {
  std::string reason;
};
using RoundPhase = std::variant<Planned, Collecting, Closing, Finalizing, Released, Abandoned>;

// ---- events ----

struct PlanCommitted {};
struct MemberConnected { // a member checked in (again) while the round runs
  ClientId client;
};
struct MemberAnswered {
  ClientId client;
  bool accepted = false;
};
struct MemberLost {
  ClientId client;
};
struct UploadArrived { // opened, verified and unpacked: elements of all slots in order
  ClientId client;
  Sha256 upload;
  std::vector<std::uint32_t> elements;
};
struct UploadRejected { // its seal or shape was wrong: that client is out of this round
  ClientId client;
  std::string reason;
};
struct SumCommitted {};
struct CloseCommitted {};
struct ReleaseCommitted {
  AdapterVersion version;
};
struct FinalizeFailed {
  std::string reason;
};
struct AbortRequested {
  std::string reason;
};
struct Tick {};
using RoundEvent = std::variant<PlanCommitted, MemberConnected, MemberAnswered, MemberLost,
                                UploadArrived, UploadRejected, SumCommitted, CloseCommitted,
                                ReleaseCommitted, FinalizeFailed, AbortRequested, Tick>;

// ---- actions ----

struct CommitPlan {}; // then PlanCommitted
struct OfferPlan {
  ClientId client;
};
struct CommitSum {}; // {sum, ids in it, epoch} in one transaction; then SumCommitted
struct AcknowledgeUpload {
  ClientId client;
  Sha256 upload;
};
struct RefuseUpload {
  ClientId client;
  std::string reason;
};
struct CommitClose {}; // the survivors' list; then CloseCommitted
struct MakeRelease {}; // then ReleaseCommitted or FinalizeFailed
struct AnnounceRelease {
  AdapterVersion version;
};
struct CommitAbandon { // and tell the members
  std::string reason;
};
using RoundAction = std::variant<CommitPlan, OfferPlan, CommitSum, AcknowledgeUpload, RefuseUpload,
                                 CommitClose, MakeRelease, AnnounceRelease, CommitAbandon>;

// What the store keeps of a running round, for a restart.
struct StoredRound {
  RoundPlan plan;
  std::vector<ClientId> members;
  std::vector<std::uint32_t> sum; // empty if nothing was counted
  std::map<ClientId, Sha256> counted;
  bool closed = false; // the survivors' list was committed
};

class AggregatorRound {
 public:
  // `deadline` on the clock of the `now`s given to handle(). Members are distinct.
  AggregatorRound(RoundPlan plan, std::vector<ClientId> members, Millis deadline);
  // Goes on with a stored round. Its first actions come from handle(Tick).
  static AggregatorRound resume(StoredRound stored, Millis deadline);

  // The first actions of a fresh round.
  std::vector<RoundAction> start();
  std::vector<RoundAction> handle(RoundEvent event, Millis now);

  const RoundPlan& plan() const { return plan_; }
  const Sha256& plan_hash() const { return plan_hash_; }
  const RoundPhase& phase() const { return phase_; }
  const char* phase_name() const;
  Millis deadline() const { return deadline_; }
  const std::map<ClientId, MemberState>& members() const { return members_; }
  // The running sum, in phases that have one; else null.
  const RunningSum* sum() const;
  std::size_t count(MemberState state) const;
  bool over() const;

 private:
  using Actions = std::vector<RoundAction>;
  Actions on(const PlanCommitted&, Millis now);
  Actions on(const MemberConnected&, Millis now);
  Actions on(const MemberAnswered&, Millis now);
  Actions on(const MemberLost&, Millis now);
  Actions on(UploadArrived&&, Millis now);
  Actions on(const UploadRejected&, Millis now);
  Actions on(const SumCommitted&, Millis now);
  Actions on(const CloseCommitted&, Millis now);
  Actions on(const ReleaseCommitted&, Millis now);
  Actions on(const FinalizeFailed&, Millis now);
  Actions on(const AbortRequested&, Millis now);
  Actions on(const Tick&, Millis now);

  Actions close_if_done(Millis now);
  Actions abandon(std::string reason);

  RoundPlan plan_;
  Sha256 plan_hash_;
  std::size_t ring_elements_ = 0;
  Millis deadline_;
  std::map<ClientId, MemberState> members_;
  RoundPhase phase_ = Planned{};
};

// The slots' own widths: sum[i] = (sum[i] + upload[i]) mod 2^(its slot's bits).
void add_upload(const std::vector<Slot>& slots, std::span<std::uint32_t> sum,
                std::span<const std::uint32_t> upload);

} // namespace coppice
