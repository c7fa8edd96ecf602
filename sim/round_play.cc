// SPDX-License-Identifier: Apache-2.0
// The queue and the aggregator's side; the devices' is in round_play_device.cc.
#include "sim/round_play.h"

#include <algorithm>

#include "base/append.h"
#include "base/text.h"
#include "protocol/secagg_masking.h"
#include "protocol/slot_noise.h"
#include "sim/keyed_bytes.h"
#include "sim/message_bytes.h"
#include "sim/round_member.h"
#include "sim/virtual_identity.h"

namespace coppice {
namespace {

SharedPlan plan_of_machines(RoundPlan plan, SimulatedSum sum) {
  if (sum == SimulatedSum::kExact) {
    plan.sum.secure_aggregation = false;
    plan.required_features.clear();
  }
  return std::make_shared<const RoundPlan>(std::move(plan));
}

AddUpload add_with(UploadAdder* adder) {
  if (adder == nullptr) return add_upload;
  return std::bind_front(&UploadAdder::add, adder);
}

} // namespace

RoundPlay::RoundPlay(RoundSetting setting, Learner& learner, Finish finish, OnCounted on_counted)
    : setting_(std::move(setting)),
      machine_plan_(plan_of_machines(setting_.plan, setting_.scenario.secure_sum)),
      learner_(learner),
      finish_(std::move(finish)),
      on_counted_(std::move(on_counted)) {
  const Scenario& scenario = setting_.scenario;
  const bool full = machine_plan_->sum.secure_aggregation;
  const std::vector<ClientId> clients = identities_of(setting_.members, full);
  members_.reserve(clients.size());
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const DeviceNumber device = setting_.members[i];
    Member& member = members_.emplace_back();
    member.device = device;
    member.id = clients[i];
    if (full) {
      member.signing = virtual_signing_key(scenario.seed, device);
      member.certificate = virtual_certificate(*member.signing);
    }
  }
  by_client_.resize(members_.size());
  for (std::uint32_t i = 0; i < by_client_.size(); ++i) by_client_[i] = i;
  std::ranges::sort(by_client_, {}, [&](std::uint32_t i) { return members_[i].id; });
  queue_.push({setting_.starts, kAggregator, ticks_++}, {});
  queue_.pop(); // time is that of the round's start
  round_.emplace(*machine_plan_, clients, now() + machine_plan_->deadline, sodium_primitives(),
                 add_with(setting_.adder));
  plan_hash_ = round_->plan_hash();
}

RoundPlay::~RoundPlay() {
  if (setting_.adder != nullptr) setting_.adder->wait(); // round_ goes, and its sum with it
}

// With all that was counted in it.
const RunningSum& RoundPlay::whole_sum() const {
  if (setting_.adder != nullptr) setting_.adder->wait();
  return *round_->sum();
}

// Where nothing is signed and nothing trained, a hash is as good as a key's name.
std::vector<ClientId> RoundPlay::identities_of(std::span<const DeviceNumber> devices,
                                               bool signs) const {
  const Scenario& scenario = setting_.scenario;
  const bool known = !setting_.identities.empty();
  const bool hashed = scenario.training == TrainingKind::kNone && !signs;
  if (!known && !hashed) return virtual_client_ids(scenario.seed, devices);
  std::vector<ClientId> ids;
  for (const DeviceNumber device : devices) {
    ids.push_back(known ? setting_.identities[device] : hashed_client_id(scenario.seed, device));
  }
  return ids;
}

RoundPlay::Member* RoundPlay::member_of(const ClientId& client) {
  const auto found = std::ranges::lower_bound(
      by_client_, client, {}, [&](std::uint32_t i) -> const ClientId& { return members_[i].id; });
  COPPICE_CHECK(found != by_client_.end() && members_[*found].id == client);
  return &members_[*found];
}

void RoundPlay::schedule(Member& member, Nanos after, Payload payload) {
  queue_.push({queue_.now() + after, member.device, member.sequence++}, payload);
}

