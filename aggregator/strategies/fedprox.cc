// SPDX-License-Identifier: Apache-2.0
// FedProx (Li et al. 2020, algorithm 2): devices add mu/2 |w - w_t|^2 to their loss, which holds
// them near the received adapter. mu is training.proximal_mu; where that is 0, 0.01, the middle
// of the grid that the paper searched (0.001 to 1).
#include "aggregator/strategies/average.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

constexpr float kMu = 0.01F;

class FedProx final : public AverageStrategy {
 public:
  void prepare(RoundPlan& plan) const override {
    if (plan.recipe.proximal_mu == 0) plan.recipe.proximal_mu = kMu;
  }
};

} // namespace

std::unique_ptr<Strategy> fedprox(const StrategySettings&) { return std::make_unique<FedProx>(); }

} // namespace coppice
