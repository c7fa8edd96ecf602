// SPDX-License-Identifier: Apache-2.0
// q-FedAvg (Li, Sanjabi, Beirami, Smith 2020, "Fair resource allocation in federated learning",
// algorithm 2): devices with much loss F pull harder, by its power q, and Newton-like steps keep
// the rate right for any q. With delta_k = w_k - w, and L = 1 / learning_rate divided out,
//
//   step = sum_k n_k F_k^q delta_k / sum_k n_k (F_k^q + q F_k^(q-1) |delta_k|^2 / learning_rate)
//
// q = 0 is fedavg. With AdamW, whose rate says nothing of L, the second term is left out: a mean
// weighed by F^q.
#include "aggregator/strategies/average.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class QFedAvg final : public Strategy {
 public:
  explicit QFedAvg(double power) : power_(power) {}
  Need need() const override { return Need::kSum; }
  void prepare(RoundPlan& plan) const override {
    plan.recipe.loss_power = static_cast<float>(power_);
  }
  Result<std::vector<double>> step(const RoundInput& round, StrategyState&) const override {
    RoundSum sum = round.groups.front();
    if (power_ > 0) sum.weight = sum.weighted_curvature;
    return mean_delta(sum, round.current);
  }

 private:
  double power_;
};

} // namespace

std::unique_ptr<Strategy> qfedavg(const StrategySettings& settings) {
  return std::make_unique<QFedAvg>(settings.loss_power);
}

} // namespace coppice
