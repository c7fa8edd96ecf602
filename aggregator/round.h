// SPDX-License-Identifier: Apache-2.0
// One round, as a pure state machine: (state, event, now) -> (state, actions).
//
// No sockets, clock, randomness or disk inside: the service, the simulator and the fault tests
// drive the same object. The driver carries out the actions in order and answers the commits with
// events. Order is the promise: an offer follows its plan's commit, an acknowledgement the commit
// of the sum it is in, the release the commit of the survivors. A commit that failed for now, on a
// full disk, gets no event; a later Tick asks for it again, but for the plan's (drop the round,
// nobody knows of it) and the sum's (`uncommitted` stays, and grows). A bad upload closes that
// client only; the round is lost only below its threshold or past its deadline, and then whole
// (PROTOCOL: uploads, crashes, exactly once).
//
// With secure aggregation machines of its own (aggregator/secagg_groups.h) run inside, one a group,
// from the plan's commit to the unmasked sums: the uploads that are added are masked, and nothing
// is decoded before the survivors have helped to unmask. A group whose machine is lost is left out.
// Parts: round.cc, round_secagg.cc. Thread-compatible.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "aggregator/secagg_groups.h"
#include "base/clock.h"
#include "base/ids.h"
#include "protocol/round_plan.h"
#include "protocol/round_schedule.h"

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

// Neither out of the round nor in its sum.
constexpr bool is_awaited(MemberState state) {
  return state == MemberState::kOffered || state == MemberState::kAccepted;
}

// What a phase with uploads in it knows of them.
struct RunningSum {
  // One a ring element, all slots in order; a sum for each of the plan's groups, one after another.
  std::vector<std::uint32_t> elements;
  std::map<ClientId, Sha256> counted;     // committed: client, upload
  std::map<ClientId, Sha256> uncommitted; // added, waiting for the commit under way
  std::set<std::uint32_t> touched;        // groups that these are in
  std::uint32_t groups = 1;
  std::span<const std::uint32_t> group(std::uint32_t number) const {
    const std::size_t size = elements.size() / groups;
    return std::span(elements).subspan(number * size, size);
  }
};

struct Planned {};  // the plan's commit is under way
struct Agreeing {}; // with secure aggregation: devices train, then agree on masks
struct Collecting {
  RunningSum sum;
};
struct Closing { // the survivors' commit is under way
  RunningSum sum;
};
struct Unmasking { // survivors are committed; they are asked for what unmasks their sum
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
using RoundPhase = std::variant<Planned, Agreeing, Collecting, Closing, Unmasking, Finalizing,
                                Released, Abandoned>;

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
struct SecAggArrived { // its envelope verified; key and certificate are the registry's
  ClientId client;
  SecAggMessage message;
  VerifyKey device;
  SignedCertificate certificate;
};
struct SumUnmasked {
  std::vector<std::uint32_t> elements;
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
struct LateUploadsChanged {    // those of earlier rounds (aggregator/late_uploads.h)
  std::uint32_t counted = 0;   // committed, and in no release yet: this round's takes them
  std::uint32_t under_way = 0; // devices that may still send theirs
};
using RoundEvent =
    std::variant<PlanCommitted, MemberConnected, MemberAnswered, MemberLost, UploadArrived,
                 UploadRejected, SecAggArrived, SumUnmasked, SumCommitted, CloseCommitted,
                 ReleaseCommitted, FinalizeFailed, AbortRequested, Tick, LateUploadsChanged>;

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
struct CommitSecAggState { // durable before the next action
  Bytes state;
};
struct SendAgreement {
  ClientId client;
  SecAggDraft draft;
};
struct GroupMasks {
  std::uint32_t group = 0;
  std::vector<SignedSeed> seeds;
};
struct UnmaskSum { // apply these masks (unmask_groups()); then SumUnmasked
  std::shared_ptr<const std::vector<GroupMasks>> masks; // of the groups that aren't lost
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
                                 CommitSecAggState, SendAgreement, UnmaskSum, CommitClose,
                                 MakeRelease, AnnounceRelease, CommitAbandon>;

// What the store keeps of a running round, for a restart.
struct StoredRound {
  RoundPlan plan;
  std::vector<ClientId> members;
  std::vector<std::uint32_t> sum; // empty if nothing was counted
  std::map<ClientId, Sha256> counted;
  bool closed = false; // the survivors' list was committed
  Bytes secagg;        // SecAggGroups::serialize(); empty before a roster was committed
};

// The slots' own widths: sum[i] = (sum[i] + upload[i]) mod 2^(its slot's bits).
void add_upload(const std::vector<Slot>& slots, std::span<std::uint32_t> sum,
                std::span<const std::uint32_t> upload);
// That, now or later, to a group's part of the sum.
using AddUpload = std::function<void(const std::vector<Slot>& slots, std::span<std::uint32_t> sum,
                                     std::vector<std::uint32_t> upload)>;

class AggregatorRound {
 public:
  // `deadline` on the clock of the `now`s given to handle(). Members are distinct.
  // `primitives` must outlive it. `add`: how uploads are added; one who adds later has added what
  // was given before anybody reads a sum, and before the round goes.
  AggregatorRound(RoundPlan plan, const std::vector<ClientId>& members, Millis deadline,
                  const SecAggPrimitives& primitives = sodium_primitives(),
                  AddUpload add = add_upload);
  // Goes on with a stored round. Its first actions come from handle(Tick). kCorrupt: a state of
  // secure aggregation that can't be read.
  static Result<AggregatorRound> resume(StoredRound stored, Millis deadline,
                                        const SecAggPrimitives& primitives = sodium_primitives());

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
  const SecAggGroups* secagg() const { return secagg_ ? &*secagg_ : nullptr; }
  std::size_t count(MemberState state) const;
  // Counted devices of each of the plan's groups, in phases with a sum; 0 of a lost group.
  std::vector<std::uint32_t> counted_by_group() const;
  // Whom the present phase waits for: their keys, nonces, shares, uploads, or what unmasks the sum.
  std::vector<ClientId> awaited() const;
  bool over() const;

