// SPDX-License-Identifier: Apache-2.0
// The learner whose clients train, as devices do: client/local_trainer and client/upload_builder on
// their own text, in virtual time.
#pragma once

#include "sim/client_data.h"
#include "sim/engine_team.h"
#include "sim/learner.h"

namespace coppice {

struct TrainingLearnerSettings {
  // Whose text a device has.
  std::function<std::uint64_t(DeviceNumber)> client_of;
  std::uint32_t pack = 1;        // clients that a worker takes at once
  std::uint32_t keep_deltas = 0; // of the first so many that arrive in a round
  // Whether this rank trains it; the same answer on every rank.
  std::function<bool(DeviceNumber)> mine;
};

// All must outlive it. Results wait in memory for at most a few clients a worker.
std::unique_ptr<Learner> training_learner(EngineTeam& team, const ClientData& data,
                                          TrainingLearnerSettings settings);

} // namespace coppice
