// SPDX-License-Identifier: Apache-2.0
// FedAvg over LoRA factors (McMahan et al. 2017, algorithm 1; for adapters: FedIT, Zhang et al.
// 2024). A and B are averaged apart: mean(B) mean(A), which is not mean(B A).
#include "aggregator/strategy.h"

namespace coppice {
namespace {

class FedAvg final : public Strategy {
 public:
  const char* name() const override { return "fedavg"; }
  const char* paper() const override { return "McMahan et al. 2017; FedIT, Zhang et al. 2024"; }
  Need need() const override { return Need::kSum; }

  void prepare(RoundPlan& plan) const override {
    plan.recipe.train_a = true;
    plan.recipe.train_b = true;
  }

  // w_next = w + sum_k n_k delta_k / sum_k n_k
  Result<std::vector<double>> step(const RoundSum& sum, const Adapter& current) const override {
    if (sum.delta.size() != current.values().size()) {
      return Error{ErrorCode::kInvalidArgument,
                   "fedavg: the sum has another size than the adapter"};
    }
    if (!(sum.weight > 0)) {
      return Error{ErrorCode::kFailedPrecondition, "fedavg: the round's weights sum to nothing"};
    }
    std::vector<double> step(sum.delta.size());
    for (std::size_t i = 0; i < step.size(); ++i) step[i] = sum.delta[i] / sum.weight;
    return step;
  }
};

} // namespace

const Strategy& fedavg() {
  static const FedAvg instance;
  return instance;
}

} // namespace coppice
