// SPDX-License-Identifier: Apache-2.0
// NAME.sweep.json beside NAME.toml: how a sweep chose that scenario's settings, for whoever
// compares it, and what `sim compare` says of its budget.
//
// {"schema": "coppice.sim_tuning.v1", "scenario", "judged_by", "values", "seeds": [...], "rounds",
//  "tokens", "chosen": {KEY: VALUE as in TOML}, "at_edge": [KEYS], "table": [...]}
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/sim_scenario.h"
#include "formats/json.h"
#include "sim/comparison.h"

namespace coppice {

inline constexpr const char* kTuningSchema = "coppice.sim_tuning.v1";
inline constexpr const char* kJudgedBy = "bits per byte on gate text";

// "runs/ffa.toml" -> "runs/ffa.sweep.json".
fs::path tuning_file(const fs::path& scenario_file);

// None without the file. Neither where the scenario, as loaded, no longer has a chosen value: its
// settings are not what the sweep chose, and `why_not` says which.
Result<std::optional<TuningBudget>> read_tuning(const fs::path& scenario_file,
                                                const LoadedScenario& loaded, std::string& why_not);

// Values of settings as they stand in TOML, by name.
std::map<std::string, std::string> values_of(const Settings& settings,
                                             const std::vector<std::string>& names);

// The scenario as a file of `folder`: what isn't a default, with paths as seen from there, below
// `comments`.
Result<std::string> scenario_copy(const LoadedScenario& loaded, const fs::path& folder,
                                  const std::vector<std::string>& comments);

} // namespace coppice
