// SPDX-License-Identifier: Apache-2.0
// The loop: open, poll, housekeeping, status.
#include "aggregator/service.h"
#include "aggregator/round_privacy.h"

#include <algorithm>

#include "aggregator/version_zero.h"
#include "base/log.h"
#include "formats/json.h"

namespace coppice {
namespace {
constexpr Millis kHousekeepingEvery{500};
constexpr Millis kLastSeenEvery{10'000}; // for `clients list`: no need to be exact
constexpr Millis kLongestWait{500};
constexpr std::size_t kArrivalsInATurn = 64;
} // namespace

AggregatorService::AggregatorService(FleetFolder folder, AggregatorSettings settings,
                                     const Clock& clock, FileLock lock, StateStore store)
    : folder_(std::move(folder)),
      settings_(std::move(settings)),
      clock_(clock),
      lock_(std::move(lock)),
      store_(std::move(store)),
      cohort_(settings_.cohort),
      intake_(settings_.uploads_at_once, settings_.cohort.lease),
      fetches_(settings_.uploads_at_once, settings_.cohort.lease) {}

AggregatorService::~AggregatorService() = default;

Result<std::unique_ptr<AggregatorService>> AggregatorService::open(FleetFolder folder,
                                                                   AggregatorSettings settings,
                                                                   const Clock& clock) {
  FileLock lock = COPPICE_TRY(FileLock::take(folder.directory() / "lock"));
  StateStore store = COPPICE_TRY(StateStore::open(folder.directory()));
  std::unique_ptr<AggregatorService> service(new AggregatorService(
      std::move(folder), std::move(settings), clock, std::move(lock), std::move(store)));
  COPPICE_TRY(service->start());
  return service;
}

Result<void> AggregatorService::start() {
  strategy_ = COPPICE_TRY(make_strategy(settings_.strategy, settings_.round.secure_aggregation));
  registry_.emplace(COPPICE_TRY(ClientRegistry::open(store_.database())));
  COPPICE_TRY(load_current_release());
  COPPICE_TRY(check_shape(adapter_->spec(), settings_));
  COPPICE_TRY(open_privacy());
  const ServerTransportOptions options{.endpoints = settings_.endpoints,
                                       .max_clients = settings_.max_clients};
  const auto allow_list = registry_->allow_list();
  transport_ = COPPICE_TRY(ServerTransport::open(
      options, folder_.keys().curve,
      [allow_list](const CurvePublicKey& key) { return allow_list->find(key); }));
  COPPICE_TRY(apply_requests());
  last_progress_ = now();
  return pause_if_full(resume_round());
}

void AggregatorService::stop() {
  stopping_.store(true);
  transport_->wake();
}

Result<ServiceEnd> AggregatorService::run(const ServiceLimits& limits) {
  last_progress_ = now();
  // A release that was finished while opening: its devices haven't come back yet.
  const Millis leave_from = releases_made_ > 0 ? now() + settings_.cohort.lease : now();
  for (;;) {
    if (stopping_.load()) return ServiceEnd::kStopped;
    const auto made_all = [&] { return limits.rounds > 0 && releases_made_ >= limits.rounds; };
    if (made_all() &&
        (!limits.leave_when_fetched || (now() >= leave_from && everybody_has_fetched()))) {
      return ServiceEnd::kRoundsDone;
    }
    if (budget_spent_ && limits.rounds > 0 &&
        (!limits.leave_when_fetched || everybody_has_fetched())) {
      return ServiceEnd::kBudgetSpent;
    }
    if (limits.timeout.count > 0 && now() - last_progress_ > limits.timeout) {
      return made_all() ? ServiceEnd::kRoundsDone : ServiceEnd::kNoQuorum;
    }
    COPPICE_TRY(turn(next_wait()));
    if (!made_all()) { // the turn may have made the last one
      COPPICE_TRY(pause_if_full(maybe_start_round()));
    }
  }
}

bool AggregatorService::everybody_has_fetched() const {
  return std::ranges::all_of(cohort_.present(), [&](const auto& entry) {
    return entry.second.version >= release_facts_.version;
  });
}

Millis AggregatorService::next_wait() const {
  Millis wait = kLongestWait;
  if (round_ && !round_->over() && !disk_full_) wait = std::min(wait, round_->deadline() - now());
  if (!round_ && next_round_at_ > now()) wait = std::min(wait, next_round_at_ - now());
  return std::max(wait, Millis{1});
}

Result<void> AggregatorService::turn(Millis wait) {
  // What uploads don't need is free for fetches, and a quarter always: together they hold no more
  // when a round begins while the last release is still fetched.
  const std::size_t transfers = settings_.uploads_at_once;
  fetches_.allow(std::max((transfers + 3) / 4, transfers - std::min(transfers, intake_.active())));
  // Few frames are taken off the sockets at a time, so that chunks don't lie here while those that
  // follow them come in; all uploads of this turn are in one commit.
  for (std::size_t handled = 0, taken = 1; taken > 0 && handled < kArrivalsInATurn;) {
    auto arrivals = COPPICE_TRY(transport_->poll(handled == 0 ? wait : Millis{0}));
    taken = arrivals.size();
    handled += taken;
    for (Arrival& arrival : arrivals) {
      if (arrival.from.channel == Channel::kEnroll) {
        COPPICE_TRY(pause_if_full(handle_enroll(arrival)));
      } else {
        COPPICE_TRY(pause_if_full(handle_arrival(std::move(arrival))));
      }
    }
  }
  COPPICE_TRY(commit_uploads());
  if (now() - last_housekeeping_ >= kHousekeepingEvery) COPPICE_TRY(housekeeping());
  COPPICE_TRY(retry_commits());
  if (disk_full_ || !round_ || round_->over() || now() < round_->deadline()) return {};
  return pause_if_full(feed(Tick{}));
}

Result<void> AggregatorService::housekeeping() {
  last_housekeeping_ = now();
  COPPICE_TRY(pause_if_full(apply_requests()));
  for (const ClientId& client : cohort_.expire(now())) {
    say(cat("device ", client.hex().substr(0, 8), " is silent; its lease ran out"));
    COPPICE_TRY(pause_if_full(device_gone(client)));
  }
  grant(intake_.expire(now()));
  if (!late_.rounds().empty() && !disk_full_) COPPICE_TRY(pause_if_full(late_changed()));
  if (round_ && !round_->over() && !disk_full_) { // parts of its schedule may be over
    COPPICE_TRY(pause_if_full(feed(Tick{})));
  }
  serve(fetches_.expire(now()));
  write_status();
  if (now() - last_seen_written_ < kLastSeenEvery) return {};
  last_seen_written_ = now();
  std::vector<ClientId> here;
  for (const auto& [client, presence] : cohort_.present()) here.push_back(client);
  return pause_if_full(registry_->seen(here, clock_.wall()));
}

void AggregatorService::say(const std::string& line) const {
  log::info(line);
  if (observer_.on_event) observer_.on_event(line);
}

// For `aggregator status`: a snapshot beside the state. Losing one is harmless, so is a full disk
// here.
void AggregatorService::write_status() {
  Json status;
  status["schema"] = "coppice.aggregator.status/1";
  status["endpoints"] = {
      {"control", endpoints().control}, {"bulk", endpoints().bulk}, {"enroll", endpoints().enroll}};
  status["epoch"] = store_.epoch().value;
  status["enrolled"] = registry_->size();
  status["connected"] = cohort_.connected();
  status["eligible"] = cohort_.ready();
  status["paused"] = paused_;
  if (has_noise(settings_) || !ledger_.empty()) {
    const auto spent = ledger_.epsilon(settings_.privacy.delta);
    status["privacy"] = {{"epsilon_spent", spent.ok() ? Json(*spent) : Json()},
                         {"epsilon_budget", settings_.privacy.epsilon},
                         {"delta", settings_.privacy.delta}};
  }
  status["release"] = release_facts_.version.value;
  status["waiting_for"] = round_ && !disk_full_ ? std::string() : last_waiting_;
  if (round_) {
    const Millis left = round_->deadline() - now();
    status["round"] = {{"id", round_->plan().round.value},
                       {"phase", round_->phase_name()},
                       {"selected", round_->members().size()},
                       {"accepted", round_->count(MemberState::kAccepted)},
                       {"declined", round_->count(MemberState::kDeclined)},
                       {"reported", round_->count(MemberState::kCounted)},
                       {"lost", round_->count(MemberState::kLost)},
                       {"needed", round_->plan().sum.min_survivors},
                       {"awaited", Json::array()},
                       {"time_left_s", static_cast<double>(left.count) / 1000.0}};
    for (const ClientId& client : round_->awaited()) {
      status["round"]["awaited"].push_back(client.hex());
    }
  }
  if (!late_.rounds().empty()) {
    const LateUploadsChanged late = late_.counts();
    status["late"] = {{"under_way", late.under_way}, {"waiting", late.counted}};
  }
  status["clients"] = Json::array();
  for (const auto& [client, presence] : cohort_.present()) {
    status["clients"].push_back(
        {{"id", client.hex()},
         {"eligible", presence.ready},
         {"version", presence.version.value},
         {"silent_s", static_cast<double>((now() - presence.last_heard).count) / 1000.0}});
  }
  const auto written = write_file_atomically(folder_.directory() / "status.json",
                                             as_bytes(dump_json(status, 2) + "\n"));
  if (!written.ok() && !status_failed_) log::warning("status: ", written.error().message);
  status_failed_ = !written.ok();
}

} // namespace coppice
