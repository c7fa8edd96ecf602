// SPDX-License-Identifier: Apache-2.0
// A run as three TensorBoard runs, whose steps are rounds, virtual seconds, and bytes (up and down
// together): TensorBoard plots against its step, so each axis is a run of its own.
//
// Tags: "SET/bits_per_byte/ADAPTER" and the like for evaluations, "round/NAME" for rounds,
// "metrics/NAME" for what devices said. Wall time is virtual: seconds since the start.
// Scalars that aren't finite are left out. Pure; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "sim/run_record.h"

namespace coppice {

struct TensorBoardRun {
  std::string folder; // "by_round", "by_virtual_seconds", "by_bytes"
  Bytes events;       // of one event file
};
std::vector<TensorBoardRun> tensorboard_runs(const RunRecord& run);

// The same at every call, so that a second report replaces the first.
inline constexpr const char* kTensorBoardFolder = "tensorboard";
inline constexpr const char* kTensorBoardFile = "events.out.tfevents.0000000000.coppice";

} // namespace coppice
