// SPDX-License-Identifier: Apache-2.0
// Coordinate-wise median (Yin et al. 2018, definition 1). Withstands any minority of hostile
// updates, coordinate by coordinate; a minority of honest devices that differ is outvoted too.
#include "aggregator/strategies/individual.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class Median final : public IndividualStrategy {
 public:
  using IndividualStrategy::IndividualStrategy;

 protected:
  Result<RobustResult> combine(UpdateRows updates, std::span<const double>,
                               StrategyState&) const override {
    return coordinate_median(updates);
  }
};

} // namespace

std::unique_ptr<Strategy> median(const StrategySettings& settings) {
  return std::make_unique<Median>(settings);
}

} // namespace coppice