 private:
  using Actions = std::vector<RoundAction>;
  Actions on(const PlanCommitted&, Millis now);
  Actions on(const MemberConnected&, Millis now);
  Actions on(const MemberAnswered&, Millis now);
  Actions on(const MemberLost&, Millis now);
  Actions on(UploadArrived&&, Millis now);
  Actions on(const UploadRejected&, Millis now);
  Actions on(const SecAggArrived&, Millis now);
  Actions on(SumUnmasked&&, Millis now);
  Actions on(const SumCommitted&, Millis now);
  Actions on(const CloseCommitted&, Millis now);
  Actions on(const ReleaseCommitted&, Millis now);
  Actions on(const FinalizeFailed&, Millis now);
  Actions on(const AbortRequested&, Millis now);
  Actions on(const Tick&, Millis now);
  Actions on(const LateUploadsChanged&, Millis now);

  void assign_groups();
  Actions close_if_done(Millis now);
  bool awaits(const ClientId& client, MemberState state) const;
  // round_secagg.cc
  SecAggServerContext secagg_context() const;
  Actions member_back(const ClientId& client, MemberState& state);
  Actions follow(std::uint32_t group, SecAggServer::Actions wanted);
  Actions end_sums();
  Actions lose(std::uint32_t group, const std::string& reason);
  Actions unmask_when_all_can();
  Actions advance(Millis now);
  Actions advance(std::uint32_t group, Millis gone);
  void leave_behind(std::uint32_t group);
  Actions member_gone(const ClientId& client);
  Actions abandon(std::string reason);

  RoundPlan plan_;
  AddUpload add_;
  Sha256 plan_hash_;
  std::size_t ring_elements_ = 0;
  Millis deadline_;
  std::map<ClientId, MemberState> members_;
  GroupOf group_of_; // with several groups
  LateUploadsChanged late_;
  RoundPhase phase_ = Planned{};
  const SecAggPrimitives* primitives_;
  std::optional<SecAggGroups> secagg_; // from the plan's commit on, where the plan has it
  std::vector<GroupMasks> unmasked_;   // of the groups that have finished
};

// The plan's groups without their masks; zeros where a group is in none. At most so many threads.
void unmask_groups(const RoundPlan& plan, const UnmaskSum& order, std::span<std::uint32_t> elements,
                   unsigned threads = 1);

} // namespace coppice
