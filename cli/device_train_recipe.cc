// SPDX-License-Identifier: Apache-2.0
// A device's program knows no aggregator's file: flags and the environment alone.
#include "cli/train_recipe.h"
#include "config/recipe_keys.h"

namespace coppice {

void add_recipe_file_option(CommandOptions&, std::string&) {}

Result<TrainRecipe> train_recipe(const std::optional<fs::path>& toml,
                                 const Environment& environment, std::span<const Override> flags) {
  const Settings settings = COPPICE_TRY(Settings::load(kRecipeKeys, toml, environment, flags));
  TrainRecipe made{.rank = static_cast<std::uint32_t>(settings.get_int("lora.r")),
                   .alpha = static_cast<float>(settings.get_float("lora.lora_alpha")),
                   .scaling = settings.get_bool("lora.use_rslora") ? LoraScaling::kRankStabilized
                                                                   : LoraScaling::kStandard,
                   .targets = settings.get_strings("lora.target_modules"),
                   .training = {}};
  read_recipe(settings, made.training);
  const bool unsaid = settings.origin("training.max_steps").layer == SettingLayer::kDefault;
  if (unsaid && made.training.max_tokens == 0) made.training.max_steps = kStepsAlone;
  if (made.training.max_steps == 0 && made.training.max_tokens == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "give --steps or --max-tokens: training needs a budget"};
  }
  return made;
}

} // namespace coppice
