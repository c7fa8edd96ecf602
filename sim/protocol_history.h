// SPDX-License-Identifier: Apache-2.0
// One history of a fleet without sockets: the real AggregatorRound, UploadIntake and DeviceRounds,
// simulated disks, and a channel that drops, repeats, reorders and delays. Both sides crash between
// any two actions and come back from what their disks hold; peers may lie.
//
// The glue does what aggregator/service_*.cc and client/agent_*.cc do, commit for commit, and an
// observer that sees every disk and every letter judges it from outside (sim/history_observer.h).
// Everything follows from the seed; with real primitives everything but keys and masks, which
// decide nothing that happens. One thread a history.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "protocol/secagg_parameters.h"

namespace coppice {

// A broken rule, planted in the glue, the disks or a machine's context: tests show that histories
// find it. Programs plant none.
enum class PlantedBug : std::uint8_t {
  kNone,
  // A device's disk loses its last write of one kind, so that after a crash...
  kDeviceForgetsUsedOnceMark, // ... it seals again
  kDeviceForgetsAnswer,       // ... it answers another survivors' list
  // A device...
  kDeviceAnswersBeforeDisk, // says what its disk doesn't hold yet
  kDeviceMasksAgain,        // masks anew after a restart, since its machine is ready to
  kDeviceRepeatsRandomness, // draws the same keys in every round
  kDeviceIgnoresFloor,      // has no min_survivors of its own
  kDeviceIgnoresGraph,      // takes the plan's assumptions for its owner's
  kDeviceIgnoresOwnBit,     // takes itself for a survivor, whatever the list says
  kDeviceIgnoresSignatures, // takes anybody's keys for a neighbour's
  kDeviceIgnoresSpend,      // has no memory of the epsilon that plans said is spent
  // The aggregator...
  kAggregatorAcknowledgesEarly,   // before the sum's commit
  kAggregatorAddsTwice,           // one upload, on disk
  kAggregatorForgetsRoster,       // its commit is lost
  kAggregatorChangesSurvivors,    // draws up the list again after a restart
  kAggregatorUnmasksOlderSum,     // of before the last upload
  kAggregatorReleasesBeforeSpend, // in two transactions
  kAggregatorForgetsSpend,        // as a backup would that is restored without charging for it
  kAggregatorIgnoresDeadline,     // its clock stands still after a restart
};
inline constexpr int kPlantedBugs = 19;

struct HistorySettings {
  std::uint32_t devices = 3; // at most 6
  std::uint32_t rounds = 2;
  std::uint32_t delta_elements = 2; // and one of weight
  std::uint64_t upload_bytes = 96;  // at least; above limits::kChunkBytes: several chunks
  // Faults, while a round is stormy: in this share of its time.
  std::uint32_t storm_percent = 33;
  std::uint32_t drop_per_mille = 150; // of messages; the connection breaks, and is made anew
  std::uint32_t repeat_per_mille = 100;
  std::uint32_t crash_per_mille = 20; // of actions carried out
  std::uint32_t full_per_mille = 0;   // of the aggregator's commits: its disk is full
  std::uint32_t decline_per_mille = 50;
  std::uint32_t pause_per_mille = 0; // of a device's seconds: its conditions forbid to train
  std::uint32_t leaving = 0;         // devices that crash once and never come back, stormy or not

  std::uint32_t min_survivors = 2; // of plans
  std::uint32_t owner_floor = 0;   // min_survivors of the devices' owners
  bool noise = false;              // plans spend a budget
  bool secure_aggregation = false;
  bool real_primitives = false;
  GraphAssumptions plan = {};  // what plans assume
  GraphAssumptions owner = {}; // what devices' owners assume

  bool lying_aggregator = false;
  std::uint32_t lying_devices = 0;
  bool must_release = false; // every round: a promise in calm weather with few leaving
  PlantedBug bug = PlantedBug::kNone;
};

// What a set of histories has seen: one that saw no crash proves nothing.
struct HistoryCounts {
  std::uint64_t histories = 0;
  std::uint64_t released = 0;
  std::uint64_t abandoned = 0;
  std::uint64_t device_crashes = 0;
  std::uint64_t aggregator_crashes = 0;
  std::uint64_t full_disks = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t sat_out = 0;   // devices killed between the used-once mark and the bytes
  std::uint64_t pauses = 0;    // of training under way
  std::uint64_t left = 0;      // devices that never came back
  std::uint64_t recovered = 0; // sums unmasked without a device that had shared its secrets
  std::uint64_t lies = 0;      // messages made up or changed by liars
  std::uint64_t refusals = 0;  // devices and uploads put out for what they were told or said
  HistoryCounts& operator+=(const HistoryCounts& other);
};

struct HistoryOutcome {
  HistoryCounts counts;
  std::optional<std::string> broken; // the first promise that was, in words
};
HistoryOutcome run_history(std::uint64_t seed, const HistorySettings& settings);

// A mixture of all of the above, without planted bugs: one in eight without secure aggregation; of
// the others one in 32 with real primitives, and one in two with liars.
HistorySettings random_history(std::uint64_t seed);

} // namespace coppice
