// SPDX-License-Identifier: Apache-2.0
#include "sim/history.h"

#include "base/text.h"

namespace coppice {
namespace {

constexpr Millis kTick{1'000};

std::vector<ClientId> ids_of(std::uint32_t devices) {
  std::vector<ClientId> ids;
  for (std::size_t i = 0; i < devices; ++i) ids.push_back(history_identity(i).id);
  return ids;
}

} // namespace

HistoryOutcome run_history(std::uint64_t seed, const HistorySettings& settings) {
  return History(seed, settings).run();
}

HistoryCounts& HistoryCounts::operator+=(const HistoryCounts& other) {
  histories += other.histories;
  released += other.released;
  abandoned += other.abandoned;
  device_crashes += other.device_crashes;
  aggregator_crashes += other.aggregator_crashes;
  full_disks += other.full_disks;
  acknowledged += other.acknowledged;
  sat_out += other.sat_out;
  pauses += other.pauses;
  left += other.left;
  recovered += other.recovered;
  lies += other.lies;
  refusals += other.refusals;
  return *this;
}

History::History(std::uint64_t seed, const HistorySettings& settings)
    : settings_(settings),
      random_({.experiment = seed, .purpose = RandomPurpose::kSimulation, .step = 1}),
      sore_spot_(random_.below(kSoreSpots)),
      model_(seed),
      trusting_(seed),
      lying_model_(~seed), // other keys than the honest have
      observer_(settings_, ids_of(settings.devices)),
      intake_(2, Millis{15'000}) {
  const SecAggPrimitives* const honest = settings_.real_primitives ? &sodium_primitives()
                                         : planted(PlantedBug::kDeviceIgnoresSignatures)
                                             ? static_cast<const SecAggPrimitives*>(&trusting_)
                                             : &model_;
  devices_.resize(settings_.devices);
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    Device& device = devices_[i];
    device.identity = &history_identity(i);
    device.primitives = honest;
    if (!observer_.honest(i)) {
      device.liar.emplace(random_.next_u64());
      const bool lies = device.liar->lies_in_primitives() && !settings_.real_primitives;
      if (lies) device.primitives = &lying_model_;
    } else if (planted(PlantedBug::kDeviceRepeatsRandomness)) {
      device.primitives = &device.own_model;
    }
  }
  for (std::uint32_t i = 0; i < settings_.leaving; ++i) { // a liar may leave too
    devices_[devices_.size() - 1 - i].leaves_after = 1 + random_.below(60);
  }
  if (settings_.lying_aggregator) liar_.emplace(random_.next_u64(), *honest);
}

HistoryOutcome History::run() {
  start_aggregator();
  for (std::size_t i = 0; i < devices_.size(); ++i) start_device(i);
  // Rounds' times, with those of restarts between them.
  const Millis end{(kHistoryRoundTime.count + 20'000) * settings_.rounds + 30'000};
  std::optional<Millis> over; // the last round; what is under way still arrives
  // A liar goes on asking whoever comes back.
  const Millis tail = liar_ ? Millis{8'000} : kTick;
  while (!queue_.empty() && !observer_.verdict()) {
    const Wake wake = queue_.top();
    queue_.pop();
    if (wake.at > end || (over && wake.at > *over + tail)) break;
    now_ = wake.at;
    observer_.at(now_);
    step(wake);
    const bool ended = disk_.size() == settings_.rounds && running() == nullptr && !round_;
    if (ended && !over) over = now_;
  }
  check_end();
  counts_.histories = 1;
  if (liar_) counts_.lies += liar_->lies();
  for (const Device& device : devices_) counts_.lies += device.liar ? device.liar->lies() : 0;
  return {counts_, observer_.verdict()};
}

void History::step(const Wake& wake) {
  const bool aggregator = wake.who == kAggregator;
  const std::uint64_t life = aggregator ? aggregator_life_ : devices_[wake.who].life;
  if (wake.kind == Wake::Kind::kDeliver) {
    const Letter& letter = letters_[wake.letter];
    if (!aggregator) return device_receives(wake.who, letter);
    if (aggregator_up_) aggregator_receives(letter);
    return;
  }
  if (wake.kind == Wake::Kind::kLost) { // here `life` counts connections
    const Device& device = devices_[wake.who];
    if (aggregator_up_ && device.check_ins == wake.life) lose(wake.who);
    return;
  }
  if (life != wake.life) return;
  switch (wake.kind) {
    case Wake::Kind::kRestart: return aggregator ? start_aggregator() : start_device(wake.who);
    case Wake::Kind::kTrained:
      if (wake.training != devices_[wake.who].trainings) return;
      return feed_device(wake.who, Trained{wake.plan_hash});
    case Wake::Kind::kReconnect: return reconnect(wake.who);
    case Wake::Kind::kTick: return tick(wake);
    default: return;
  }
}

void History::tick(const Wake& wake) {
  schedule(wake, kTick);
  if (wake.who != kAggregator) return device_ticks(wake.who);
  if (!aggregator_up_) return;
  grant(intake_.expire(now_));
  retry_commits();
  if (!aggregator_up_) return;
  if (!round_) begin_round();
  finish_turn();
  if (aggregator_up_ && round_ && !clock_stopped_) feed_round(Tick{});
}

void History::schedule(Wake wake, Millis after) {
  wake.at = now_ + after;
  wake.order = ++order_;
  queue_.push(wake);
}

void History::wake_device(std::size_t which, Wake::Kind kind, Millis after) {
  Wake wake;
  wake.who = which;
  wake.kind = kind;
  wake.life = kind == Wake::Kind::kLost ? devices_[which].check_ins : devices_[which].life;
  schedule(wake, after);
}

Millis History::between(std::uint64_t low, std::uint64_t high) {
  return {static_cast<std::int64_t>(low + random_.below(high - low))};
}

void History::send(Letter letter) {
  const std::size_t to = letter.to;
  if (stormy() && chance(settings_.drop_per_mille)) { // both ends notice in time
    const std::size_t device = to == kAggregator ? letter.from : to;
    return wake_device(device, Wake::Kind::kReconnect, between(50, 4'000));
  }
  letters_.push_back(std::move(letter));
  const std::size_t copies = stormy() && chance(settings_.repeat_per_mille) ? 2 : 1;
  for (std::size_t i = 0; i < copies; ++i) {
    const Millis delay = stormy() && chance(100) ? between(1, 8'000) : between(1, 200);
    Wake wake;
    wake.who = to;
    wake.kind = Wake::Kind::kDeliver;
    wake.letter = letters_.size() - 1;
    schedule(wake, delay);
  }
}

void History::send_to_device(std::size_t which, Message message, const Sha256& plan_hash) {
  send({.to = which, .from = kAggregator, .plan_hash = plan_hash, .body = std::move(message)});
}

void History::send_to_aggregator(std::size_t from, Message message, const Sha256& plan_hash) {
  send({.to = kAggregator, .from = from, .plan_hash = plan_hash, .body = std::move(message)});
}

// Called between any two actions; true: that side is dead now.
bool History::crashes(std::size_t who, std::uint32_t per_mille) {
  const bool aggregator = who == kAggregator;
  bool leaves = false;
  if (!aggregator && devices_[who].leaves_after) {
    std::uint64_t& left = *devices_[who].leaves_after;
    leaves = left > 0 && --left == 0;
  }
  if (!leaves && (!stormy() || !chance(per_mille))) return false;
  Wake restart;
  restart.who = who;
  restart.kind = Wake::Kind::kRestart;
  if (aggregator) {
    counts_.aggregator_crashes += 1;
    aggregator_up_ = false;
    secagg_unsaved_ = false;
    round_.reset();
    intake_.clear();
    restart.life = ++aggregator_life_;
  } else {
    Device& device = devices_[who];
    device.round.reset();
    device.true_list.reset();
    device.offered_epsilon = 0;
    restart.life = ++device.life;
    wake_device(who, Wake::Kind::kLost, between(1'000, 6'000));
    (leaves ? counts_.left : counts_.device_crashes) += 1;
    device.gone = leaves;
    if (leaves) return true;
  }
  schedule(restart, between(10, 5'000));
  return true;
}

void History::check_end() {
  if (observer_.verdict()) return;
  for (const auto& [id, round] : disk_) {
    if (round.status == RoundOnDisk::Status::kRunning) {
      const bool here = round_ && round_->plan().round == id;
      observer_.broken(
          cat("round ", id, " didn't end by its deadline; it is ",
              here ? round_->phase_name() : "not there",
              here && round_->secagg() != nullptr ? ", its masks " : "",
              here && round_->secagg() != nullptr ? round_->secagg()->slowest().phase_name() : ""));
    }
    if (settings_.must_release && round.status != RoundOnDisk::Status::kReleased) {
      observer_.broken(cat("round ", id, " was abandoned in calm weather"));
    }
    for (std::size_t i = 0; i < devices_.size(); ++i) {
      const Sha256* const upload = observer_.sealed(i, round.plan_hash);
      if (upload == nullptr || !observer_.acknowledged(i, *upload)) continue;
      counts_.acknowledged += 1;
      if (!round.stored.counted.contains(devices_[i].identity->id)) {
        observer_.broken("an acknowledged upload is not in the committed sum");
      }
    }
  }
}

} // namespace coppice
