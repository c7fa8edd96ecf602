// SPDX-License-Identifier: Apache-2.0
// The aggregator as a process: sockets, clock and disk around the pure round.
//
// One thread: poll, verify, decode, feed the round, carry out its actions, answer. Every wait is
// bounded by the next deadline. Requests of the command line (pause, abort, revert, revoke) come
// through the state database. Parts: service.cc (loop), service_control.cc, service_bulk.cc,
// service_round.cc, service_late.cc, service_privacy.cc, service_disk.cc.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "aggregator/client_registry.h"
#include "aggregator/cohort.h"
#include "aggregator/fetch_queue.h"
#include "aggregator/fleet_folder.h"
#include "aggregator/late_uploads.h"
#include "aggregator/privacy_ledger.h"
#include "aggregator/round.h"
#include "aggregator/round_maker.h"
#include "aggregator/settings.h"
#include "aggregator/state_store.h"
#include "aggregator/upload_intake.h"
#include "base/clock.h"
#include "protocol/envelope.h"
#include "protocol/transport.h"

namespace coppice {

struct ServiceLimits {
  std::uint64_t rounds = 0; // releases to make before run() returns; 0: no end
  Millis timeout{0};        // run() gives up after this long without a round's end; 0: never
  bool leave_when_fetched =
      false; // with `rounds`: serve until every ready device holds the last release
};

enum class ServiceEnd { kRoundsDone, kStopped, kNoQuorum, kBudgetSpent };

// For status displays, benchmarks and the demo: told as it happens, on the service's thread.
struct RoundReport {
  RoundRecord record;
  std::uint64_t bytes_up_max = 0; // largest upload, with its envelopes
  double seconds = 0;             // from the plan's commit to the release's
  std::vector<MetricMean> metrics;
};
struct ServiceObserver {
  std::function<void(const std::string&)> on_event; // one line for people
  std::function<void(const RoundReport&)> on_round;
};

class AggregatorService {
 public:
  // Takes the folder's lock and the next epoch, binds the sockets, and goes on with a running
  // round.
  static Result<std::unique_ptr<AggregatorService>> open(FleetFolder folder,
                                                         AggregatorSettings settings,
                                                         const Clock& clock);
  ~AggregatorService();

  ServerEndpoints endpoints() const { return transport_->endpoints(); }
  void observe(ServiceObserver observer) { observer_ = std::move(observer); }
  // Until the limits, or stop(). Errors are of the disk and of the state, never of a client. A full
  // disk is no error: rounds wait for space.
  Result<ServiceEnd> run(const ServiceLimits& limits);
  void stop(); // from a signal handler's thread or another thread

 private:
  // One authenticated connection of a device on one channel.
  struct Link {
    PeerAddress address;
    std::uint64_t last_sequence = 0;
  };
  struct Session {
    std::map<Channel, Link> links;
  };

  AggregatorService(FleetFolder folder, AggregatorSettings settings, const Clock& clock,
                    FileLock lock, StateStore store);
  Result<void> start();
  Result<void> turn(Millis wait); // one poll and all that follows from it
  Result<void> housekeeping();
  Millis next_wait() const;
  bool everybody_has_fetched() const;
  Millis now() const { return clock_.monotonic(); }

  // service_control.cc
  Result<void> handle_enroll(const Arrival& arrival);
  Result<void> handle_arrival(Arrival arrival);
  Result<void> dispatch(const ClientId& client, const PeerAddress& from,
                        const EnvelopeHeader& header, Message message);
  Result<void> on_check_in(const ClientId& client, const PeerAddress& from, KeySetNumber known,
                           CheckIn message);
  Result<std::string> fault_of_claim(const ClientId& client, const CheckIn& message);
  Result<void> learn_from(const ClientId& client, const CheckIn& message);
  Result<void> on_leave(const ClientId& client);
  Result<void> device_gone(const ClientId& client);
  void send(const PeerAddress& to, const Message& message, const Sha256& plan_hash = {});
  void send_as(const AggregatorKeys& keys, const PeerAddress& to, const Message& message,
               const Sha256& plan_hash = {});
  // A device learns new keys from a Welcome that is signed by those it knows.
  void welcome(const PeerAddress& to, KeySetNumber known);
  void send_control(const ClientId& client, const Message& message, const Sha256& plan_hash = {});
  // `plan_hash` is that of the refused message, so that a late refusal can't end another round's
  // upload.
  void refuse(const PeerAddress& to, const Error& error, const Sha256& plan_hash = {});
  Welcome make_welcome() const;
  Result<void> apply_requests();

