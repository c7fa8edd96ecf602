// SPDX-License-Identifier: Apache-2.0
// FFA-LoRA (Sun et al. 2024, ICLR): A stays as version 0 drew it, on all devices alike; B alone is
// trained, sent and averaged. The mean is exact, mean(B) A = mean(B A), an upload is half as long,
// and noise on B moves B A linearly.
#include "aggregator/strategies/average.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class FfaLora final : public AverageStrategy {
 public:
  void prepare(RoundPlan& plan) const override {
    plan.recipe.train_a = plan.recipe.share_a = false;
  }
};

} // namespace

std::unique_ptr<Strategy> ffa(const StrategySettings&) { return std::make_unique<FfaLora>(); }

} // namespace coppice
