// SPDX-License-Identifier: Apache-2.0
// Plays a scenario in its folder, with progress, until it ends or Ctrl-C: what `sim run`, `resume`,
// `compare` and `sweep` do with each of their runs.
#pragma once

#include <string>

#include "cli/console.h"
#include "cli/sim_scenario.h"
#include "sim/ranks.h"

namespace coppice {

struct RunPlace {
  fs::path folder;
  bool resume = false; // there is a run, which is gone on with
  std::string label;   // of the progress: "simulating"
};

// All ranks play; the first has the folder, and shows progress. kCancelled after an interrupt, with
// everything up to the last whole round on disk; kFailedPrecondition names what a run that is gone
// on with was begun with.
Result<SimulationEnd> play_scenario(Console& console, Ranks& ranks, LoadedScenario loaded,
                                    const RunPlace& place);

} // namespace coppice