// Where a part of the round ends, the machine looks at the clock.
void RoundPlay::schedule_ticks() {
  const RoundSchedule parts = round_schedule(*machine_plan_);
  std::vector<Millis> times{parts.uploads, parts.end};
  if (machine_plan_->sum.secure_aggregation) {
    times.insert(times.end(), {parts.roster, parts.nonces, parts.shares});
  }
  for (const Millis time : times) {
    queue_.push({setting_.starts + nanos(time + Millis{1}), kAggregator, ticks_++}, {});
  }
}

Result<PlayedRound> RoundPlay::run(const std::atomic<bool>* stop) {
  learner_.begin(setting_.plan, *setting_.start, setting_.control);
  schedule_ticks();
  expect_late();
  std::deque<RoundEvent> events;
  for (const RoundAction& action : round_->start()) COPPICE_TRY(carry_out(action, events));
  for (RoundEvent& event : events) COPPICE_TRY(feed(std::move(event)));
  COPPICE_TRY(feed(late_.counts()));
  while (!round_->over()) {
    COPPICE_CHECK(!queue_.empty(), "a round waits for nothing");
    if (stop != nullptr && stop->load()) {
      learner_.end();
      return Error{ErrorCode::kCancelled, "the simulation was stopped"};
    }
    COPPICE_TRY(play(queue_.pop()));
  }
  const bool goes_on = played_.released && machine_plan_->sum.max_staleness > 0;
  auto ran_on = goes_on ? run_on(stop) : Result<void>{};
  learner_.end();
  COPPICE_TRY(std::move(ran_on));
  std::ranges::sort(played_.counted);
  return std::move(played_);
}

Result<void> RoundPlay::play(const Queue::Event& event) {
  played_.traffic.events += 1;
  if (event.key.device == kAggregator) {
    const bool late = event.payload.kind == Kind::kLateArrives;
    return late ? late_arrives(event.payload.number) : feed(Tick{});
  }
  Member& member = *std::ranges::lower_bound(members_, event.key.device, {}, &Member::device);
  const Payload& payload = event.payload;
  switch (payload.kind) {
    case Kind::kAnswerArrives:
      (payload.accepted ? played_.accepted : played_.declined) += 1;
      return feed(MemberAnswered{member.id, payload.accepted});
    case Kind::kOfferArrives:
      send_down(member, kMessageBytes, {.kind = Kind::kCreditArrives});
      break;
    case Kind::kChunksArrive:
      if (payload.number == limits::chunks_of(setting_.weights.upload_bytes)) {
        return upload_arrives(member);
      }
      send_down(member, kMessageBytes, {.kind = Kind::kCreditArrives, .number = payload.number});
      break;
    case Kind::kSecAggToServer:
      return feed(SecAggArrived{member.id, take_letter(payload.number),
                                member.signing->public_key(), member.certificate});
    case Kind::kLeaseRunsOut: return feed(MemberLost{member.id});
    default: play_at_device(member, payload);
  }
  return {};
}

Result<void> RoundPlay::feed(RoundEvent event) {
  std::deque<RoundEvent> events;
  events.push_back(std::move(event));
  while (!events.empty()) {
    const auto actions = round_->handle(std::move(events.front()), now());
    events.pop_front();
    for (const RoundAction& action : actions) COPPICE_TRY(carry_out(action, events));
  }
  return {};
}

