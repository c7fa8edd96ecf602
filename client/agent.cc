// SPDX-License-Identifier: Apache-2.0
// The loop: open, connect, poll, housekeeping, status.
#include "client/agent.h"

#include <algorithm>

#include "base/log.h"
#include "client/linux_conditions.h"
#include "formats/json.h"

namespace coppice {
namespace {
constexpr Millis kHousekeepingEvery{1'000};
constexpr Millis kLongestWait{500};
// An owner who picks the device up gets it back at once: while something is computed its conditions
// are read this often. And it goes on only after they were met for a while, so that it isn't paused
// again and again where a reading wavers.
constexpr Millis kConditionsEvery{20};
constexpr Millis kCalmBeforeWork{2'000};
} // namespace

Agent::Agent(DeviceFolder folder, AgentOptions options, const Clock& clock, FileLock lock,
             DeviceIdentity identity, Membership membership, DeviceMarks marks, Ledger ledger)
    : folder_(std::move(folder)),
      settings_(std::move(options.settings)),
      clock_(clock),
      lock_(std::move(lock)),
      identity_(std::move(identity)),
      membership_(std::move(membership)),
      marks_(marks),
      ledger_(std::move(ledger)),
      conditions_(std::move(options.conditions)),
      tap_(std::move(options.tap)),
      delta_tap_(std::move(options.delta_tap)),
      on_event_(std::move(options.on_event)),
      trainer_(std::move(options.trainer)),
      kept_(folder_.kept_path()),
      serving_(folder_, settings_),
      jitter_({.experiment = random_client(identity_.id),
               .client = static_cast<std::uint64_t>(clock.wall().count)}) {
  if (options.engine) {
    workshop_.emplace(std::move(options.engine), settings_.data, settings_.store);
    if (!trainer_) {
      trainer_ = local_trainer(*workshop_, clock_, random_client(identity_.id),
                               {folder_.training_path(), settings_.resources.checkpoint_every},
                               kept_, settings_.resources.max_rank);
    }
  }
}

Agent::~Agent() { worker_.reset(); }

Result<std::unique_ptr<Agent>> Agent::open(DeviceFolder folder, AgentOptions options,
                                           const Clock& clock) {
  DeviceIdentity identity = COPPICE_TRY(folder.identity());
  Membership membership = COPPICE_TRY(folder.membership());
  FileLock lock = COPPICE_TRY(FileLock::take(folder.directory() / "lock"));
  const DeviceMarks marks = COPPICE_TRY(folder.marks());
  Ledger ledger = COPPICE_TRY(Ledger::open(folder.ledger_path()));
  std::unique_ptr<Agent> agent(new Agent(std::move(folder), std::move(options), clock,
                                         std::move(lock), std::move(identity),
                                         std::move(membership), marks, std::move(ledger)));
  COPPICE_TRY(agent->start());
  return agent;
}

Result<void> Agent::start() {
  if (!trainer_) {
    return Error{ErrorCode::kUnavailable, "this build has no engine to train with"};
  }
  if (workshop_) {
    const Sha256 base = COPPICE_TRY(folder_.base_hash(settings_.model));
    if (base != membership_.base_hash) {
      return Error{ErrorCode::kFailedPrecondition,
                   cat(settings_.model.string(),
                       " is not the base model that this device enrolled "
                       "with; put that file back")};
    }
  }
  auto shared = COPPICE_TRY(folder_.shared(membership_.keys.verify));
  keeper_.emplace(membership_, std::move(shared));
  gate_ = serving_.last_gate();
  const Sha256& upload = marks_.round.upload;
  const Bytes secagg = COPPICE_TRY(folder_.secagg_state());
  round_.emplace(SecAggIdentity{.primitives = sodium_primitives(),
                                .signing = identity_.signing,
                                .id = identity_.id,
                                .fleet_key = membership_.fleet_key,
                                .owner = settings_.floors.graph,
                                .min_survivors = settings_.floors.min_survivors},
                 marks_.round, !upload.is_zero() && folder_.has_upload(upload), secagg);
  if (!secagg.empty() && round_->secagg() == nullptr) { // of a round that this device sits out
    marks_.round = round_->marks();
    COPPICE_TRY(folder_.store_marks(marks_));
    folder_.forget_secagg_state();
  }
  const auto pieces = read_pieces(settings_.data, settings_.store, nullptr);
  if (pieces.ok()) {
    for (const Piece& piece : *pieces) {
      if (piece.split == Split::kTrain) train_bytes_ += piece.text.size() + piece.response.size();
    }
  } else if (workshop_) {
    return pieces.error();
  }
  be_nice(settings_.resources.nice);
  return connect();
}

Result<void> Agent::connect() {
  const ClientTransportOptions options{.control = membership_.control_endpoint,
                                       .bulk = membership_.bulk_endpoint,
                                       .server = membership_.keys.curve,
                                       .tap = tap_};
  transport_ = COPPICE_TRY(ClientTransport::open(options, identity_.curve));
  if (!worker_) {
    worker_ = std::make_unique<Worker>([this] {
      if (transport_) transport_->wake();
    });
  }
  handshakes_ = 0;
  sequence_ = 0;
  last_heard_ = now();
  return {};
}

void Agent::stop() {
  stopping_.store(true);
  transport_->wake();
}

Result<AgentEnd> Agent::run(const AgentLimits& limits) {
  limits_ = limits;
  finished_ = false;
  last_heard_ = now();
  for (;;) {
    if (stopping_.load()) return AgentEnd::kStopped;
    if (finished_) return AgentEnd::kReleaseReached;
    if (limits.timeout.count > 0 && now() - last_heard_ > limits.timeout && worker_->idle()) {
      return AgentEnd::kTimedOut;
    }
    COPPICE_TRY(turn());
  }
}

Result<void> Agent::turn() {
  const bool working = !worker_->idle();
  auto arrivals = COPPICE_TRY(transport_->poll(working ? kConditionsEvery : kLongestWait));
  const ConnectionState connection = transport_->connection();
  if (connection.handshakes != handshakes_) { // a new connection, on both sides
    handshakes_ = connection.handshakes;
    received_[0] = received_[1] = 0;
    COPPICE_TRY(check_in());
    COPPICE_TRY(feed(Reconnected{}));
    if (const auto fetch = keeper_->resume()) COPPICE_TRY(send(Channel::kBulk, *fetch));
  }
  for (ClientArrival& arrival : arrivals) COPPICE_TRY(receive(std::move(arrival)));
  for (const Worker::Outcome& outcome : worker_->take_outcomes()) outcome();
  if (now() - conditions_read_ >= kConditionsEvery) COPPICE_TRY(consider_conditions());
  if (now() - last_housekeeping_ >= kHousekeepingEvery) COPPICE_TRY(housekeeping());
  return finish_when_done();
}

// What is computed pauses as soon as the owner's conditions forbid it; a round's training goes on
// later if the round still runs.
Result<void> Agent::consider_conditions() {
  conditions_read_ = now();
  const auto not_now = paused_because(eligibility());
  if (not_now || !round_->paused()) met_since_ = now();
  if (not_now && serving_work_) serving_work_->store(true);
  if (not_now || now() - met_since_ >= kCalmBeforeWork) COPPICE_TRY(feed(Conditions{not_now}));
  if (gate_again_ && !round_->paused()) start_gate();
  return {};
}

Result<void> Agent::housekeeping() {
  last_housekeeping_ = now();
  const bool ready = !not_eligible_because(eligibility()).has_value();
  if (checked_in_ && ready != ready_) COPPICE_TRY(check_in());
  if (checked_in_ && now() - last_sent_ >= heartbeat_) {
    COPPICE_TRY(send(Channel::kControl, Ping{static_cast<std::uint64_t>(now().count)}));
  }
  COPPICE_TRY(feed(DeviceTick{}));
  // Silence for three heartbeats: the connection is dead even if TCP doesn't know yet.
  const Millis silent = now() - last_heard_;
  if (silent > Millis{3 * heartbeat_.count} && now() >= reconnect_at_) {
    const auto window =
        static_cast<std::uint64_t>(std::max<std::int64_t>(1, reconnect_window_.count));
    reconnect_at_ = now() + Millis{3 * heartbeat_.count} + reconnect_after_ +
                    Millis{static_cast<std::int64_t>(jitter_.below(window))};
    checked_in_ = false;
    COPPICE_TRY(transport_->reconnect());
  }
  if (settings_.personal.enabled && !personal_done_ && gate_ && worker_->idle() &&
      !round_->paused() && now() - last_round_seen_ > settings_.personal.after_idle &&
      !round_->busy()) {
    start_personal();
  }
  write_status();
  return {};
}

void Agent::say(const std::string& line) const {
  log::info(line);
  if (on_event_) on_event_(line);
}

void Agent::write_status() {
  Json status;
  status["schema"] = "coppice.client.status/1";
  status["id"] = identity_.id.hex();
  status["connected"] = transport_->connection().connected && checked_in_;
  status["phase"] = round_->phase_name();
  status["round"] = marks_.round.highest_round.value;
  if (keeper_->held()) status["release"] = keeper_->held()->release.version.value;
  if (gate_) status["serves"] = served_name(gate_->served);
  status["ready"] = ready_;
  status["conditions"] = Json::array();
  for (const ConditionVerdict& verdict : eligibility()) {
    status["conditions"].push_back({{"condition", verdict.condition},
                                    {"reading", verdict.reading},
                                    {"threshold", verdict.threshold},
                                    {"met", verdict.met}});
  }
  const auto written =
      write_file_atomically(folder_.directory() / "status.json",
                            as_bytes(dump_json(status, 2) + "\n"), FileMode::kPrivate);
  if (!written.ok()) log::warning("status: ", written.error().message);
}

} // namespace coppice
