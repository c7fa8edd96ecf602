// SPDX-License-Identifier: Apache-2.0
#include "tests/system/history.h"

#include <cstring>

#include "base/text.h"
#include "crypto/hash.h"

namespace coppice {
namespace {
constexpr Millis kTick{1'000};
constexpr Millis kRoundTime{60'000};
} // namespace

History::History(std::uint64_t seed, HistorySettings settings)
    : random_({.experiment = seed, .purpose = RandomPurpose::kTest}),
      settings_(settings),
      calm_after_{20'000},
      intake_(2, Millis{15'000}) {
  devices_.resize(settings_.devices);
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    devices_[i].id.bytes[0] = static_cast<std::uint8_t>(i + 1);
  }
}

std::optional<std::string> History::run() {
  start_aggregator();
  for (std::size_t i = 0; i < devices_.size(); ++i) start_device(i);
  // Rounds' times, and what a last restart may take.
  const Millis end{kRoundTime.count * settings_.rounds + 30'000};
  while (!queue_.empty() && !broken_) {
    const Wake wake = queue_.top();
    queue_.pop();
    if (wake.at > end) break;
    now_ = wake.at;
    // Each round has its own stormy third.
    calm_after_ = Millis{now_.count - now_.count % kRoundTime.count + kRoundTime.count / 3};
    step(wake);
    if (disk_.size() == settings_.rounds &&
        disk_.rbegin()->second.status != RoundOnDisk::Status::kRunning) {
      break;
    }
  }
  check_end();
  return broken_;
}

void History::step(const Wake& wake) {
  const bool aggregator = wake.who == kAggregator;
  const std::uint64_t life = aggregator ? aggregator_life_ : devices_[wake.who].life;
  switch (wake.kind) {
    case Wake::Kind::kRestart:
      if (life != wake.life) return;
      return aggregator ? start_aggregator() : start_device(wake.who);
    case Wake::Kind::kDeliver: {
      const Letter letter = letters_[wake.letter];
      if (!aggregator) return device_receives(wake.who, letter);
      if (aggregator_up_) aggregator_receives(letter);
      return;
    }
    case Wake::Kind::kTrained:
      if (life == wake.life) feed_device(wake.who, Trained{wake.plan_hash});
      return;
    case Wake::Kind::kTick:
      if (life != wake.life) return;
      schedule(wake, kTick);
      if (!aggregator) return feed_device(wake.who, DeviceTick{});
      if (!aggregator_up_) return;
      grant(intake_.expire(now_));
      if (!round_) begin_round();
      finish_turn();
      if (aggregator_up_ && round_) feed_round(Tick{});
      return;
  }
}

void History::schedule(Wake wake, Millis after) {
  wake.at = now_ + after;
  wake.order = ++order_;
  queue_.push(std::move(wake));
}

Millis History::between(std::uint64_t low, std::uint64_t high) {
  return {static_cast<std::int64_t>(low + random_.below(high - low))};
}

void History::broken(const std::string& promise) {
  if (!broken_) broken_ = cat("at ", now_, ": ", promise);
}

void History::send(std::size_t from, std::size_t to, Message message, const Sha256& plan_hash) {
  const bool stormy = now_ < calm_after_;
  if (stormy && chance(settings_.drop_per_mille)) return;
  letters_.push_back({to, from, plan_hash, std::move(message)});
  const std::size_t copies = stormy && chance(settings_.repeat_per_mille) ? 2 : 1;
  for (std::size_t i = 0; i < copies; ++i) {
    const Millis delay = stormy && chance(100) ? between(1, 8'000) : between(1, 200);
    Wake wake;
    wake.who = to;
    wake.kind = Wake::Kind::kDeliver;
    wake.letter = letters_.size() - 1;
    schedule(wake, delay);
  }
}

// Called between any two actions; true: that side is dead now.
bool History::crashes(std::size_t who) {
  if (now_ >= calm_after_ || !chance(settings_.crash_per_mille)) return false;
  Wake wake;
  wake.who = who;
  wake.kind = Wake::Kind::kRestart;
  if (who == kAggregator) {
    counts_.aggregator_crashes += 1;
    aggregator_up_ = false;
    round_.reset();
    intake_.clear();
    wake.life = ++aggregator_life_;
  } else {
    counts_.device_crashes += 1;
    devices_[who].round.reset();
    wake.life = ++devices_[who].life;
  }
  schedule(wake, between(10, 5'000));
  return true;
}

// ---- what must hold ----

// Two thirds of a round's time are calm: whoever has finished bytes gets them counted by then.
void History::check_close(const RoundOnDisk& round) {
  if (now_ < round.deadline) return;
  for (const Device& device : devices_) {
    const auto sealed = device.sealed.find(round.stored.plan.hash());
    if (sealed == device.sealed.end() || round.stored.counted.contains(device.id)) continue;
    if (device.marks.upload != sealed->second) continue; // killed before it knew its bytes' name
    broken(cat("device ", int{device.id.bytes[0]}, "'s finished upload ",
               device.uploads.contains(sealed->second) ? "never got through" : "was given up"));
  }
}

void History::check_release(const RoundOnDisk& round) {
  std::vector<std::uint32_t> expected(round.stored.sum.size());
  for (const auto& [client, upload] : round.stored.counted) {
    const Device& device = devices_[device_of(client)];
    const auto sealed = device.sealed.find(round.stored.plan.hash());
    if (sealed == device.sealed.end() || sealed->second != upload) {
      return broken("an upload counts that its device never sealed");
    }
    add_upload(round.stored.plan.slots, expected, elements_of(upload, round.stored.plan));
  }
  if (expected != round.stored.sum) broken("the sum is not that of the counted uploads");
  if (!round.closed_with || *round.closed_with != round.stored.counted) {
    broken("an upload was added after the close");
  }
}

void History::check_end() {
  if (broken_) return;
  for (const auto& [id, round] : disk_) {
    if (round.status == RoundOnDisk::Status::kRunning) {
      broken(cat("round ", id, " didn't end by its deadline"));
    }
  }
  for (const Device& device : devices_) {
    for (const auto& [plan_hash, upload] : device.sealed) {
      const RoundOnDisk* round = nullptr;
      for (const auto& [id, stored] : disk_) {
        if (stored.stored.plan.hash() == plan_hash) round = &stored;
      }
      const bool counted = round != nullptr && round->stored.counted.contains(device.id);
      const bool acked = device.acknowledged.contains(upload);
      counts_.acknowledged += acked ? 1 : 0;
      if (acked && !counted) broken("an acknowledged upload is not in the committed sum");
    }
  }
}

} // namespace coppice
