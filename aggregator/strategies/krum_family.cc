// SPDX-License-Identifier: Apache-2.0
// Krum, Multi-Krum (Blanchard et al. 2017) and Bulyan (El Mhamdi et al. 2018): they trust updates
// with close neighbours, with strategy.byzantine_fraction of them taken for hostile. Where devices
// differ for good reasons, those that are far from the others are lost.
#include "aggregator/krum.h"

#include <algorithm>

#include "aggregator/strategies/individual.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class Krum final : public IndividualStrategy {
 public:
  using IndividualStrategy::IndividualStrategy;

 protected:
  Result<RobustResult> combine(UpdateRows updates, std::span<const double>,
                               StrategyState&) const override {
    return coppice::krum(updates, faulty(updates.size()));
  }
};

class MultiKrum final : public IndividualStrategy {
 public:
  using IndividualStrategy::IndividualStrategy;

 protected:
  Result<RobustResult> combine(UpdateRows updates, std::span<const double> weights,
                               StrategyState&) const override {
    const std::size_t f = faulty(updates.size());
    const std::size_t keep = settings().keep > 0 ? settings().keep : updates.size() - f;
    return coppice::multi_krum(updates, f, keep, weights);
  }
};

class Bulyan final : public IndividualStrategy {
 public:
  using IndividualStrategy::IndividualStrategy;

 protected:
  Result<RobustResult> combine(UpdateRows updates, std::span<const double>,
                               StrategyState&) const override {
    return coppice::bulyan(updates, faulty(updates.size()));
  }
};

} // namespace

std::unique_ptr<Strategy> krum_strategy(const StrategySettings& settings) {
  return std::make_unique<Krum>(settings);
}
std::unique_ptr<Strategy> multi_krum_strategy(const StrategySettings& settings) {
  return std::make_unique<MultiKrum>(settings);
}
std::unique_ptr<Strategy> bulyan_strategy(const StrategySettings& settings) {
  return std::make_unique<Bulyan>(settings);
}

} // namespace coppice
