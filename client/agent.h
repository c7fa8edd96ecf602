// SPDX-License-Identifier: Apache-2.0
// The device as a process: sockets, clock, disk and a worker around the pure round.
//
// One thread talks and decides; one works (trains, scores). Everything that leaves goes through
// send(), which writes the ledger first. Parts: agent.cc (loop), agent_messages.cc (what arrives),
// agent_work.cc (the round's actions and the worker's jobs).
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>

#include "base/random.h"
#include "client/device_folder.h"
#include "client/ledger.h"
#include "client/local_trainer.h"
#include "client/plan_check.h"
#include "client/release_keeper.h"
#include "client/serving.h"
#include "client/settings.h"
#include "client/upload_builder.h"
#include "client/worker.h"
#include "protocol/secagg_pieces.h"
#include "protocol/transport.h"

namespace coppice {

// Called with each round's delta before it is clipped, and with its ring elements before they are
// noised and masked. Nothing is tapped unless it is set.
using DeltaTap = std::function<void(RoundId, std::span<const float> delta,
                                    std::span<const std::uint32_t> elements)>;

struct AgentLimits {
  // Ends after this release is installed, judged, the personal adapter trained and the report made.
  std::optional<AdapterVersion> until_release;
  Millis timeout{0}; // ends after this long without word from the aggregator; 0: never
};

enum class AgentEnd { kReleaseReached, kStopped, kTimedOut };

struct AgentOptions {
  ClientSettings settings;
  EngineFactory engine;                  // empty: no training, no gate (see trainer)
  std::unique_ptr<RoundTrainer> trainer; // replaces training; for benchmarks and device tests
  std::unique_ptr<DeviceConditions> conditions;
  FrameTap tap;       // what leaves, in plain, for an owner's audit
  DeltaTap delta_tap; // what was trained, which must not leave: for the same audit
  std::function<void(const std::string&)> on_event;
};

class Agent {
 public:
  // Takes the folder's lock. kNotFound before enrolment.
  static Result<std::unique_ptr<Agent>> open(DeviceFolder folder, AgentOptions options,
                                             const Clock& clock);
  ~Agent();
  Result<AgentEnd> run(const AgentLimits& limits);
  void stop();
  const ClientId& id() const { return identity_.id; }

 private:
  Agent(DeviceFolder folder, AgentOptions options, const Clock& clock, FileLock lock,
        DeviceIdentity identity, Membership membership, DeviceMarks marks, Ledger ledger);
  Result<void> start();
  Result<void> turn();
  Result<void> housekeeping();
  Millis now() const { return clock_.monotonic(); }
  void say(const std::string& line) const;
  void write_status();

  // agent_messages.cc
  Result<void> connect();
  Result<void> check_in();
  std::vector<ConditionVerdict> eligibility() const;
  Result<void> consider_conditions();
  Result<void> send(Channel channel, const Message& message, const Sha256& plan_hash = {});
  Result<void> receive(ClientArrival arrival);
  Result<void> on(const Welcome& welcome);
  Result<void> on(const PlanOffer& offer);
  Result<void> on(const ReleaseNotice& notice);
  Result<void> on(const RoundOver& over);
  Result<void> on(const Refusal& refusal, const Sha256& plan_hash, Channel channel);
  Result<void> on(const ContentChunk& chunk);
  Result<void> on(const SecAggPiece& piece);
  Result<void> consider_release(const SignedRelease& release);
  Result<void> consider_plan();

  // agent_work.cc
  Result<void> feed(DeviceEvent event);
  Result<void> carry_out(const DeviceAction& action);
  Result<void> send_chunks(const SendChunks& chunks);
  Result<void> start_training(const StartTraining& order);
  Result<void> seal_and_store(const SealAndStore& order);
  Result<void> installed(const SharedAdapter& shared);
  Result<void> count_kept(RoundId round);
  void start_gate();
  void start_personal();
  Result<void> finish_when_done();

  DeviceFolder folder_;
  ClientSettings settings_;
  const Clock& clock_;
  FileLock lock_;
  DeviceIdentity identity_;
  Membership membership_;
  DeviceMarks marks_;
  Ledger ledger_;
  std::unique_ptr<DeviceConditions> conditions_;
  FrameTap tap_;
  DeltaTap delta_tap_;
  std::function<void(const std::string&)> on_event_;

  std::optional<ReleaseKeeper> keeper_;
  std::optional<DeviceRound> round_;
  SecAggAssembler secagg_pieces_;
  std::optional<Workshop> workshop_; // none without an engine
  std::unique_ptr<RoundTrainer> trainer_;
  KeptFile kept_;
  Serving serving_;
  std::unique_ptr<ClientTransport> transport_;
  std::uint64_t handshakes_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t received_[2] = {0, 0}; // highest sequence of the aggregator, by channel
  std::optional<PlanOffer> offer_;     // waits until the release that it starts from is here
  Millis offer_deadline_{0};
  double offered_epsilon_ = 0; // of the plan that was last considered
  std::optional<RoundTrainer::RoundDelta> trained_;
  // What the round's training starts from: while it pauses, a later release may come.
  std::shared_ptr<const SharedAdapter> start_;
  // Flags that stop the worker's jobs; null where none was begun.
  std::shared_ptr<std::atomic<bool>> training_;
  std::shared_ptr<std::atomic<bool>> serving_work_; // the gate or the personal adapter
  Millis conditions_read_{0};
  Millis met_since_{0};     // the conditions of work, while it pauses
  bool gate_again_ = false; // it was stopped
  std::optional<GateOutcome> gate_;
  std::uint64_t train_bytes_ = 0;
  bool ready_ = false;
  bool checked_in_ = false;
  bool personal_done_ = false; // for the release that is held
  bool reported_ = false;
  Millis heartbeat_{10'000};
  Millis reconnect_after_{1'000};
  Millis reconnect_window_{5'000};
  Millis last_sent_{0};
  Millis last_heard_{0};
  Millis last_round_seen_{0};
  Millis last_housekeeping_{0};
  Millis reconnect_at_{0};
  KeyedRandom jitter_;
  AgentLimits limits_;
  bool finished_ = false;
  std::atomic<bool> stopping_{false};
  std::unique_ptr<Worker> worker_; // last: its jobs use the rest
};

} // namespace coppice
