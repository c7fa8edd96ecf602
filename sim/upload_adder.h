// SPDX-License-Identifier: Apache-2.0
// Adds uploads to a round's running sum on a thread of its own, in the order given, while the round
// goes on: an upload of a megabyte that another core has just written takes longer to read than the
// rest of what a round does for its device.
//
// For one thread. At most kMostWaiting uploads wait in memory.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "protocol/round_plan.h"
#include "sim/thread_team.h"

namespace coppice {

class UploadAdder {
 public:
  static constexpr std::size_t kMostWaiting = 64;

  // `slots` and what `sum` looks at must stay until wait() has returned.
  void add(const std::vector<Slot>& slots, std::span<std::uint32_t> sum,
           std::vector<std::uint32_t> upload);
  void wait(); // until all that was given is in its sum

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t waiting_ = 0;
  ThreadTeam thread_{1}; // last: it uses the rest
};

} // namespace coppice
