// SPDX-License-Identifier: Apache-2.0
// Scenarios played with several seeds each, into ordinary run folders: OUT/FOLDER/seed-N.
//
// A run that ended is not played again and one that was stopped or killed is gone on with, so that
// the same study can be begun again at any time. Seeds come one after another, and within a seed
// the scenarios, so that what there is at any moment is in pairs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/command.h"
#include "sim/comparison.h"

namespace coppice {

struct StudyScenario {
  std::string name;
  fs::path folder; // in the study's
  fs::path file;
  std::vector<std::string> set; // KEY=VALUE; seed and training.seed are the study's
};

struct Study {
  fs::path out;
  std::vector<StudyScenario> scenarios;
  std::uint64_t first_seed = 1;
  std::uint64_t seeds = 1;
};

// Of the scenarios, in their order, with their runs by seed. kInvalidArgument for scenarios whose
// clients would have different texts or report sets; kFailedPrecondition where a run in the folder
// was begun with other settings, or by another version and others are still to be played;
// kCancelled after an interrupt.
Result<std::vector<ComparedScenario>> play_study(Context& context, const Study& study);

// Of a scenario's name, a folder's: anything but letters, digits and a few marks becomes a dash.
std::string folder_name(const std::string& name);

} // namespace coppice
