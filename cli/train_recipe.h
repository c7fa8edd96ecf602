// SPDX-License-Identifier: Apache-2.0
// How `coppice train` trains, from flags and the environment; in the whole program from an
// aggregator.toml too, so that a fleet's recipe can be tried out before any device trains by it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "adapters/adapter_spec.h"
#include "cli/command_options.h"
#include "config/settings.h"
#include "protocol/round_plan.h"

namespace coppice {

// A round is a short piece of training; alone one wants more, where nobody said how much.
inline constexpr std::uint32_t kStepsAlone = 100;

struct TrainRecipe {
  std::uint32_t rank = 0;
  float alpha = 0;
  LoraScaling scaling = LoraScaling::kStandard;
  std::vector<std::string> targets;
  Recipe training;
};

// --config, where this program reads such a file.
void add_recipe_file_option(CommandOptions& command, std::string& config);

Result<TrainRecipe> train_recipe(const std::optional<fs::path>& toml,
                                 const Environment& environment, std::span<const Override> flags);

} // namespace coppice
