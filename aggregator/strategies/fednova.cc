// SPDX-License-Identifier: Apache-2.0
// FedNova (Wang et al. 2020, equation 8): devices that took more steps pull no harder. Each sends
// d_k = delta_k tau / tau_k, with tau_k its steps and tau the plan's; the step is
//
//   (tau_eff / tau) sum_k p_k d_k,   tau_eff = sum_k p_k tau_k,   p_k = n_k / sum n
//
// The normalization is that of SGD without momentum; with AdamW it is a heuristic.
#include "aggregator/strategies/average.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class FedNova final : public Strategy {
 public:
  Need need() const override { return Need::kSum; }
  void prepare(RoundPlan& plan) const override { plan.recipe.normalize_by_steps = true; }
  Result<std::vector<double>> step(const RoundInput& round, StrategyState&) const override {
    const RoundSum& sum = round.groups.front();
    std::vector<double> step = COPPICE_TRY(mean_delta(sum, round.current));
    const double effective = sum.weighted_steps / sum.weight;
    const double factor = effective / static_cast<double>(planned_steps(round.plan.recipe));
    for (double& value : step) value *= factor;
    return step;
  }
};

} // namespace

std::unique_ptr<Strategy> fednova(const StrategySettings&) { return std::make_unique<FedNova>(); }

} // namespace coppice
