// SPDX-License-Identifier: Apache-2.0
// From what a training moved to what a plan's delta slots hold of it, and back.
//
// The factors that the recipe shares (adapters/factor_choice.h), or the cores of B
// (adapters/core_basis.h). Pure; thread-safe.
#pragma once

#include <span>
#include <vector>

#include "adapters/core_basis.h"
#include "protocol/plan_encoding.h"

namespace coppice {

// How many values the delta slots are for, whatever turn it is.
inline std::size_t shared_count(const AdapterSpec& spec, const Recipe& recipe) {
  return recipe.core ? core_count(spec) : chosen_count(spec, shared_factors(recipe));
}

// Those values of `moved`, a change of the release's adapter.
inline std::vector<float> shared_values(const Recipe& recipe, const Adapter& release,
                                        std::span<const float> moved) {
  if (!recipe.core) return chosen_values(release.spec(), shared_factors(recipe), moved);
  const std::vector<double> cores = CoreBasis(release).cores(moved);
  return {cores.begin(), cores.end()};
}

// The inverse, with zeros for what has no slot.
template <typename T>
std::vector<T> shared_in_place(const Recipe& recipe, const Adapter& release,
                               std::vector<T> values) {
  if (!recipe.core) return all_values(release.spec(), shared_factors(recipe), std::move(values));
  const auto all = CoreBasis(release).in_place(std::vector<double>(values.begin(), values.end()));
  return std::vector<T>(all.begin(), all.end());
}

} // namespace coppice
