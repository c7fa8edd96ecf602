// SPDX-License-Identifier: Apache-2.0
// The round's actions carried out, as aggregator/service_round.cc does.
#include "base/text.h"
#include "sim/history.h"

namespace coppice {

// All uploads of a turn are in one commit.
void History::finish_turn() {
  const RunningSum* const sum = round_ ? round_->sum() : nullptr;
  if (sum == nullptr || sum->uncommitted.empty()) return;
  if (crashes(kAggregator) || disk_is_full()) return;
  RoundOnDisk& on_disk = *running();
  if (on_disk.stored.closed) observer_.broken("a sum is committed after the close");
  const std::vector<std::uint32_t> elements = sum->elements;
  const std::map<ClientId, Sha256> uploads = sum->uncommitted;
  const bool early = planted(PlantedBug::kAggregatorAcknowledgesEarly);
  if (early) feed_round(SumCommitted{});
  if (!aggregator_up_) return;
  older_sum_ = on_disk.stored.sum;
  on_disk.stored.sum = elements;
  if (planted(PlantedBug::kAggregatorAddsTwice)) {
    add_upload(plan_->slots, on_disk.stored.sum, elements);
  }
  for (const auto& [client, upload] : uploads) {
    if (!on_disk.stored.counted.emplace(client, upload).second) {
      observer_.broken("a device counts twice");
    }
  }
  if (!early && !crashes(kAggregator)) feed_round(SumCommitted{});
}

bool History::disk_is_full() {
  if (!stormy() || !chance(settings_.full_per_mille)) return false;
  counts_.full_disks += 1;
  return true;
}

// aggregator/service_disk.cc: what secure aggregation decided meanwhile is said now.
void History::retry_commits() {
  if (!secagg_unsaved_ || !round_ || round_->secagg() == nullptr) return;
  secagg_unsaved_ = false;
  if (!commit_secagg(round_->secagg()->serialize())) return;
  for (std::size_t i = 0; i < devices_.size() && round_; ++i) {
    feed_round(MemberConnected{devices_[i].identity->id});
  }
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
      if (crashes_after(kAggregator, action)) return;
    }
    for (RoundEvent& next : follow) events.push(std::move(next));
  }
}

// False: the aggregator died in the middle of it, or a commit failed on a full disk.
bool History::aggregator_acts(const RoundAction& action, std::vector<RoundEvent>& events) {
  if (std::holds_alternative<CommitPlan>(action)) return commit_plan(events);
  if (const auto* offer = std::get_if<OfferPlan>(&action)) {
    offer_plan(offer->client);
  } else if (const auto* ack = std::get_if<AcknowledgeUpload>(&action)) {
    const auto& counted = running()->stored.counted;
    const auto found = counted.find(ack->client);
    if (found == counted.end() || found->second != ack->upload) {
      observer_.broken("an upload is acknowledged before its commit");
    }
    send_to_device(device_of(ack->client), UploadAck{plan_->round, ack->upload},
                   round_->plan_hash());
  } else if (const auto* refusal = std::get_if<RefuseUpload>(&action)) {
    counts_.refusals += 1;
    refuse(device_of(refusal->client), ErrorCode::kInvalidArgument, refusal->reason,
           round_->plan_hash());
  } else if (const auto* state = std::get_if<CommitSecAggState>(&action)) {
    return commit_secagg(state->state) && !crashes(kAggregator);
  } else if (const auto* secagg = std::get_if<SendAgreement>(&action)) {
    if (!secagg_unsaved_) send_agreement(*secagg);
  } else if (const auto* masks = std::get_if<UnmaskSum>(&action)) {
    unmask(*masks, events);
  } else if (std::holds_alternative<CommitClose>(action)) {
    return commit_close(events);
  } else if (std::holds_alternative<MakeRelease>(action)) {
    return make_release(events);
  } else if (std::holds_alternative<AnnounceRelease>(action)) {
    end_round(true);
  } else if (std::holds_alternative<CommitAbandon>(action)) {
    return commit_abandon();
  }
  return true;
}

bool History::commit_plan(std::vector<RoundEvent>& events) {
  if (disk_is_full()) {
    round_.reset(); // nobody has seen the plan
    return false;
  }
  RoundOnDisk fresh;
  fresh.stored.plan = *plan_;
  for (const auto& [client, state] : round_->members()) fresh.stored.members.push_back(client);
  fresh.deadline = round_->deadline();
  fresh.plan_hash = round_->plan_hash();
  disk_.emplace(plan_->round, std::move(fresh));
  events.emplace_back(PlanCommitted{});
  return !crashes(kAggregator);
}

