// SPDX-License-Identifier: Apache-2.0
// A device's side of a round, as a pure state machine: (state, event, now) -> (state, actions).
//
// No sockets, clock, randomness, training or disk inside: the agent, the simulator and the fault
// tests drive the same object. Persist actions are carried out, and durable, before the actions
// after them. Nothing is sealed twice under one plan: the used-once mark is on disk before sealing,
// the finished bytes before their first chunk leaves, and a restart goes on with those bytes or
// sits the round out. Training pauses while the device's conditions forbid it; what is trained by
// then stays stored until it is sealed or the round is over.
//
// With secure aggregation a machine of its own (protocol/secagg_client.h) runs inside: it begins
// when training has ended, so that a device that leaves while it trains costs nobody anything, and
// lives until the round's end, since the survivors' list comes after the upload. Under plans that
// take late uploads a round that is released ends nothing that is under way. Thread-compatible.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "protocol/messages.h"
#include "protocol/secagg_client.h"

namespace coppice {

// Never null. Some kilobytes that all phases, and all devices of a simulation, look at.
using SharedPlan = std::shared_ptr<const RoundPlan>;

// What must survive a crash, as one record.
struct RoundMarks {
  RoundId highest_round;  // of any plan accepted; lower ones are refused
  Sha256 plan_hash;       // of `highest_round`; another plan for it is refused
  bool seal_used = false; // sealing under that plan has begun: never again
  Sha256 upload;          // finished bytes on disk; zero: none
  std::uint64_t upload_bytes = 0;
  bool acknowledged = false;
  std::uint32_t min_survivors = 0; // with secure aggregation: no sum over fewer is unmasked
  // The plan takes uploads after its round was released (SumTerms::max_staleness): until its
  // deadline, or a refusal, what is under way goes on.
  bool may_be_late = false;
  bool operator==(const RoundMarks&) const = default;
};

// ---- phases ----
struct Resting {};
struct Training {
  SharedPlan plan;
  Sha256 plan_hash;
  Millis deadline;
  Millis train_until; // in time to upload
};
struct MaskAgreement { // trained; agrees on masks with its neighbours
  SharedPlan plan;
  Sha256 plan_hash;
  Millis deadline;
};
struct Sealing { // the used-once mark is on disk; the upload is being made
  SharedPlan plan;
  Sha256 plan_hash;
  Millis deadline;
};
struct Uploading {
  RoundId round;
  Sha256 plan_hash;
  Sha256 upload;
  std::uint64_t size = 0;
  std::uint32_t next = 0;    // first chunk not sent yet
  std::uint32_t allowed = 0; // chunks below this may be sent
  bool offered = false;      // the next credit answers an offer: it says where to go on
  Millis last_offer;
};
struct AwaitingRelease { // counted; waits for the round's end, and helps to unmask
  RoundId round;
};
using DevicePhase =
    std::variant<Resting, Training, MaskAgreement, Sealing, Uploading, AwaitingRelease>;

// ---- events ----
struct PlanVerified { // signature, keys, base, adapter and floors were checked by
                      // client/plan_check.h
  SharedPlan plan;
  Sha256 plan_hash;
  Millis time_left;
  std::optional<std::string> decline; // why not now; stays on the device
};
struct Trained {
  Sha256 plan_hash;
};
struct TrainingFailed {
  Sha256 plan_hash;
  std::string reason;
};
struct UploadStored {
  Sha256 plan_hash;
  Sha256 upload;
  std::uint64_t size = 0;
};
struct CreditReceived {
  UploadCredit credit;
};
struct AckReceived {
  UploadAck ack;
};
struct RoundOverReceived {
  RoundOver over;
};
struct UploadRefused { // for good: see ends_upload()
  Sha256 plan_hash;    // of the refused message
  std::string reason;
};
struct SecAggReceived {
  Sha256 plan_hash;
  SecAggMessage message;
};
struct Conditions {                   // said at the start and when they change
  std::optional<std::string> not_now; // why training must pause; none: it may go on
};
struct Reconnected {};
struct DeviceTick {};
using DeviceEvent = std::variant<PlanVerified, Trained, TrainingFailed, UploadStored,
                                 CreditReceived, AckReceived, RoundOverReceived, UploadRefused,
                                 SecAggReceived, Conditions, Reconnected, DeviceTick>;

// ---- actions ----
struct PersistMarks { // durable before the next action
  RoundMarks marks;
};
struct SendAnswer {
  PlanAnswer answer;
};
struct StartTraining { // from what is stored of it, if anything is
  SharedPlan plan;
  Sha256 plan_hash;
  Millis deadline; // stop training in time to upload
};
struct StopTraining {};   // at once; no event follows
struct ForgetTraining {}; // what is stored of it is of no more use
// Make the upload of the trained delta, masked with masks() where the plan says so, and write it to
// disk; then UploadStored.
struct SealAndStore {
  SharedPlan plan;
  Sha256 plan_hash;
};
struct SendOffer {
  UploadOffer offer;
};
struct SendChunks { // [first, first + count) of the stored upload
  Sha256 upload;
  Sha256 plan_hash;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};
struct PersistSecAggState { // durable before the next action; holds secrets
  Bytes state;
};
struct SendSecAggMessage {
  Sha256 plan_hash;
  SecAggMessage message;
};
struct ForgetSecAggState {}; // wipe it: the round is over for this device
struct ForgetUpload {        // the stored bytes are of no more use
  Sha256 upload;
};
struct Note { // for the device's own log
  std::string line;
};
using DeviceAction =
    std::variant<PersistMarks, SendAnswer, StartTraining, StopTraining, ForgetTraining,
                 SealAndStore, SendOffer, SendChunks, PersistSecAggState, SendSecAggMessage,
                 ForgetSecAggState, ForgetUpload, Note>;

// Whether a refusal is the end of the upload it speaks of. Others (busy, out of step after a
// reconnect) are mended by the next offer.
bool ends_upload(const Refusal& refusal);

// Who this device is in secure aggregation. References must outlive the round.
struct SecAggIdentity {
  const SecAggPrimitives& primitives;
  const SigningKey& signing;
  ClientId id;
  FleetVerifyKey fleet_key;
  GraphAssumptions owner;          // what the owner assumes of the others
  std::uint32_t min_survivors = 0; // the owner's floor
};

class DeviceRound {
 public:
  // With the marks as on disk. An unfinished upload whose bytes are there (`upload_on_disk`) goes
  // on; one whose bytes are lost sits out, and so does one whose secure aggregation's state
  // (`secagg_state`, empty: none) is lost or unreadable.
  DeviceRound(SecAggIdentity identity, RoundMarks marks, bool upload_on_disk,
              ByteSpan secagg_state);

