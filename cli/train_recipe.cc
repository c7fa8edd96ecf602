// SPDX-License-Identifier: Apache-2.0
#include "cli/train_recipe.h"

#include "aggregator/settings.h"

namespace coppice {

void add_recipe_file_option(CommandOptions& command, std::string& config) {
  command
      .add_option("--config", config,
                  "An aggregator.toml, for what no flag says: [lora] and [training] count")
      .type_name("FILE");
}

Result<TrainRecipe> train_recipe(const std::optional<fs::path>& toml,
                                 const Environment& environment, std::span<const Override> flags) {
  const Settings settings =
      COPPICE_TRY(Settings::load(aggregator_keys(), toml, environment, flags));
  const AggregatorSettings fleet = COPPICE_TRY(aggregator_settings(settings));
  TrainRecipe made{
      .rank = fleet.lora.r,
      .alpha = fleet.lora.lora_alpha,
      .scaling = fleet.lora.use_rslora ? LoraScaling::kRankStabilized : LoraScaling::kStandard,
      .targets = fleet.lora.target_modules,
      .training = fleet.training};
  const bool unsaid = settings.origin("training.max_steps").layer == SettingLayer::kDefault;
  if (unsaid && made.training.max_tokens == 0) made.training.max_steps = kStepsAlone;
  return made;
}

} // namespace coppice
