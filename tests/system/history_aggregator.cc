// SPDX-License-Identifier: Apache-2.0
// The aggregator of a history: aggregator/service_*.cc with a simulated disk.
#include "base/text.h"
#include "crypto/hash.h"
#include "tests/system/history.h"

namespace coppice {
namespace {

constexpr Millis kRoundTime{60'000};

// Deltas of two elements on a 16-bit ring, where sums wrap, and a weight.
RoundPlan small_plan(std::uint64_t round, std::uint32_t devices) {
  RoundPlan plan;
  plan.round = RoundId{round};
  plan.slots = {{"t.lora_a", SlotKind::kDelta, 2, -1, 1, 100, RingBits{16}},
                {"weight", SlotKind::kWeight, 1, 1, 8, 1, RingBits{32}}};
  plan.sum = {.goal = devices, .min_survivors = 2, .cohort = devices, .max_weight = 8};
  plan.deadline = kRoundTime;
  return plan;
}

} // namespace

std::vector<std::uint32_t> elements_of(const Sha256& upload, const RoundPlan& plan) {
  std::vector<std::uint32_t> elements(3);
  for (std::size_t i = 0; i < elements.size(); ++i) {
    elements[i] =
        (upload.bytes[i] + 7U * static_cast<std::uint32_t>(i)) & plan.slots.front().bits.mask();
  }
  return elements;
}

History::RoundOnDisk* History::running() {
  if (disk_.empty() || disk_.rbegin()->second.status != RoundOnDisk::Status::kRunning) {
    return nullptr;
  }
  return &disk_.rbegin()->second;
}

std::size_t History::device_of(const ClientId& client) const {
  return std::size_t{client.bytes[0]} - 1;
}

void History::start_aggregator() {
  aggregator_up_ = true;
  if (RoundOnDisk* const stored = running()) {
    round_ = AggregatorRound::resume(stored->stored, stored->deadline);
  }
  Wake tick;
  tick.life = aggregator_life_;
  schedule(tick, Millis{200});
  // Devices notice that the connection is new.
  for (std::size_t i = 0; i < devices_.size(); ++i) send(kAggregator, i, Pong{}, {});
  if (round_) feed_round(Tick{});
}

void History::begin_round() {
  if (disk_.size() >= settings_.rounds) return;
  if (now_.count < static_cast<std::int64_t>(disk_.size()) * kRoundTime.count) return;
  std::vector<ClientId> members;
  for (const Device& device : devices_) members.push_back(device.id);
  round_.emplace(small_plan(disk_.size() + 1, settings_.devices), members, now_ + kRoundTime);
  for (const RoundAction& action : round_->start()) {
    std::vector<RoundEvent> events;
    if (crashes(kAggregator) || !aggregator_acts(action, events)) return;
    for (RoundEvent& event : events) feed_round(std::move(event));
  }
}

void History::aggregator_receives(const Letter& letter) {
  const ClientId client = devices_[letter.from].id;
  if (std::holds_alternative<CheckIn>(letter.message)) {
    if (round_) feed_round(MemberConnected{client});
  } else if (const auto* answer = std::get_if<PlanAnswer>(&letter.message)) {
    if (round_ && answer->plan_hash == round_->plan_hash()) {
      feed_round(MemberAnswered{client, answer->accepted});
    }
  } else if (const auto* offer = std::get_if<UploadOffer>(&letter.message)) {
    on_offer(letter.from, *offer);
  } else if (const auto* chunk = std::get_if<UploadChunk>(&letter.message)) {
    on_chunk(letter.from, letter.plan_hash, *chunk);
  }
  if (aggregator_up_ && chance(10) && now_ < calm_after_ && round_) { // a lease ran out
    grant(intake_.drop(client, now_));
    feed_round(MemberLost{client});
  }
  if (aggregator_up_ && chance(500)) finish_turn(); // else more arrives in the same turn
}

void History::on_offer(std::size_t from, const UploadOffer& offer) {
  const ClientId client = devices_[from].id;
  const bool over = !round_ || offer.plan_hash != round_->plan_hash();
  const RunningSum* const sum = round_ ? round_->sum() : nullptr;
  std::map<ClientId, Sha256> counted;
  if (over && disk_.contains(offer.round)) counted = disk_.at(offer.round).stored.counted;
  if (!over && sum != nullptr) counted = sum->counted;
  const auto mine = counted.find(client);
  if (mine != counted.end() && mine->second == offer.upload) {
    send(kAggregator, from, UploadAck{offer.round, offer.upload}, offer.plan_hash);
  } else if (over) {
    const auto code = static_cast<std::uint32_t>(ErrorCode::kFailedPrecondition);
    send(kAggregator, from, Refusal{code, "that round is over", {0}}, offer.plan_hash);
  } else {
    grant(intake_.offer(client, offer, now_));
  }
}

void History::on_chunk(std::size_t from, const Sha256& plan_hash, const UploadChunk& chunk) {
  const ClientId client = devices_[from].id;
  auto progress = intake_.chunk(client, chunk, now_);
  if (!progress.ok()) {
    const auto code = static_cast<std::uint32_t>(progress.error().code);
    send(kAggregator, from, Refusal{code, progress.error().message, {0}}, plan_hash);
    if (progress.error().code == ErrorCode::kCorrupt) {
      broken(cat("an honest upload was called corrupt: ", progress.error().message));
    }
    return;
  }
  grant(progress->grants);
  if (!progress->finished || !round_) return;
  const Sha256 name = sha256(*progress->finished);
  feed_round(UploadArrived{client, name, elements_of(name, round_->plan())});
}

void History::grant(const std::vector<UploadIntake::Grant>& grants) {
  for (const auto& [client, credit] : grants) send(kAggregator, device_of(client), credit, {});
}

// All uploads of a turn are in one commit.
void History::finish_turn() {
  const RunningSum* const sum = round_ ? round_->sum() : nullptr;
  if (sum == nullptr || sum->uncommitted.empty()) return;
  if (crashes(kAggregator)) return;
  RoundOnDisk& stored = *running();
  if (stored.stored.closed) broken("a sum is committed after the close");
  stored.stored.sum = sum->elements;
  for (const auto& [client, upload] : sum->uncommitted) {
    if (!stored.stored.counted.emplace(client, upload).second) broken("a device counts twice");
  }
  if (!crashes(kAggregator)) feed_round(SumCommitted{});
}

void History::feed_round(RoundEvent event) {
  std::queue<RoundEvent> events;
  events.push(std::move(event));
  while (!events.empty() && round_) {
    const auto actions = round_->handle(std::move(events.front()), now_);
    events.pop();
    std::vector<RoundEvent> follow;
    for (const RoundAction& action : actions) {
      if (crashes(kAggregator) || !aggregator_acts(action, follow) || !round_) return;
    }
    for (RoundEvent& next : follow) events.push(std::move(next));
  }
}

// False: the aggregator died in the middle of it.
bool History::aggregator_acts(const RoundAction& action, std::vector<RoundEvent>& events) {
  const RoundPlan& plan = round_->plan();
  if (std::holds_alternative<CommitPlan>(action)) {
    RoundOnDisk stored;
    stored.stored.plan = plan;
    for (const auto& [client, state] : round_->members()) stored.stored.members.push_back(client);
    stored.deadline = round_->deadline();
    disk_.emplace(plan.round, std::move(stored));
    events.emplace_back(PlanCommitted{});
    return !crashes(kAggregator);
  }
  if (const auto* offer = std::get_if<OfferPlan>(&action)) {
    send(kAggregator, device_of(offer->client),
         PlanOffer{{plan.encode(), {}}, round_->deadline() - now_}, round_->plan_hash());
  } else if (const auto* ack = std::get_if<AcknowledgeUpload>(&action)) {
    const auto& counted = running()->stored.counted;
    const auto found = counted.find(ack->client);
    if (found == counted.end() || found->second != ack->upload) {
      broken("an upload is acknowledged before its commit");
    }
    send(kAggregator, device_of(ack->client), UploadAck{plan.round, ack->upload},
         round_->plan_hash());
  } else if (const auto* refusal = std::get_if<RefuseUpload>(&action)) {
    const auto code = static_cast<std::uint32_t>(ErrorCode::kInvalidArgument);
    send(kAggregator, device_of(refusal->client), Refusal{code, refusal->reason, {0}},
         round_->plan_hash());
  } else if (std::holds_alternative<CommitClose>(action)) {
    RoundOnDisk& stored = *running();
    if (stored.stored.counted != round_->sum()->counted) broken("a close counts another set");
    stored.stored.sum = round_->sum()->elements;
    stored.stored.closed = true;
    stored.closed_with = stored.stored.counted;
    check_close(stored);
    events.emplace_back(CloseCommitted{});
    return !crashes(kAggregator);
  } else if (std::holds_alternative<MakeRelease>(action)) {
    if (crashes(kAggregator)) return false;
    RoundOnDisk& stored = *running();
    stored.status = RoundOnDisk::Status::kReleased;
    counts_.released += 1;
    check_release(stored);
    if (crashes(kAggregator)) return false;
    events.emplace_back(ReleaseCommitted{AdapterVersion{plan.round.value}});
  } else if (std::holds_alternative<AnnounceRelease>(action)) {
    end_round(true);
  } else if (std::holds_alternative<CommitAbandon>(action)) {
    RoundOnDisk& stored = *running();
    if (now_ > stored.deadline + Millis{20'000}) broken("a round outlived its deadline");
    stored.status = RoundOnDisk::Status::kAbandoned;
    counts_.abandoned += 1;
    if (crashes(kAggregator)) return false;
    end_round(false);
  }
  return true;
}

void History::end_round(bool released) {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    send(kAggregator, i, RoundOver{round_->plan().round, released, ""}, {});
  }
  round_.reset();
  intake_.clear();
}

} // namespace coppice