  std::vector<DeviceAction> handle(DeviceEvent event, Millis now);

  const DevicePhase& phase() const { return phase_; }
  const char* phase_name() const;
  const RoundMarks& marks() const { return marks_; }
  bool paused() const { return paused_; }
  bool busy() const { return !std::holds_alternative<Resting>(phase_); }
  // In phase Sealing: the masks to apply, none without secure aggregation.
  Result<std::vector<SignedSeed>> masks() const;
  const SecAggClient* secagg() const { return secagg_ ? &*secagg_ : nullptr; }

 private:
  using Actions = std::vector<DeviceAction>;
  Actions on(PlanVerified&&, Millis now);
  Actions on(const Trained&, Millis now);
  Actions on(const TrainingFailed&, Millis now);
  Actions on(const UploadStored&, Millis now);
  Actions on(const CreditReceived&, Millis now);
  Actions on(const AckReceived&, Millis now);
  Actions on(const RoundOverReceived&, Millis now);
  Actions on(const UploadRefused&, Millis now);
  Actions on(const SecAggReceived&, Millis now);
  Actions on(const Conditions&, Millis now);
  Actions on(const Reconnected&, Millis now);
  Actions on(const DeviceTick&, Millis now);
  Actions seal();
  Actions follow(std::vector<SecAggClientAction> actions);
  Actions offer(Uploading& uploading, Millis now);
  Actions rest();

  SecAggIdentity identity_;
  RoundMarks marks_;
  DevicePhase phase_ = Resting{};
  bool paused_ = false;                // by the device's conditions
  std::optional<SecAggClient> secagg_; // from MaskAgreement on, under plans with secure aggregation
};

} // namespace coppice
