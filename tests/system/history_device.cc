// SPDX-License-Identifier: Apache-2.0
// A device of a history: client/agent_*.cc with a simulated disk.
#include <cstring>

#include "base/text.h"
#include "crypto/hash.h"
#include "tests/system/history.h"

namespace coppice {

void History::start_device(std::size_t which) {
  Device& device = devices_[which];
  device.round.emplace(device.marks, device.uploads.contains(device.marks.upload));
  if (device.marks.seal_used && device.marks.upload.is_zero()) counts_.sat_out += 1;
  Wake tick;
  tick.who = which;
  tick.life = device.life;
  schedule(tick, between(1, 1'000));
  CheckIn message;
  message.ready = true;
  message.highest_round = device.marks.highest_round;
  send(which, kAggregator, message, {});
  feed_device(which, Reconnected{});
}

void History::device_receives(std::size_t which, const Letter& letter) {
  Device& device = devices_[which];
  if (!device.round) return;
  if (const auto* offer = std::get_if<PlanOffer>(&letter.message)) {
    const RoundPlan plan = RoundPlan::decode(offer->plan.bytes).value();
    PlanVerified event{plan, plan.hash(), offer->time_left, std::nullopt};
    if (chance(50)) event.decline = "battery";
    feed_device(which, std::move(event));
  } else if (const auto* credit = std::get_if<UploadCredit>(&letter.message)) {
    feed_device(which, CreditReceived{*credit});
  } else if (const auto* ack = std::get_if<UploadAck>(&letter.message)) {
    device.acknowledged.emplace(ack->upload, ack->round);
    feed_device(which, AckReceived{*ack});
  } else if (const auto* over = std::get_if<RoundOver>(&letter.message)) {
    feed_device(which, RoundOverReceived{*over});
  } else if (const auto* refusal = std::get_if<Refusal>(&letter.message)) {
    if (ends_upload(*refusal)) {
      feed_device(which, UploadRefused{letter.plan_hash, refusal->reason});
    }
  } else if (std::holds_alternative<Pong>(letter.message)) { // the aggregator is back: reconnected
    CheckIn message;
    message.ready = true;
    send(which, kAggregator, message, {});
    feed_device(which, Reconnected{});
  }
}

void History::feed_device(std::size_t which, DeviceEvent event) {
  Device& device = devices_[which];
  if (!device.round) return;
  const RoundId before = device.marks.highest_round;
  const auto actions = device.round->handle(std::move(event), now_);
  for (const DeviceAction& action : actions) {
    if (crashes(which) || !device_acts(which, action)) return;
  }
  if (device.marks.highest_round < before) broken("a device's highest round went down");
}

// False: the device died in the middle of it.
bool History::device_acts(std::size_t which, const DeviceAction& action) {
  Device& device = devices_[which];
  if (const auto* persist = std::get_if<PersistMarks>(&action)) {
    device.marks = persist->marks;
    return !crashes(which);
  }
  if (const auto* answer = std::get_if<SendAnswer>(&action)) {
    send(which, kAggregator, answer->answer, answer->answer.plan_hash);
  } else if (const auto* order = std::get_if<StartTraining>(&action)) {
    Wake wake;
    wake.who = which;
    wake.life = device.life;
    wake.kind = Wake::Kind::kTrained;
    wake.plan_hash = order->plan_hash;
    schedule(wake, between(100, 10'000));
  } else if (const auto* sealing = std::get_if<SealAndStore>(&action)) {
    if (!device.marks.seal_used) broken("a device seals before its used-once mark is on disk");
    if (device.sealed.contains(sealing->plan_hash)) {
      broken("a device sealed twice under one plan");
    }
    Bytes bytes = seal(which, sealing->plan, sealing->plan_hash);
    const Sha256 name = sha256(bytes);
    const std::uint64_t size = bytes.size();
    device.sealed.emplace(sealing->plan_hash, name);
    if (crashes(which)) return false; // before the bytes are on disk
    device.uploads.emplace(name, std::move(bytes));
    if (crashes(which)) return false;
    feed_device(which, UploadStored{sealing->plan_hash, name, size});
    return device.round.has_value();
  } else if (const auto* offer = std::get_if<SendOffer>(&action)) {
    if (!device.uploads.contains(offer->offer.upload))
      broken("bytes are offered that aren't there");
    send(which, kAggregator, offer->offer, offer->offer.plan_hash);
  } else if (const auto* chunks = std::get_if<SendChunks>(&action)) {
    const Bytes& bytes = device.uploads.at(chunks->upload);
    for (std::uint32_t i = chunks->first; i < chunks->first + chunks->count; ++i) {
      const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(i * limits::kChunkBytes);
      const auto length = std::min<std::ptrdiff_t>(limits::kChunkBytes, bytes.end() - begin);
      send(which, kAggregator, UploadChunk{chunks->upload, i, Bytes(begin, begin + length)},
           chunks->plan_hash);
    }
  } else if (const auto* forget = std::get_if<ForgetUpload>(&action)) {
    device.uploads.erase(forget->upload);
  }
  return true;
}

// Never twice the same bytes, as real seals: a second seal under one plan would have another name.
Bytes History::seal(std::size_t which, const RoundPlan& plan, const Sha256& plan_hash) {
  ByteWriter writer;
  writer.put(static_cast<std::uint64_t>(which));
  writer.put(random_.next_u64());
  writer.put(plan.round.value);
  writer.put_raw(plan_hash.span());
  Bytes bytes = std::move(writer).take();
  bytes.resize(settings_.upload_bytes);
  return bytes;
}

} // namespace coppice
