// SPDX-License-Identifier: Apache-2.0
// Fed-SB (Singhal et al. 2025): W + s B R A, where devices train and send only R, r x r. Means of R
// are exact, an upload doesn't grow with the layer, and noise is spread over r^2 values.
//
// The paper chooses the two spans from the gradient of full fine-tuning. A frozen quantized base
// has none, so here the first `warmup_rounds` releases choose them: they are fedavg's, of both
// factors. From then on B moves within its span alone (adapters/core_basis.h), and A stays.
#include "aggregator/strategies/average.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class FedSb final : public AverageStrategy {
 public:
  explicit FedSb(std::uint32_t warmup) : warmup_(warmup) {}
  void prepare(RoundPlan& plan) const override {
    if (plan.parent.value < warmup_) return;
    plan.recipe.train_a = plan.recipe.share_a = false;
    plan.recipe.core = true;
  }

 private:
  std::uint32_t warmup_;
};

} // namespace

std::unique_ptr<Strategy> fedsb(const StrategySettings& settings) {
  return std::make_unique<FedSb>(settings.warmup_rounds);
}

} // namespace coppice
