// SPDX-License-Identifier: Apache-2.0
// What virtual devices keep between rounds: client/kept_state.h's vectors of each, in memory and in
// the run's folder.
//
// As on devices, what a round makes of them counts only with an upload that its sum took in (Note
// [Kept until it counts]). Memory and disk hold those of devices that were counted, and of the
// running round's. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <span>

#include "client/kept_state.h"
#include "sim/population.h"

namespace coppice {

class KeptStates {
 public:
  // What a training of that device begins with; nothing at first.
  KeptVectors counted(DeviceNumber device) const;
  void made(DeviceNumber device, KeptVectors vectors); // by a training of the running round
  // The round is over: what others than `counted` made is dropped.
  void settle(std::span<const DeviceNumber> counted);

  // Writes what changed since the last call, so that restore(folder, round) gives all of it, and
  // restore() of the round that was stored before still gives what was stored then. Files that
  // nothing needs any more are removed.
  Result<void> store(const fs::path& folder, std::uint64_t round);
  // As it was stored after that round; what was stored later is removed. kCorrupt for a file that
  // is damaged.
  Result<void> restore(const fs::path& folder, std::uint64_t round);

 private:
  mutable std::mutex mutex_;
  std::map<DeviceNumber, KeptVectors> counted_;
  std::map<DeviceNumber, KeptVectors> made_;
  std::set<DeviceNumber> changed_;               // since the last store()
  std::map<DeviceNumber, std::uint64_t> stored_; // the round of its newest file
  std::vector<fs::path> outdated_;               // once the run's state is stored
};

} // namespace coppice
