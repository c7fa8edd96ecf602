// SPDX-License-Identifier: Apache-2.0
// RoLoRA (Chen et al. 2025): B in one round, A in the next, the other frozen and common to all, so
// that each round's mean is exact as FFA's is, and both factors learn. B goes first: version 0's is
// zero, and A has no gradient before it moves.
#include "aggregator/strategies/average.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class RoLora final : public AverageStrategy {
 public:
  void prepare(RoundPlan& plan) const override {
    const bool b = plan.round.value % 2 == 1;
    plan.recipe.train_b = plan.recipe.share_b = b;
    plan.recipe.train_a = plan.recipe.share_a = !b;
  }
};

} // namespace

std::unique_ptr<Strategy> rolora(const StrategySettings&) { return std::make_unique<RoLora>(); }

} // namespace coppice
