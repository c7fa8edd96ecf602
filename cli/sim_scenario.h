// SPDX-License-Identifier: Apache-2.0
// A scenario from its file, the environment and the command line, and a run that is gone on with.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "sim/simulation.h"

namespace coppice {

struct LoadedScenario {
  Settings settings;
  Scenario scenario;
  fs::path folder; // of the file
  Json manifest;   // what a run's manifest says of it; enough to load it again
};

// `set` are KEY=VALUE.
Result<LoadedScenario> load_scenario(const fs::path& file, const std::vector<std::string>& set,
                                     const Environment& environment);
// The same of a text that stands for `file`.
Result<LoadedScenario> scenario_of_text(std::string text, const fs::path& file,
                                        const std::vector<std::string>& set,
                                        const Environment& environment);
// From a run's manifest.
Result<LoadedScenario> reload_scenario(const Json& manifest);

// Opens base and engine as the scenario says, for a process that stands at `place`; adds to the
// manifest what a run must be gone on with.
Result<SimulationParts> simulation_parts(LoadedScenario& loaded, const RankPlace& place);

} // namespace coppice
