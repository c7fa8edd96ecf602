// SPDX-License-Identifier: Apache-2.0
// The devices' side of a round in virtual time.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "protocol/slot_packing.h"
#include "sim/message_bytes.h"
#include "sim/round_member.h"
#include "sim/round_play.h"
#include "sim/virtual_identity.h"

namespace coppice {
namespace {

constexpr std::uint64_t kDrops = 0x64726f70; // RandomKey::step of the draws

} // namespace

// Uploads are told apart by name alone: nobody looks at bytes that are never made.
Sha256 upload_name(RoundId round, DeviceNumber device) {
  Sha256 name;
  const std::uint64_t numbered = device + 1;
  std::memcpy(name.bytes.data(), &round.value, sizeof(round.value));
  std::memcpy(name.bytes.data() + sizeof(round.value), &numbered, sizeof(numbered));
  return name;
}

Millis RoundPlay::clock_of(const Member& member) const {
  return now() + Millis{setting_.population.row(member.device).skew_ms};
}

void RoundPlay::send_up(Member& member, std::uint64_t bytes, Payload payload) {
  played_.traffic.bytes_up += bytes;
  played_.traffic.joules += spend(member, setting_.population.radio_joules(member.device, bytes));
  schedule(member, setting_.population.upload_time(member.device, bytes), payload);
}

void RoundPlay::send_down(Member& member, std::uint64_t bytes, Payload payload) {
  if (member.gone) return; // its queue at the aggregator is dropped with its lease
  played_.traffic.bytes_down += bytes;
  played_.traffic.joules += spend(member, setting_.population.radio_joules(member.device, bytes));
  schedule(member, setting_.population.download_time(member.device, bytes), payload);
}

double RoundPlay::spend(const Member& member, double joules) {
  setting_.population.row(member.device).joules += static_cast<float>(joules);
  return joules;
}

// From here on it is silent; where it was decides what its absence costs.
void RoundPlay::vanish(Member& member, DropPhase phase) {
  if (member.gone) return;
  member.gone = true;
  played_.traffic.dropped[static_cast<std::size_t>(phase)] += 1;
  const Nanos left = std::min(queue_.now(), member.leaves);
  const Nanos told = left + nanos(setting_.scenario.fleet.cohort.lease);
  schedule(member, std::max(Nanos{0}, told - queue_.now()), {.kind = Kind::kLeaseRunsOut});
}

namespace {

DropPhase phase_now(const std::optional<DeviceRound>& round) {
  if (!round) return DropPhase::kAnswer;
  const DevicePhase& phase = round->phase();
  if (std::holds_alternative<Training>(phase)) return DropPhase::kTraining;
  if (std::holds_alternative<Uploading>(phase)) return DropPhase::kUploading;
  if (std::holds_alternative<AwaitingRelease>(phase)) return DropPhase::kUnmasking;
  return std::holds_alternative<Resting>(phase) ? DropPhase::kAnswer : DropPhase::kMasking;
}

} // namespace

void RoundPlay::play_at_device(Member& member, const Payload& payload) {
  if (member.gone) return;
  if (queue_.now() >= member.leaves && payload.kind != Kind::kPlanArrives) {
    return vanish(member, phase_now(member.round));
  }
  switch (payload.kind) {
    case Kind::kPlanArrives: return plan_arrives(member);
    case Kind::kTrainingEnds:
      played_.trained += 1;
      played_.traffic.joules +=
          spend(member, setting_.population.training_joules(member.device, member.training_time));
      return feed_device(member, Trained{plan_hash_});
    case Kind::kCreditArrives:
      return feed_device(member, CreditReceived{{upload_name(setting_.plan.round, member.device),
                                                 payload.number, limits::kCreditChunks}});
    case Kind::kAckArrives:
      feed_device(member, AckReceived{{setting_.plan.round,
                                       upload_name(setting_.plan.round, member.device)}});
      if (member.drops[static_cast<std::size_t>(DropPhase::kUnmasking)]) {
        vanish(member, DropPhase::kUnmasking);
      }
      return;
    case Kind::kSecAggToDevice:
      return feed_device(member, SecAggReceived{plan_hash_, take_letter(payload.number)});
    default: COPPICE_CHECK(false, "no event of a device");
  }
}

void RoundPlay::plan_arrives(Member& member) {
  const Scenario& scenario = setting_.scenario;
  const Population& population = setting_.population;
  if (!population.available(member.device, queue_.now())) {
    member.leaves = queue_.now();
    return vanish(member, DropPhase::kAnswer);
  }
  member.leaves = population.available_until(member.device, queue_.now());
  KeyedRandom random({.experiment = scenario.seed,
                      .round = setting_.plan.round.value,
                      .client = member.device,
                      .purpose = RandomPurpose::kSimulation,
                      .step = kDrops});
  const std::array<double, kDropPhases> chances{
      scenario.population.drop_before_answer, scenario.population.drop_while_training,
      scenario.population.drop_after_masking, scenario.population.drop_while_uploading,
      scenario.population.drop_before_unmasking};
  for (std::size_t i = 0; i < kDropPhases; ++i) {
    member.drops[i] = random.uniform_double() < chances[i];
  }
  member.training_share = random.uniform_double();
  if (member.drops[static_cast<std::size_t>(DropPhase::kAnswer)]) {
    return vanish(member, DropPhase::kAnswer);
  }
  static const SigningKey nobody = virtual_signing_key(0, 0); // signs nothing
  member.round.emplace(SecAggIdentity{.primitives = sodium_primitives(),
                                      .signing = member.signing ? *member.signing : nobody,
                                      .id = member.id,
                                      .fleet_key = virtual_fleet_key().public_key(),
                                      .owner = machine_plan_->sum.graph(),
                                      .min_survivors = machine_plan_->sum.group_survivors()},
                       RoundMarks{}, false, ByteSpan{});
  const Millis left = millis(setting_.starts) + machine_plan_->deadline - now();
  feed_device(member, PlanVerified{machine_plan_, plan_hash_, left, {}});
}

void RoundPlay::feed_device(Member& member, DeviceEvent event) {
  for (const DeviceAction& action : member.round->handle(std::move(event), clock_of(member))) {
    if (member.gone) return;
    device_acts(member, action);
  }
}

// Marks and states go to disks that nobody reads; the others do what client/agent_work.cc does.
void RoundPlay::device_acts(Member& member, const DeviceAction& action) {
  if (const auto* answer = std::get_if<SendAnswer>(&action)) {
    send_up(member, kMessageBytes,
            {.kind = Kind::kAnswerArrives, .accepted = answer->answer.accepted});
  } else if (const auto* order = std::get_if<StartTraining>(&action)) {
    start_training(member, *order);
  } else if (std::holds_alternative<SealAndStore>(action)) {
    seal(member);
  } else if (std::holds_alternative<SendOffer>(action)) {
    send_up(member, kMessageBytes, {.kind = Kind::kOfferArrives});
  } else if (const auto* chunks = std::get_if<SendChunks>(&action)) {
    if (member.drops[static_cast<std::size_t>(DropPhase::kUploading)]) {
      return vanish(member, DropPhase::kUploading);
    }
    const std::uint64_t begin = std::uint64_t{chunks->first} * limits::kChunkBytes;
    const std::uint64_t bytes = std::min<std::uint64_t>(
        setting_.weights.upload_bytes - begin, std::uint64_t{chunks->count} * limits::kChunkBytes);
    send_up(member, bytes + std::uint64_t{chunks->count} * kEnvelopeBytes,
            {.kind = Kind::kChunksArrive, .number = chunks->first + chunks->count});
  } else if (const auto* said = std::get_if<SendSecAggMessage>(&action)) {
    const std::uint64_t bytes = encode_secagg(said->message).size() + kEnvelopeBytes;
    send_up(member, bytes, {.kind = Kind::kSecAggToServer, .number = put_letter(said->message)});
  }
}

// How long training takes follows from the budget alone: as many steps as the recipe asks for, or
// as begin before the deadline.
void RoundPlay::start_training(Member& member, const StartTraining& order) {
  Population& population = setting_.population;
  const Recipe& recipe = setting_.plan.recipe;
  const std::uint64_t fetched = setting_.weights.release_bytes;
  played_.traffic.bytes_down += fetched;
  played_.traffic.joules += spend(member, population.radio_joules(member.device, fetched));
  const Nanos fetching = population.download_time(member.device, fetched);
  const Nanos step = population.training_time(member.device, recipe.batch_tokens);
  const Millis started = clock_of(member) + millis(fetching);
  Nanos allowed = nanos(std::max(Millis{0}, order.deadline - started));
  if (recipe.max_seconds > 0) {
    allowed = std::min(allowed, Nanos{std::int64_t{recipe.max_seconds} * kNanosPerSecond});
  }
  const std::int64_t fit = (allowed.count + step.count - 1) / step.count;
  const auto steps = std::min(static_cast<std::int64_t>(planned_steps(recipe)), fit);
  member.training_time = Nanos{steps * step.count};
  const Nanos ends = queue_.now() + fetching + member.training_time;
  if (member.drops[static_cast<std::size_t>(DropPhase::kTraining)]) {
    const auto done = static_cast<std::int64_t>(member.training_share *
                                                static_cast<double>(member.training_time.count));
    member.leaves = std::min(member.leaves, queue_.now() + fetching + Nanos{done});
  }
  schedule(member, std::min(ends, std::max(queue_.now(), member.leaves)) - queue_.now(),
           {.kind = Kind::kTrainingEnds});
  const bool drops = member.drops[static_cast<std::size_t>(DropPhase::kMasking)] ||
                     member.drops[static_cast<std::size_t>(DropPhase::kUploading)];
  if (drops || member.leaves <= ends) return; // what it learns reaches nobody
  learner_.expect(
      {.device = member.device,
       .id = member.id,
       .started = started,
       .deadline = order.deadline,
       .step_time = step,
       .arrives = ends + population.upload_time(member.device, setting_.weights.upload_bytes)});
}

void RoundPlay::seal(Member& member) {
  auto masks = member.round->masks();
  COPPICE_CHECK_OK(masks);
  member.masks = std::move(masks).value();
  if (member.drops[static_cast<std::size_t>(DropPhase::kMasking)]) {
    return vanish(member, DropPhase::kMasking);
  }
  feed_device(member, UploadStored{plan_hash_, upload_name(setting_.plan.round, member.device),
                                   setting_.weights.upload_bytes});
}

} // namespace coppice
