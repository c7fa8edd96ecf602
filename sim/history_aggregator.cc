// SPDX-License-Identifier: Apache-2.0
// The aggregator of a history: aggregator/service*.cc with a simulated disk. What arrives.
#include <algorithm>

#include "base/text.h"
#include "crypto/hash.h"
#include "sim/history.h"

namespace coppice {
namespace {

constexpr double kEpsilonPerRound = 0.125; // sums of it are exact

Result<std::vector<std::uint32_t>> elements_of(const Bytes& upload) {
  ByteReader reader(upload);
  const auto count = COPPICE_TRY(reader.take<std::uint64_t>("count"));
  std::vector<std::uint32_t> elements;
  for (std::uint64_t i = 0; i < count; ++i) {
    elements.push_back(COPPICE_TRY(reader.take<std::uint32_t>("element")));
  }
  return elements;
}

} // namespace

// Deltas on a 16-bit ring, where sums wrap, and a weight.
RoundPlan History::make_plan() {
  RoundPlan plan;
  plan.round = RoundId{disk_.size() + 1};
  plan.slots = {{"t.lora_a", SlotKind::kDelta, settings_.delta_elements, -1, 1, 100, RingBits{16}},
                {"weight", SlotKind::kWeight, 1, 1, 8, 1, RingBits{32}}};
  plan.sum = {.goal = settings_.devices,
              .min_survivors = settings_.min_survivors,
              .cohort = settings_.devices,
              .max_weight = 8,
              .secure_aggregation = settings_.secure_aggregation,
              .corrupt_fraction = settings_.plan.corrupt,
              .dropout_fraction = settings_.plan.dropout,
              .server = settings_.plan.server};
  if (settings_.noise) {
    plan.privacy.noise = NoiseKind::kCentral;
    plan.privacy.cumulative_epsilon = spent_ + kEpsilonPerRound;
  }
  plan.deadline = kHistoryRoundTime;
  return plan;
}

History::RoundOnDisk* History::running() {
  if (disk_.empty() || disk_.rbegin()->second.status != RoundOnDisk::Status::kRunning) {
    return nullptr;
  }
  return &disk_.rbegin()->second;
}

std::size_t History::device_of(const ClientId& client) const {
  const auto at = std::ranges::find_if(
      devices_, [&](const Device& device) { return device.identity->id == client; });
  return static_cast<std::size_t>(at - devices_.begin());
}

void History::start_aggregator() {
  aggregator_up_ = true;
  RoundOnDisk* const on_disk = running();
  clock_stopped_ = on_disk != nullptr && planted(PlantedBug::kAggregatorIgnoresDeadline);
  if (on_disk != nullptr) {
    if (planted(PlantedBug::kAggregatorChangesSurvivors) && !before_close_.empty()) {
      on_disk->stored.secagg = before_close_; // the list's commit was lost, and somebody with it
      on_disk->stored.counted.erase(on_disk->stored.counted.begin());
    }
    StoredRound stored = on_disk->stored;
    plan_ = std::make_shared<const RoundPlan>(stored.plan);
    auto resumed =
        AggregatorRound::resume(std::move(stored), on_disk->deadline,
                                settings_.real_primitives ? sodium_primitives() : model_);
    if (!resumed) return observer_.broken(resumed.error().message);
    round_.emplace(std::move(*resumed));
  }
  Wake tick;
  tick.life = aggregator_life_;
  schedule(tick, Millis{200});
  for (std::size_t i = 0; i < devices_.size(); ++i) { // their connections broke
    wake_device(i, Wake::Kind::kReconnect, between(10, 1'000));
  }
  if (round_ && !clock_stopped_) feed_round(Tick{});
}

void History::begin_round() {
  if (disk_.size() >= settings_.rounds) return;
  std::vector<ClientId> members;
  for (const Device& device : devices_) { // the cohort is drawn from who is there
    if (!device.gone) members.push_back(device.identity->id);
  }
  plan_ = std::make_shared<const RoundPlan>(make_plan());
  observer_.aggregator_plans(*plan_);
  calm_after_ = Millis{now_.count + kHistoryRoundTime.count * settings_.storm_percent / 100};
  round_.emplace(*plan_, members, now_ + kHistoryRoundTime,
                 settings_.real_primitives ? sodium_primitives() : model_);
  older_sum_.clear();
  before_close_.clear();
  for (const RoundAction& action : round_->start()) {
    std::vector<RoundEvent> events;
    if (crashes(kAggregator) || !aggregator_acts(action, events)) return;
    for (RoundEvent& event : events) feed_round(std::move(event));
  }
}

void History::aggregator_receives(const Letter& letter) {
  const std::size_t from = letter.from;
  const ClientId client = devices_[from].identity->id;
  if (const auto* secagg = std::get_if<SecAggMessage>(&letter.body)) {
    if (!round_ || letter.plan_hash != round_->plan_hash()) return;
    const HistoryIdentity& who = *devices_[from].identity;
    SecAggMessage heard = liar_ ? liar_->hears(from, *secagg) : *secagg;
    return feed_round(SecAggArrived{client, std::move(heard), who.verify,
                                    settings_.real_primitives ? who.real : who.modelled});
  }
  const Message& message = std::get<Message>(letter.body);
  if (std::holds_alternative<CheckIn>(message)) {
    on_check_in(from);
  } else if (const auto* answer = std::get_if<PlanAnswer>(&message)) {
    if (round_ && answer->plan_hash == round_->plan_hash()) {
      feed_round(MemberAnswered{client, answer->accepted});
    }
  } else if (const auto* offer = std::get_if<UploadOffer>(&message)) {
    on_offer(from, *offer);
  } else if (const auto* chunk = std::get_if<UploadChunk>(&message)) {
    on_chunk(from, letter.plan_hash, *chunk);
  }
  if (aggregator_up_ && stormy() && chance(10)) { // a lease ran out
    lose(from);
    wake_device(from, Wake::Kind::kReconnect, between(50, 4'000));
  }
  if (aggregator_up_ && chance(500)) finish_turn(); // else more arrives in the same turn
}

void History::on_check_in(std::size_t from) {
  devices_[from].check_ins += 1;
  if (round_) feed_round(MemberConnected{devices_[from].identity->id});
  if (!liar_) return;
  for (SecAggMessage& message : liar_->tells_again(from)) {
    observer_.whoever_says(message);
    send({.to = from,
          .from = kAggregator,
          .plan_hash = liar_->plan_hash(),
          .body = std::move(message)});
  }
}

void History::lose(std::size_t which) {
  const ClientId client = devices_[which].identity->id;
  grant(intake_.drop(client, now_));
  if (round_) feed_round(MemberLost{client});
}

void History::on_offer(std::size_t from, const UploadOffer& offer) {
  const ClientId client = devices_[from].identity->id;
  const bool over = !round_ || offer.plan_hash != round_->plan_hash();
  const RunningSum* const sum = round_ ? round_->sum() : nullptr;
  std::map<ClientId, Sha256> counted;
  if (over && disk_.contains(offer.round)) counted = disk_.at(offer.round).stored.counted;
  if (!over && sum != nullptr) counted = sum->counted;
  if (!over && sum != nullptr && sum->uncommitted.contains(client)) return; // waits for its commit
  const auto mine = counted.find(client);
  if (mine != counted.end() && mine->second == offer.upload) {
    send_to_device(from, UploadAck{offer.round, offer.upload}, offer.plan_hash);
  } else if (over) {
    refuse(from, ErrorCode::kFailedPrecondition, "that round is over", offer.plan_hash);
  } else {
    grant(intake_.offer(client, offer, now_));
  }
}

void History::on_chunk(std::size_t from, const Sha256& plan_hash, const UploadChunk& chunk) {
  const ClientId client = devices_[from].identity->id;
  auto progress = intake_.chunk(client, chunk, now_);
  if (!progress.ok()) {
    refuse(from, progress.error().code, progress.error().message, plan_hash);
    if (progress.error().code == ErrorCode::kCorrupt) {
      observer_.broken(cat("an honest upload was called corrupt: ", progress.error().message));
    }
    return;
  }
  grant(progress->grants);
  if (!progress->finished || !round_) return;
  auto elements = elements_of(*progress->finished);
  if (!elements) return feed_round(UploadRejected{client, elements.error().message});
  feed_round(UploadArrived{client, sha256(*progress->finished), std::move(*elements)});
}

void History::grant(const std::vector<UploadIntake::Grant>& grants) {
  for (const auto& [client, credit] : grants) send_to_device(device_of(client), credit);
}

} // namespace coppice
