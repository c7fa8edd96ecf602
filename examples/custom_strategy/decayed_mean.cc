// SPDX-License-Identifier: Apache-2.0
// A strategy of one's own, in one file: the devices' mean, whose step shrinks from round to round.
//
//   w_next = w + mean(delta) / sqrt(t),   t = 1, 2, ... the rounds that made a release
//
// The last lines add it to the table: linked with coppice's libraries this file is the whole
// program and one strategy more. Try it:
//
//   build/release/coppice_custom strategies
//   build/release/coppice_custom sim run examples/sim/quickstart.toml --set
//   round.strategy=decayed-mean
#include <array>
#include <cmath>

#include "aggregator/strategies/average.h"

namespace coppice {
namespace {

class DecayedMean final : public AverageStrategy {
 public:
  Result<std::vector<double>> step(const RoundInput& round, StrategyState& state) const override {
    auto step = COPPICE_TRY(mean_delta(round.groups.front(), round.current));
    const double factor = 1 / std::sqrt(static_cast<double>(state.rounds));
    for (double& value : step) value *= factor;
    return step;
  }
};

} // namespace

std::span<const StrategyEntry> custom_strategies() {
  static constexpr std::array kMine{
      StrategyEntry{"decayed-mean", Need::kSum, "Robbins and Monro 1951",
                    "the mean, by smaller and smaller steps", "",
                    [](const StrategySettings&) -> std::unique_ptr<Strategy> {
                      return std::make_unique<DecayedMean>();
                    }}};
  return kMine;
}

} // namespace coppice
