// SPDX-License-Identifier: Apache-2.0
// References: what strategies are measured against and no aggregator can make rounds of.
//
// Each is a figure that a simulation measures beside its rounds (docs/strategies.md), listed by
// `coppice strategies` and refused as round.strategy, with the reason. Static data; thread-safe.
#pragma once

#include <span>
#include <string_view>

namespace coppice {

struct StrategyReference {
  std::string_view name;
  std::string_view rule;    // what it is, in a few words
  std::string_view setting; // of a scenario: what has a run measure it
  std::string_view why_not; // why no aggregator can have it
};
// local-only, then centralized.
std::span<const StrategyReference> strategy_references();

} // namespace coppice
