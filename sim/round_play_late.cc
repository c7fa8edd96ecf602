// SPDX-License-Identifier: Apache-2.0
// Late uploads: those of earlier rounds that arrive in this one, and those that this round leaves.
#include <algorithm>

#include "sim/message_bytes.h"
#include "sim/round_member.h"
#include "sim/round_play.h"

namespace coppice {

// What came between the rounds is there as this one starts. Whether an upload came before its own
// plan's deadline was seen when that round was played.
void RoundPlay::expect_late() {
  for (const LateRound& round : setting_.late) {
    EarlierRound earlier{.plan = round.plan,
                         .plan_hash = round.plan.hash(),
                         .deadline = millis(round.starts) + round.plan.deadline,
                         .members = {},
                         .sum = {}};
    for (const LateDevice& late : round.devices) {
      const ClientId id = identities_of({&late.device, 1}, false).front();
      earlier.members.emplace(id, MemberState::kAccepted);
      const auto number = static_cast<std::uint32_t>(late_devices_.size());
      late_devices_.push_back({{round.plan.round, late.device}, &late, earlier.plan_hash, id});
      queue_.push({std::max(late.at, setting_.starts), kAggregator, ticks_++},
                  {.kind = Kind::kLateArrives, .number = number});
    }
    late_.add(std::move(earlier));
  }
  late_.advance(setting_.plan.parent, AdapterVersion{}, Millis{0});
}

Result<void> RoundPlay::late_arrives(std::uint32_t number) {
  const LateArrival& late = late_devices_[number];
  const std::vector<std::uint32_t>& elements = late.brings->elements;
  if (elements.empty()) {
    late_.lost(late.id);
    played_.late_over.push_back(late.name);
    return feed(late_.counts());
  }
  const Sha256 upload = upload_name(late.name.round, late.name.device);
  if (late_.arrived(late.plan_hash, late.id, upload, elements).ok()) {
    late_.committed(late.plan_hash);
    late_here_.push_back(late.name);
  } else {
    played_.traffic.late += 1;
    played_.late_over.push_back(late.name);
  }
  return feed(late_.counts());
}

// The round is over; its devices go on until its deadline, each by itself.
Result<void> RoundPlay::run_on(const std::atomic<bool>* stop) {
  const Nanos deadline = setting_.starts + nanos(machine_plan_->deadline);
  played_.leaves = {.plan = setting_.plan, .starts = setting_.starts, .devices = {}};
  std::vector<LateDevice>& under_way = played_.leaves.devices;
  for (const Member& member : members_) {
    if (!is_awaited(round_->members().at(member.id))) continue;
    under_way.push_back({.device = member.device, .at = deadline, .elements = {}});
  }
  while (!queue_.empty() && !under_way.empty()) {
    if (stop != nullptr && stop->load()) {
      return Error{ErrorCode::kCancelled, "the simulation was stopped"};
    }
    const Queue::Event event = queue_.pop();
    const auto found =
        std::ranges::lower_bound(under_way, event.key.device, {}, &LateDevice::device);
    if (found == under_way.end() || found->device != event.key.device) continue;
    COPPICE_TRY(play_on(event, *found));
  }
  return {};
}

Result<void> RoundPlay::play_on(const Queue::Event& event, LateDevice& late) {
  const Payload& payload = event.payload;
  const bool whole = payload.kind == Kind::kChunksArrive &&
                     payload.number == limits::chunks_of(setting_.weights.upload_bytes);
  if (!whole) {
    COPPICE_TRY(play(event));
    const bool free = payload.kind == Kind::kLeaseRunsOut ||
                      (payload.kind == Kind::kAnswerArrives && !payload.accepted);
    if (free) late.at = std::min(late.at, queue_.now());
    return {};
  }
  played_.traffic.events += 1;
  Member& member = *std::ranges::lower_bound(members_, late.device, {}, &Member::device);
  if (queue_.now() > late.at) { // its plan's deadline
    played_.traffic.late += 1;
    return {};
  }
  late.at = queue_.now();
  auto learned = learner_.take(late.device);
  if (!learned.ok() && learned.error().code != ErrorCode::kFailedPrecondition) {
    return std::move(learned).error();
  }
  if (!learned.ok()) return {}; // a client without text drops out
  late.elements = std::move(learned->encoded.elements);
  late.tokens = learned->tokens;
  late.clamped = learned->encoded.clamped;
  late.clipped = learned->encoded.clip_factor < 1;
  send_down(member, kMessageBytes, {.kind = Kind::kAckArrives});
  return {};
}

} // namespace coppice
