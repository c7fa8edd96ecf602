// SPDX-License-Identifier: Apache-2.0
#include "protocol/learning_rates.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace coppice {

float schedule_factor(const Recipe& recipe, std::uint64_t step, std::uint64_t steps) {
  if (step < recipe.warmup_steps) {
    return static_cast<float>(step + 1) / static_cast<float>(recipe.warmup_steps);
  }
  if (recipe.schedule == Schedule::kConstant || steps <= recipe.warmup_steps) return 1.0F;
  const double progress = static_cast<double>(step - recipe.warmup_steps) /
                          static_cast<double>(steps - recipe.warmup_steps);
  return static_cast<float>(0.5 * (1.0 + std::cos(std::numbers::pi * std::min(progress, 1.0))));
}

double planned_rate_sum(const Recipe& recipe) {
  const std::uint64_t steps = planned_steps(recipe);
  double factors = 0;
  for (std::uint64_t step = 0; step < steps; ++step) {
    factors += static_cast<double>(schedule_factor(recipe, step, steps));
  }
  return factors * static_cast<double>(recipe.learning_rate);
}

} // namespace coppice
