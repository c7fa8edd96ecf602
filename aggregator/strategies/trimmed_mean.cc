// SPDX-License-Identifier: Apache-2.0
// Coordinate-wise trimmed mean (Yin et al. 2018, definition 2): strategy.trim of the values is left
// out at each end.
#include "aggregator/strategies/individual.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class TrimmedMean final : public IndividualStrategy {
 public:
  using IndividualStrategy::IndividualStrategy;

 protected:
  Result<RobustResult> combine(UpdateRows updates, std::span<const double>,
                               StrategyState&) const override {
    return coppice::trimmed_mean(updates, {.fraction = settings().trim, .count = {}});
  }
};

} // namespace

std::unique_ptr<Strategy> trimmed_mean_strategy(const StrategySettings& settings) {
  return std::make_unique<TrimmedMean>(settings);
}

} // namespace coppice
