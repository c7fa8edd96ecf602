// SPDX-License-Identifier: Apache-2.0
// SCAFFOLD (Karimireddy, Kale, Mohri, Reddi, Stich, Suresh 2020, algorithm 1, option II): devices
// keep the mean gradient c_k of their last round, and step along g - c_k + c, where c is the mean
// of all devices' (client/kept_rules.h). With delta_k scaled to the planned steps, H the sum of
// their learning rates, and S of N devices in the round,
//
//   w <- w + mean_k(delta_k)
//   c <- c + (S / N) mean_k(c_k' - c_k),   c_k' - c_k = -c - delta_k / H
//
// so that the sum of deltas alone tells the next c, and no second vector is sent up. Down it
// travels beside the release (Release::control_hash). N is strategy.population; 0: the round's
// cohort. The paper's server rate is 1 here; strategy.server_optimizer can stand around it. Plain
// SGD only (RoundPlan::validate): -delta / H is a mean gradient of that alone.
#include "aggregator/strategies/average.h"
#include "aggregator/strategies/strategies.h"
#include "protocol/learning_rates.h"

namespace coppice {
namespace {

class Scaffold final : public Strategy {
 public:
  explicit Scaffold(std::uint64_t population) : population_(population) {}
  Need need() const override { return Need::kSum; }
  void prepare(RoundPlan& plan) const override {
    plan.recipe.correction = DriftCorrection::kControlVariate;
    plan.recipe.normalize_by_steps = true;
  }
  Result<std::vector<double>> step(const RoundInput& round, StrategyState& state) const override {
    std::vector<double> step = COPPICE_TRY(mean_delta(round.groups.front(), round.current));
    const std::vector<float> sent = state.control(); // empty: zeros
    std::vector<double>& control = state.at(kControlVector, step.size());
    const double rates = planned_rate_sum(round.plan.recipe);
    const double share = participating_share(round, population_);
    for (std::size_t i = 0; i < step.size(); ++i) {
      const double had = sent.empty() ? 0.0 : static_cast<double>(sent[i]);
      control[i] -= share * (had + step[i] / rates);
    }
    return step;
  }

 private:
  std::uint64_t population_;
};

} // namespace

std::unique_ptr<Strategy> scaffold(const StrategySettings& settings) {
  return std::make_unique<Scaffold>(settings.population);
}

} // namespace coppice
