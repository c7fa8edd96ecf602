// SPDX-License-Identifier: Apache-2.0
// Whom a round asks, and whom of earlier rounds it still hears from.
#include <algorithm>
#include <limits>
#include <set>

#include "sim/simulation.h"

namespace coppice {
namespace {

constexpr Nanos kWaitForDevices{60 * kNanosPerSecond};          // then the cohort is drawn again
constexpr Nanos kLongestWait{14 * 24 * 3600 * kNanosPerSecond}; // without enough devices
constexpr std::uint64_t kCohort = 0x636f686f7274;               // RandomKey::step of the cohort

bool contains(const std::vector<LateName>& names, const LateName& name) {
  return std::ranges::find(names, name) != names.end();
}

} // namespace

std::set<DeviceNumber> Simulation::under_way() const {
  std::set<DeviceNumber> devices;
  for (const LateRound& round : state_.late) {
    for (const LateDevice& late : round.devices) {
      if (late.at > state_.time) devices.insert(late.device);
    }
  }
  return devices;
}

// The cohort: drawn from who is available and not under way, later if there are too few. Empty:
// there never were.
Result<std::vector<DeviceNumber>> Simulation::gather(const std::atomic<bool>* stop) {
  const Scenario& scenario = parts_.scenario;
  const CohortSettings& cohort = scenario.fleet.cohort;
  const std::uint64_t bands =
      scenario.fleet.privacy.noise == NoiseKind::kBanded ? scenario.fleet.privacy.bands : 0;
  const std::uint64_t next = state_.rounds + 1;
  std::set<DeviceNumber> busy;
  const auto rests = [&](DeviceNumber device) {
    if (busy.contains(device)) return true;
    const std::uint64_t last = population_->row(device).last_round;
    if (bands > 0 && last > 0 && last + bands > next) return true;
    return data_ != nullptr && data_->unseen(device % data_->clients());
  };
  const Nanos waited_from = state_.time;
  for (std::uint64_t attempt = 0; state_.time - waited_from <= kLongestWait; ++attempt) {
    if (stop != nullptr && stop->load()) {
      return Error{ErrorCode::kCancelled, "the simulation was stopped"};
    }
    const RandomKey key{.experiment = scenario.seed,
                        .round = next,
                        .client = attempt,
                        .purpose = RandomPurpose::kSimulation,
                        .step = kCohort};
    busy = under_way();
    std::vector<DeviceNumber> drawn;
    if (cohort.poisson) {
      drawn = population_->draw_each(cohort.fraction_train, state_.time, key, rests);
    } else {
      // Counting who is ready takes a look at everybody; where all who are ready may be asked, the
      // cohort's bound alone decides.
      const std::uint64_t ready = cohort.fraction_train < 1
                                      ? population_->count_available(state_.time)
                                      : population_->size();
      const std::uint64_t at_once = cohort_size(cohort, ready);
      drawn = population_->draw(at_once - std::min<std::uint64_t>(at_once, busy.size()),
                                state_.time, key, rests);
    }
    const std::uint32_t least = cohort.poisson ? scenario.fleet.round.min_survivors
                                               : std::max({cohort.min_available, cohort.min_train,
                                                           scenario.fleet.round.min_survivors});
    if (!drawn.empty() && drawn.size() + busy.size() >= least) return drawn;
    state_.time = state_.time + wait_for_devices();
  }
  return std::vector<DeviceNumber>{};
}

// Until somebody who is under way is free, or others may have come.
Nanos Simulation::wait_for_devices() const {
  Nanos wait = kWaitForDevices;
  for (const LateRound& round : state_.late) {
    for (const LateDevice& late : round.devices) {
      if (late.at > state_.time) wait = std::min(wait, late.at - state_.time);
    }
  }
  return wait;
}

void Simulation::took_part(DeviceNumber device) {
  DeviceRow& row = population_->row(device);
  row.last_round = static_cast<std::uint32_t>(state_.rounds);
  participation_->add(row.rounds);
  if (row.rounds < std::numeric_limits<std::uint16_t>::max()) row.rounds += 1;
}

// What the round took of earlier rounds' uploads is counted here; what it left is under way.
void Simulation::settle_late(const PlayedRound& played) {
  late_staleness_ = 0;
  for (LateRound& round : state_.late) {
    for (const LateDevice& late : round.devices) {
      if (!contains(played.late_counted, {round.plan.round, late.device})) continue;
      took_part(late.device);
      tokens_ += late.tokens;
      clipped_ += late.clipped ? 1 : 0;
      clamped_ += late.clamped;
      late_staleness_ += state_.version.value - round.plan.parent.value;
    }
    std::erase_if(round.devices, [&](const LateDevice& late) {
      const bool free = late.elements.empty() && late.at <= state_.time;
      return free || contains(played.late_over, {round.plan.round, late.device});
    });
  }
  if (!played.leaves.devices.empty()) state_.late.push_back(played.leaves);
  // Too far behind what is released now: they are given up, and may be asked for another round.
  late_stale_ = 0;
  const std::uint64_t newest = state_.version.value + (played.released ? 1 : 0);
  for (LateRound& round : state_.late) {
    if (newest <= round.plan.parent.value + round.plan.sum.max_staleness) continue;
    late_stale_ += round.devices.size();
    round.devices.clear();
  }
  std::erase_if(state_.late, [](const LateRound& round) { return round.devices.empty(); });
}

} // namespace coppice
