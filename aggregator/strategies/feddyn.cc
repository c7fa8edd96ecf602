// SPDX-License-Identifier: Apache-2.0
// FedDyn (Acar, Zhao, Navarro, Mattina, Whatmough, Saligrama 2021, algorithm 1): each device keeps
// the gradient of its loss at its last adapter and adds it to its loss as a linear term, beside a
// quadratic one of alpha (client/kept_rules.h), so that all of them rest at the optimum of the sum
// and nowhere else. With P of m devices in the round,
//
//   h <- h - alpha (P / m) mean_k(delta_k)
//   w <- w + mean_k(delta_k) - h / alpha
//
// alpha is training.proximal_mu, 0.1 where that is 0: the largest of the paper's grid (0.1, 0.01,
// 0.001). m is strategy.population; 0: the round's cohort. The mean is weighted as the plan says;
// the paper's is uniform. The optimum is that of devices that train to the end or descend by SGD;
// with AdamW it is a heuristic.
#include <algorithm>

#include "aggregator/strategies/average.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

constexpr float kAlpha = 0.1F;

class FedDyn final : public Strategy {
 public:
  explicit FedDyn(std::uint64_t population) : population_(population) {}
  Need need() const override { return Need::kSum; }
  void prepare(RoundPlan& plan) const override {
    plan.recipe.correction = DriftCorrection::kDynamic;
    if (plan.recipe.proximal_mu == 0) plan.recipe.proximal_mu = kAlpha;
  }
  Result<std::vector<double>> step(const RoundInput& round, StrategyState& state) const override {
    std::vector<double> step = COPPICE_TRY(mean_delta(round.groups.front(), round.current));
    std::vector<double>& h = state.at("dynamic", step.size());
    const auto alpha = static_cast<double>(round.plan.recipe.proximal_mu);
    const double share = participating_share(round, population_);
    for (std::size_t i = 0; i < step.size(); ++i) {
      h[i] -= alpha * share * step[i];
      step[i] -= h[i] / alpha;
    }
    return step;
  }

 private:
  std::uint64_t population_;
};

} // namespace

std::unique_ptr<Strategy> feddyn(const StrategySettings& settings) {
  return std::make_unique<FedDyn>(settings.population);
}

} // namespace coppice