bool History::commit_abandon() {
  if (disk_is_full()) return false;
  RoundOnDisk& on_disk = *running();
  if (now_ > on_disk.deadline + Millis{20'000}) observer_.broken("a round outlived its deadline");
  on_disk.status = RoundOnDisk::Status::kAbandoned;
  counts_.abandoned += 1;
  if (crashes(kAggregator)) return false;
  end_round(false);
  return true;
}

void History::offer_plan(const ClientId& client) {
  const std::size_t to = device_of(client);
  const Millis left = round_->deadline() - now_;
  if (liar_) {
    if (const auto other = liar_->plans(*plan_)) {
      return send({.to = to,
                   .from = kAggregator,
                   .plan_hash = other->hash(),
                   .body = PlanLetter{std::make_shared<const RoundPlan>(*other), left}});
    }
  }
  send({.to = to,
        .from = kAggregator,
        .plan_hash = round_->plan_hash(),
        .body = PlanLetter{plan_, left}});
}

void History::send_agreement(const SendAgreement& action) {
  const std::size_t to = device_of(action.client);
  SecAggMessage message = action.draft();
  observer_.aggregator_says(message);
  std::vector<SecAggMessage> said;
  if (liar_) {
    said = liar_->tells(to, message);
  } else {
    said.push_back(std::move(message));
  }
  for (SecAggMessage& each : said) {
    observer_.whoever_says(each);
    send(
        {.to = to, .from = kAggregator, .plan_hash = round_->plan_hash(), .body = std::move(each)});
  }
}

bool History::commit_secagg(const Bytes& state) {
  if (disk_is_full()) {
    secagg_unsaved_ = true;
    return false;
  }
  StoredRound& stored = running()->stored;
  const SecAggServerPhase& phase = round_->secagg()->slowest().phase();
  if (std::holds_alternative<SecAggOpening>(phase) &&
      planted(PlantedBug::kAggregatorForgetsRoster)) {
    return true;
  }
  if (std::holds_alternative<SecAggUnmasking>(phase)) before_close_ = stored.secagg;
  stored.secagg = state;
  return true;
}

void History::unmask(const UnmaskSum& action, std::vector<RoundEvent>& events) {
  const RunningSum& sum = *round_->sum();
  const RoundOnDisk& on_disk = *running();
  if (sum.counted.size() < plan_->sum.min_survivors) {
    observer_.broken("a sum is unmasked below the floor");
  }
  if (!on_disk.stored.closed || on_disk.stored.counted != sum.counted) {
    observer_.broken("a sum is unmasked that is not the committed one");
  }
  std::vector<std::uint32_t> elements = sum.elements;
  if (planted(PlantedBug::kAggregatorUnmasksOlderSum) && !older_sum_.empty()) {
    elements = older_sum_;
  }
  std::size_t seeds = 0;
  for (const GroupMasks& group : *action.masks) seeds += group.seeds.size();
  counts_.recovered += seeds > sum.counted.size() ? 1 : 0;
  unmask_groups(*plan_, action, elements);
  events.emplace_back(SumUnmasked{std::move(elements)});
}

bool History::commit_close(std::vector<RoundEvent>& events) {
  if (disk_is_full()) return false;
  RoundOnDisk& on_disk = *running();
  if (on_disk.stored.counted != round_->sum()->counted) {
    observer_.broken("a close counts another set");
  }
  on_disk.stored.sum = round_->sum()->elements;
  on_disk.stored.closed = true;
  on_disk.closed_with = on_disk.stored.counted;
  check_close(on_disk);
  events.emplace_back(CloseCommitted{});
  return !crashes(kAggregator);
}

bool History::make_release(std::vector<RoundEvent>& events) {
  if (crashes(kAggregator) || disk_is_full()) return false;
  RoundOnDisk& on_disk = *running();
  on_disk.status = RoundOnDisk::Status::kReleased;
  if (!planted(PlantedBug::kAggregatorReleasesBeforeSpend)) { // the same transaction
    on_disk.spent = true;
    if (settings_.noise) spent_ = plan_->privacy.cumulative_epsilon;
  }
  counts_.released += 1;
  observer_.aggregator_releases(*plan_, on_disk.stored.counted, round_->sum()->elements);
  if (!on_disk.closed_with || *on_disk.closed_with != on_disk.stored.counted) {
    observer_.broken("an upload was added after the close");
  }
  if (crashes(kAggregator)) return false;
  events.emplace_back(ReleaseCommitted{AdapterVersion{plan_->round.value}});
  return true;
}

void History::end_round(bool released) {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    send_to_device(i, RoundOver{plan_->round, released, ""});
  }
  if (released && planted(PlantedBug::kAggregatorReleasesBeforeSpend)) {
    if (crashes(kAggregator)) return;
    disk_.at(plan_->round).spent = true;
    if (settings_.noise) spent_ = plan_->privacy.cumulative_epsilon;
  }
  if (released && planted(PlantedBug::kAggregatorForgetsSpend)) spent_ = 0;
  round_.reset();
  intake_.clear();
}

void History::refuse(std::size_t which, ErrorCode code, const std::string& reason,
                     const Sha256& plan_hash) {
  send_to_device(which, Refusal{static_cast<std::uint32_t>(code), reason, {0}}, plan_hash);
}

// Where two thirds of a round's time are calm, whoever has finished bytes gets them counted.
void History::check_close(const RoundOnDisk& round) {
  if (settings_.secure_aggregation || settings_.storm_percent > 33) return;
  if (now_ < round.deadline) return;
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    const Device& device = devices_[i];
    const Sha256* const upload = observer_.sealed(i, round.plan_hash);
    if (upload == nullptr || device.gone) continue;
    if (round.stored.counted.contains(device.identity->id)) continue;
    if (device.marks.upload != *upload) continue; // killed before it knew its bytes' name
    observer_.broken(cat("device ", i, "'s finished upload ",
                         device.uploads.contains(*upload) ? "never got through" : "was given up"));
  }
}

} // namespace coppice
