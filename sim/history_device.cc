// SPDX-License-Identifier: Apache-2.0
// A device of a history: client/agent_*.cc with a simulated disk.
#include <algorithm>

#include "base/text.h"
#include "crypto/hash.h"
#include "protocol/secagg_masking.h"
#include "sim/history.h"

namespace coppice {

SecAggIdentity History::secagg_identity(std::size_t which) const {
  const Device& device = devices_[which];
  const bool floor = !planted(PlantedBug::kDeviceIgnoresFloor);
  const bool graph = !planted(PlantedBug::kDeviceIgnoresGraph);
  return {.primitives = *device.primitives,
          .signing = device.identity->signing,
          .id = device.identity->id,
          .fleet_key = history_fleet_key(),
          .owner = graph ? settings_.owner : settings_.plan,
          .min_survivors = floor ? settings_.owner_floor : 0};
}

void History::start_device(std::size_t which) {
  Device& device = devices_[which];
  if (planted(PlantedBug::kDeviceForgetsUsedOnceMark)) device.marks.seal_used = false;
  device.round.emplace(secagg_identity(which), device.marks,
                       device.uploads.contains(device.marks.upload), device.secagg);
  if (device.marks.seal_used && device.marks.upload.is_zero()) counts_.sat_out += 1;
  if (!device.secagg.empty() && device.round->secagg() == nullptr) { // it sits the round out
    if (planted(PlantedBug::kDeviceMasksAgain)) mask_again(which);
    device.marks = device.round->marks();
    device.secagg.clear();
  }
  wake_device(which, Wake::Kind::kTick, between(1, 1'000));
  reconnect(which);
}

// What an agent would do that trusts its machine to be used once, and forgets that it was.
void History::mask_again(std::size_t which) {
  Device& device = devices_[which];
  const SecAggIdentity identity = secagg_identity(which);
  auto machine = SecAggClient::restore({.primitives = identity.primitives,
                                        .signing = identity.signing,
                                        .id = identity.id,
                                        .fleet_key = identity.fleet_key,
                                        .plan_hash = device.marks.plan_hash,
                                        .plan = settings_.plan,
                                        .owner = identity.owner,
                                        .min_survivors = settings_.min_survivors},
                                       device.secagg);
  if (!machine || !machine->masks()) return;
  const Bytes bytes = make_upload(which, {});
  observer_.device_masks(which, device.marks.plan_hash, sha256(bytes), {});
}

// A new connection, noticed at both ends.
void History::reconnect(std::size_t which) {
  if (!devices_[which].round || !aggregator_up_) return; // whoever comes back begins
  CheckIn message;
  message.ready = true;
  message.highest_round = devices_[which].marks.highest_round;
  send_to_aggregator(which, message);
  feed_device(which, Reconnected{});
}

void History::device_ticks(std::size_t which) {
  Device& device = devices_[which];
  if (device.round && settings_.pause_per_mille > 0) {
    const bool pause = stormy() && chance(settings_.pause_per_mille);
    const bool trains = std::holds_alternative<Training>(device.round->phase());
    counts_.pauses += pause && trains && !device.round->paused() ? 1 : 0;
    feed_device(which, Conditions{pause ? std::optional<std::string>("battery") : std::nullopt});
  }
  feed_device(which, DeviceTick{});
}

void History::device_receives(std::size_t which, const Letter& letter) {
  Device& device = devices_[which];
  if (!device.round) return;
  if (const auto* offer = std::get_if<PlanLetter>(&letter.body)) {
    return device_considers(which, *offer, letter.plan_hash);
  }
  if (const auto* secagg = std::get_if<SecAggMessage>(&letter.body)) {
    return device_hears(which, letter.plan_hash, *secagg);
  }
  const Message& message = std::get<Message>(letter.body);
  if (const auto* credit = std::get_if<UploadCredit>(&message)) {
    feed_device(which, CreditReceived{*credit});
  } else if (const auto* ack = std::get_if<UploadAck>(&message)) {
    observer_.device_acknowledged(which, ack->upload);
    feed_device(which, AckReceived{*ack});
  } else if (const auto* over = std::get_if<RoundOver>(&message)) {
    const bool pays = over->released && settings_.noise;
    if (pays && !disk_.at(over->round).spent)
      observer_.broken("a release is seen before its spend");
    feed_device(which, RoundOverReceived{*over});
  } else if (const auto* refusal = std::get_if<Refusal>(&message)) {
    if (ends_upload(*refusal)) {
      feed_device(which, UploadRefused{letter.plan_hash, refusal->reason});
    }
  }
}

void History::device_hears(std::size_t which, const Sha256& plan_hash,
                           const SecAggMessage& message) {
  const auto* const list = std::get_if<SurvivorList>(&message);
  if (list == nullptr || !planted(PlantedBug::kDeviceIgnoresOwnBit)) {
    return feed_device(which, SecAggReceived{plan_hash, message});
  }
  Device& device = devices_[which];
  const auto* const machine = device.round->secagg();
  const auto* const masked =
      machine == nullptr ? nullptr : std::get_if<SecAggMasked>(&machine->phase());
  SurvivorList mended = *list;
  if (masked != nullptr) {
    const std::uint32_t me = masked->shared.me;
    mended.survivors.at(me / 8) |= static_cast<std::uint8_t>(1U << (me % 8));
    device.true_list = list->hash();
  }
  feed_device(which, SecAggReceived{plan_hash, mended});
}

// client/plan_check.h without what is no matter of crashes: fleets, bases, adapters, clocks.
void History::device_considers(std::size_t which, const PlanLetter& offer,
                               const Sha256& plan_hash) {
  Device& device = devices_[which];
  const RoundPlan& plan = *offer.plan;
  PlanVerified event{offer.plan, plan_hash, offer.time_left, std::nullopt};
  if (settings_.secure_aggregation && !plan.sum.secure_aggregation) {
    event.decline = "no secure aggregation";
  } else if (plan.sum.min_survivors < settings_.owner_floor &&
             !planted(PlantedBug::kDeviceIgnoresFloor)) {
    event.decline = "below the owner's floor";
  } else if (plan.privacy.cumulative_epsilon < device.epsilon) {
    event.decline = "epsilon that was spent is not any more";
  }
  counts_.refusals += event.decline ? 1 : 0;
  if (!event.decline && chance(settings_.decline_per_mille)) event.decline = "battery";
  if (!event.decline) device.offered_epsilon = plan.privacy.cumulative_epsilon;
  if (!event.decline) device.plan = offer.plan;
  feed_device(which, std::move(event));
}

void History::feed_device(std::size_t which, DeviceEvent event) {
  Device& device = devices_[which];
  if (!device.round) return;
  const RoundId before = device.marks.highest_round;
  auto actions = device.round->handle(std::move(event), now_);
  if (planted(PlantedBug::kDeviceAnswersBeforeDisk)) {
    std::ranges::stable_partition(actions, [](const DeviceAction& action) {
      return !std::holds_alternative<PersistSecAggState>(action);
    });
  }
  for (const DeviceAction& action : actions) {
    if (crashes(which) || !device_acts(which, action) || crashes_after(which, action)) return;
  }
  if (device.marks.highest_round < before) {
    observer_.broken("a device's highest round went down");
  }
}

// False: the device died in the middle of it.
bool History::device_acts(std::size_t which, const DeviceAction& action) {
  Device& device = devices_[which];
  if (const auto* persist = std::get_if<PersistMarks>(&action)) {
    device.marks = persist->marks;
    if (!planted(PlantedBug::kDeviceIgnoresSpend)) {
      device.epsilon = std::max(device.epsilon, device.offered_epsilon);
    }
    return !crashes(which);
  }
  if (const auto* answer = std::get_if<SendAnswer>(&action)) {
    send_to_aggregator(which, answer->answer, answer->answer.plan_hash);
  } else if (const auto* order = std::get_if<StartTraining>(&action)) {
    observer_.device_follows(which, *order->plan);
    if (planted(PlantedBug::kDeviceRepeatsRandomness)) device.own_model = ModelPrimitives(which);
    Wake wake;
    wake.who = which;
    wake.life = device.life;
    wake.kind = Wake::Kind::kTrained;
    wake.plan_hash = order->plan_hash;
    wake.training = ++device.trainings;
    schedule(wake, between(100, 10'000));
  } else if (std::holds_alternative<StopTraining>(action)) {
    device.trainings += 1;
  } else if (const auto* sealing = std::get_if<SealAndStore>(&action)) {
    return seal_and_store(which, *sealing);
  } else if (const auto* offer = std::get_if<SendOffer>(&action)) {
    if (!device.uploads.contains(offer->offer.upload)) {
      observer_.broken("bytes are offered that aren't there");
    }
    send_to_aggregator(which, offer->offer, offer->offer.plan_hash);
  } else if (const auto* chunks = std::get_if<SendChunks>(&action)) {
    send_chunks(which, *chunks);
  } else if (const auto* state = std::get_if<PersistSecAggState>(&action)) {
    device_persists(which, state->state);
    return !crashes(which);
  } else if (const auto* secagg = std::get_if<SendSecAggMessage>(&action)) {
    device_says(which, *secagg);
  } else if (std::holds_alternative<ForgetSecAggState>(action)) {
    device.secagg.clear();
  } else if (const auto* forget = std::get_if<ForgetUpload>(&action)) {
    device.uploads.erase(forget->upload);
  } else if (const auto* note = std::get_if<Note>(&action)) {
    counts_.refusals += note->line.starts_with("secure aggregation") ? 1 : 0;
  }
  return true;
}

void History::device_persists(std::size_t which, const Bytes& state) {
  Device& device = devices_[which];
  const SecAggClient* const machine = device.round->secagg();
  if (machine != nullptr) { // null where it has just refused
    const bool answered = std::holds_alternative<SecAggAnswered>(machine->phase());
    if (answered && planted(PlantedBug::kDeviceForgetsAnswer)) return;
  }
  device.secagg = state;
}

void History::device_says(std::size_t which, const SendSecAggMessage& action) {
  Device& device = devices_[which];
  std::vector<SecAggMessage> said;
  if (device.liar) {
    said = device.liar->says(action.message);
  } else {
    said.push_back(action.message);
  }
  for (SecAggMessage& message : said) {
    auto* const answer = std::get_if<UnmaskShares>(&message);
    if (answer != nullptr && device.true_list) answer->survivors_hash = *device.true_list;
    if (device.round->secagg() != nullptr) {
      observer_.device_says(which, *device.round->secagg(), message);
    }
    send({.to = kAggregator,
          .from = which,
          .plan_hash = action.plan_hash,
          .body = std::move(message)});
  }
}

bool History::seal_and_store(std::size_t which, const SealAndStore& order) {
  Device& device = devices_[which];
  if (!device.marks.seal_used) {
    observer_.broken("a device seals before its used-once mark is on disk");
  }
  const auto masks = device.round->masks();
  if (!masks) {
    feed_device(which, TrainingFailed{order.plan_hash, masks.error().message});
    return device.round.has_value();
  }
  std::vector<std::uint32_t> elements;
  for (const Slot& slot : order.plan->slots) {
    for (std::uint32_t i = 0; i < slot.elements; ++i) {
      elements.push_back(random_.next_u32() & slot.bits.mask());
    }
  }
  std::vector<std::uint32_t> masked = elements;
  apply_masks(order.plan->slots, *masks, masked);
  if (device.liar && device.liar->another_shape()) masked.pop_back();
  Bytes bytes = make_upload(which, masked);
  const Sha256 name = sha256(bytes);
  const std::uint64_t size = bytes.size();
  observer_.device_masks(which, order.plan_hash, name, std::move(elements));
  if (crashes(which)) return false; // before the bytes are on disk
  device.uploads.emplace(name, std::move(bytes));
  if (crashes(which)) return false;
  feed_device(which, UploadStored{order.plan_hash, name, size});
  return device.round.has_value();
}

// {count, elements, a number that makes any two uploads differ, as seals do}, and zeros.
Bytes History::make_upload(std::size_t which, const std::vector<std::uint32_t>& elements) {
  ByteWriter writer;
  writer.put(static_cast<std::uint64_t>(elements.size()));
  for (const std::uint32_t element : elements) writer.put(element);
  writer.put(static_cast<std::uint64_t>(which));
  writer.put(random_.next_u64());
  Bytes bytes = std::move(writer).take();
  if (bytes.size() < settings_.upload_bytes) bytes.resize(settings_.upload_bytes);
  return bytes;
}

void History::send_chunks(std::size_t which, const SendChunks& chunks) {
  const Bytes& bytes = devices_[which].uploads.at(chunks.upload);
  for (std::uint32_t i = chunks.first; i < chunks.first + chunks.count; ++i) {
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(i * limits::kChunkBytes);
    const auto length = std::min<std::ptrdiff_t>(limits::kChunkBytes, bytes.end() - begin);
    send_to_aggregator(which, UploadChunk{chunks.upload, i, Bytes(begin, begin + length)},
                       chunks.plan_hash);
  }
}

} // namespace coppice