Result<void> RoundPlay::carry_out(const RoundAction& action, std::deque<RoundEvent>& events) {
  if (std::holds_alternative<CommitPlan>(action)) {
    events.emplace_back(PlanCommitted{});
  } else if (const auto* offer = std::get_if<OfferPlan>(&action)) {
    send_down(*member_of(offer->client), setting_.weights.plan_bytes, {.kind = Kind::kPlanArrives});
  } else if (std::holds_alternative<CommitSum>(action)) {
    events.emplace_back(SumCommitted{});
  } else if (const auto* ack = std::get_if<AcknowledgeUpload>(&action)) {
    send_down(*member_of(ack->client), kMessageBytes, {.kind = Kind::kAckArrives});
  } else if (std::holds_alternative<RefuseUpload>(action)) {
    played_.traffic.late += 1;
  } else if (const auto* said = std::get_if<SendAgreement>(&action)) {
    SecAggMessage message = said->draft();
    const std::uint64_t bytes = encode_secagg(message).size() + kEnvelopeBytes;
    send_down(*member_of(said->client), bytes,
              {.kind = Kind::kSecAggToDevice, .number = put_letter(std::move(message))});
  } else if (const auto* unmask = std::get_if<UnmaskSum>(&action)) {
    std::vector<std::uint32_t> elements = whole_sum().elements;
    unmask_groups(*machine_plan_, *unmask, elements);
    events.emplace_back(SumUnmasked{std::move(elements)});
  } else if (std::holds_alternative<CommitClose>(action)) {
    events.emplace_back(CloseCommitted{});
  } else if (std::holds_alternative<MakeRelease>(action)) {
    const RunningSum& sum = whole_sum();
    for (const auto& [client, upload] : sum.counted) {
      played_.counted.push_back(member_of(client)->device);
    }
    const auto participants = round_->counted_by_group();
    const auto late = late_.sums();
    const auto version = finish_({sum.elements, participants, late});
    if (version.ok()) {
      played_.late_counted = late_here_;
      append(played_.late_over, std::move(late_here_));
      late_.released();
      events.emplace_back(ReleaseCommitted{*version});
    } else {
      events.emplace_back(FinalizeFailed{version.error().message});
    }
  } else if (std::holds_alternative<AnnounceRelease>(action)) {
    end(true, {});
  } else if (const auto* abandon = std::get_if<CommitAbandon>(&action)) {
    end(false, abandon->reason);
  }
  return {};
}

void RoundPlay::end(bool released, const std::string& reason) {
  played_.released = released;
  played_.reason = reason;
  played_.ended = queue_.now();
  for (const Member& member : members_) {
    if (!member.gone) played_.traffic.bytes_down += kMessageBytes; // that it is over
  }
}

// The bytes that were sent arrive as elements, with the device's noise and masks on them.
Result<void> RoundPlay::upload_arrives(Member& member) {
  const Sha256 name = upload_name(setting_.plan.round, member.device);
  if (!std::holds_alternative<Collecting>(round_->phase())) { // refused whatever is in it
    return feed(UploadArrived{member.id, name, {}});
  }
  auto learned = learner_.take(member.device);
  // A client without text drops out; whatever else goes wrong would go wrong on one rank alone.
  if (!learned.ok() && learned.error().code != ErrorCode::kFailedPrecondition) {
    return std::move(learned).error();
  }
  if (!learned.ok()) return feed(UploadRejected{member.id, learned.error().message});
  std::vector<std::uint32_t> elements = std::move(learned->encoded.elements);
  if (!learned->elsewhere) COPPICE_TRY(add_noise_and_masks(member, elements));
  COPPICE_TRY(feed(UploadArrived{member.id, name, std::move(elements)}));
  if (round_->members().at(member.id) == MemberState::kCounted)
    on_counted_(member.device, *learned);
  return {};
}

Result<void> RoundPlay::add_noise_and_masks(const Member& member,
                                            std::vector<std::uint32_t>& elements) const {
  if (noise_is_distributed(setting_.plan.privacy.noise)) {
    KeyedBytes source({.experiment = setting_.scenario.seed,
                       .round = setting_.plan.round.value,
                       .client = member.device,
                       .purpose = RandomPurpose::kSimulation,
                       .step = kNoiseBytes});
    COPPICE_TRY(add_slot_noise(setting_.plan, source, elements));
  }
  apply_masks(setting_.plan.slots, member.masks, elements);
  return {};
}

std::uint32_t RoundPlay::put_letter(SecAggMessage message) {
  if (free_letters_.empty()) {
    letters_.push_back(std::move(message));
    return static_cast<std::uint32_t>(letters_.size() - 1);
  }
  const std::uint32_t number = free_letters_.back();
  free_letters_.pop_back();
  letters_[number] = std::move(message);
  return number;
}

SecAggMessage RoundPlay::take_letter(std::uint32_t number) {
  free_letters_.push_back(number);
  return std::move(letters_[number]);
}

} // namespace coppice