  // service_bulk.cc
  Result<void> on_upload_offer(const ClientId& client, const PeerAddress& from,
                               const UploadOffer& offer);
  Result<void> on_upload_chunk(const ClientId& client, const PeerAddress& from,
                               const Sha256& plan_hash, const UploadChunk& chunk);
  Result<void> on_upload_finished(const ClientId& client, const Sha256& plan_hash,
                                  const Bytes& bytes);
  const RoundPlan* plan_of(const Sha256& plan_hash) const;
  Result<void> on_secagg(const ClientId& client, const SecAggPiece& piece);
  void send_secagg(const ClientId& client, const SecAggMessage& message);
  void serve(const std::vector<FetchQueue::Turn>& turns);
  void serve_one(const PeerAddress& to, const Fetch& fetch);
  void grant(const std::vector<UploadIntake::Grant>& grants);

  // service_round.cc
  Result<void> resume_round();
  Result<void> maybe_start_round();
  Result<std::vector<ClientId>> draw_members();
  void wait_because(std::string reason);
  Result<void> feed(RoundEvent event);
  Result<void> carry_out(const RoundAction& action, std::vector<RoundEvent>& events);
  Result<RoundEvent> make_release_now();
  Result<void> end_round(bool released, const std::string& reason);
  Result<void> revert_to(AdapterVersion version);
  Result<void> load_current_release();
  AdapterVersion next_version() const;

  // service_late.cc
  Result<void> resume_late();
  Result<void> late_changed();
  Result<void> forget_late();
  void offer_late(const ClientId& client);
  Result<void> on_late_upload(const ClientId& client, const Sha256& plan_hash, const Sha256& upload,
                              std::span<const std::uint32_t> elements);
  Result<void> commit_late();
  void acknowledge(const ClientId& client, RoundId round, const Sha256& plan_hash,
                   const Sha256& upload);

  // service_privacy.cc
  Result<void> open_privacy();
  Result<PrivacyTerms> next_privacy(PlanInputs inputs);
  Result<bool> afford(RoundPlan& plan);
  Result<void> adapt_clip();
  Result<std::string> fault_of_charge(const ClientId& client, std::uint64_t rounds, RoundId seen);
  Result<std::string> unknown_spends();
  Result<SpendRecord> unproven_charge(std::uint64_t rounds, RoundId seen) const;
  Result<void> charge_unproven(RoundId last_known, RoundId seen);

  // service_disk.cc
  Result<void> pause_if_full(Result<void> done);
  Result<void> retry_commits();
  Result<void> resume_agreement();
  Result<void> commit_uploads();
  std::string disk_shortage() const;

  void say(const std::string& line) const;
  void write_status();

  FleetFolder folder_;
  AggregatorSettings settings_;
  const Clock& clock_;
  FileLock lock_;
  StateStore store_;
  std::optional<ClientRegistry> registry_;
  std::unique_ptr<ServerTransport> transport_;
  Cohort cohort_;
  UploadIntake intake_;
  FetchQueue fetches_;
  std::map<ClientId, Session> sessions_;
  std::uint64_t sequence_ = 0;
  ServiceObserver observer_;
  std::atomic<bool> stopping_{false};

  std::unique_ptr<Strategy> strategy_;
  StrategyState strategy_state_;
  std::optional<AggregatorRound> round_;
  LateUploads late_; // of rounds before it
  SignedPlan signed_plan_;
  Millis round_started_;
  std::uint64_t upload_bytes_max_ = 0;
  std::vector<MetricMean> metrics_;

  SignedRelease release_; // newest
  Release release_facts_;
  std::optional<Adapter> adapter_;                               // its content
  std::map<Sha256, std::shared_ptr<const Bytes>> content_cache_; // of the newest release

  PrivacyLedger ledger_;
  std::optional<double> planned_multiplier_; // what the budget allows over the planned rounds
  bool budget_spent_ = false;
  bool secagg_unsaved_ = false; // a full disk: its last state is in memory only
  bool paused_ = false;
  Millis next_round_at_{0};
  AdapterVersion highest_seen_version_;
  std::uint64_t releases_made_ = 0;
  std::uint32_t abandoned_in_a_row_ = 0;
  Millis last_progress_{0};
  Millis last_housekeeping_{0};
  Millis last_seen_written_{0};
  std::string last_waiting_;   // why no round starts now; empty if one may
  std::string last_said_;      // of these, so that each is said once
  bool status_failed_ = false; // said once
  bool disk_full_ = false;     // the last commit failed for lack of space
  Millis disk_retry_at_{0};
  std::uint32_t disk_full_in_a_row_ = 0; // since the last release
};

} // namespace coppice
