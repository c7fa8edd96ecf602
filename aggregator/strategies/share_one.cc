// SPDX-License-Identifier: Apache-2.0
// FedSA-LoRA (Guo et al. 2025, ICLR) and its mirror image, share-b (the sharing of Fed-ALoRA, Ban
// and Ji 2025): both factors are trained, one is sent and averaged, and each device goes on with
// its own of the other, which never leaves it. What serves there is the release with its own factor
// put in. Sharing A fits devices that differ in what they say, sharing B those that differ in what
// they read. An upload is half as long; a device that never trained has the factor of version 0.
#include "aggregator/strategies/average.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class ShareOne final : public AverageStrategy {
 public:
  explicit ShareOne(bool a) : a_(a) {}
  void prepare(RoundPlan& plan) const override {
    plan.recipe.share_a = a_;
    plan.recipe.share_b = !a_;
  }

 private:
  bool a_;
};

} // namespace

std::unique_ptr<Strategy> fedsa(const StrategySettings&) {
  return std::make_unique<ShareOne>(true);
}
std::unique_ptr<Strategy> share_b(const StrategySettings&) {
  return std::make_unique<ShareOne>(false);
}

} // namespace coppice
