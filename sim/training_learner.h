// SPDX-License-Identifier: Apache-2.0
// The learner whose clients train, as devices do: client/local_trainer and client/upload_builder on
// their own text, in virtual time.
//
// Clients train in packs. When an upload is asked for whose client is in no pack yet, all who are
// expected by then go into packs of `pack` clients, in the order of their arrival (then of their
// numbers); the last pack may be smaller. So packs follow from the scenario alone: a rank, a worker
// or a GPU takes a whole pack, and how many there are, and which of them is done first, changes no
// bit. Pack i of a round is trained by rank i modulo their number.
//
// Where the team's engines pack, a pack trains in one session; its texts are prepared and its
// deltas encoded by threads of their own, while others train: half as many as there are cores,
// since whoever waits for a core feeds no GPU. Else a worker trains its clients one after another,
// with the same bits for any pack. Hostile devices (sim/attack.h) have packs of their own, of all
// that are expected by then: they know what they learned together.
#pragma once

#include "sim/attack_settings.h"
#include "sim/client_data.h"
#include "sim/engine_team.h"
#include "sim/kept_states.h"
#include "sim/learner.h"
#include "sim/ranks.h"

namespace coppice {

struct TrainingLearnerSettings {
  // Whose text a device has.
  std::function<std::uint64_t(DeviceNumber)> client_of;
  // RoundMember::max_rank of a device; empty: all train what the plan says.
  std::function<std::uint32_t(DeviceNumber)> max_rank_of = {};
  std::uint32_t pack = 1;        // clients of a pack
  std::uint32_t keep_deltas = 0; // of the first so many of the round's packs
  RankPlace place;
  AttackSettings attack = {}; // simulation only
  std::uint64_t seed = 0;     // of who is hostile
  // What devices keep between rounds; must outlive the learner. Null: the recipe keeps nothing.
  KeptStates* kept = nullptr;
};

// All must outlive it. Results wait in memory for at most a few packs a worker.
std::unique_ptr<Learner> training_learner(EngineTeam& team, const ClientData& data,
                                          const BaseModel& base, TrainingLearnerSettings settings);

} // namespace coppice
