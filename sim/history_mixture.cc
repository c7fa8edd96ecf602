// SPDX-License-Identifier: Apache-2.0
// Settings for one history after another: a mixture of everything.
#include <algorithm>

#include "base/random.h"
#include "sim/protocol_history.h"

namespace coppice {

HistorySettings random_history(std::uint64_t seed) {
  KeyedRandom random({.experiment = seed, .purpose = RandomPurpose::kSimulation});
  const auto one_in = [&](std::uint64_t count) { return random.below(count) == 0; };
  const auto between = [&](std::uint64_t low, std::uint64_t high) {
    return static_cast<std::uint32_t>(low + random.below(high - low + 1));
  };
  HistorySettings made;
  constexpr std::uint32_t kDevices[] = {3, 3, 4, 4, 4, 4, 5, 6}; // large ones are slow
  made.devices = kDevices[random.below(8)];
  made.rounds = one_in(8) ? 2 : 1;
  made.delta_elements = between(1, 15);
  made.min_survivors = one_in(4) ? between(2, made.devices) : 2;
  made.owner_floor = one_in(16) ? made.min_survivors + 1 : made.min_survivors;
  made.noise = one_in(2);
  made.leaving = one_in(4) ? between(1, 2) : 0;
  constexpr std::uint32_t kStorms[] = {33, 33, 66, 97};
  made.storm_percent = kStorms[random.below(4)];
  if (one_in(2)) { // else the rounds that faults end early would be most
    made.drop_per_mille = 40;
    made.repeat_per_mille = 40;
    made.crash_per_mille = 5;
    made.decline_per_mille = 10;
  }
  made.full_per_mille = one_in(4) ? 200 : 0;
  made.secure_aggregation = !one_in(8);
  if (!made.secure_aggregation) return made;
  made.real_primitives = one_in(32);
  made.plan.dropout = made.devices > 4 && one_in(2) ? 0.34 : 0.1; // of fewer none may be two
  made.owner.dropout = made.plan.dropout;
  if (one_in(2)) {
    made.lying_aggregator = one_in(2);
    made.lying_devices = made.lying_aggregator ? 0 : between(1, 2);
  }
  return made;
}

} // namespace coppice
