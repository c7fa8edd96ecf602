// SPDX-License-Identifier: Apache-2.0
// FLoRA (Wang et al. 2024): the devices' factors side by side are the sum of their products,
// exactly; it goes where it can be kept, and the next round begins with fresh factors:
//
//   patch' = patch + sum_k p_k s B_k A_k = patch + s [B_1 .. B_K] [p_1 A_1; ..; p_K A_K],
//   A' drawn anew, B' = 0,   p_k = n_k / sum n
//
// The paper adds the stack to the base; a quantized base can't take it, and the patch can (Note
// [Patch]): the best approximation of its rank, by factored QR and SVD. Unlike FedEx-LoRA's patch
// it holds all that was ever learned. What the rank drops is told of each round.
#include "adapters/factored_svd.h"
#include "aggregator/strategies/factor_strategy.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

// As version 0's A was drawn, by a seed of the round's own.
Product fresh_factors(const TargetRound& round) {
  const RoundPlan& plan = round.round.plan;
  KeyedRandom seed({.experiment = plan.recipe.seed,
                    .round = plan.round.value,
                    .purpose = RandomPurpose::kInitialAdapter});
  const AdapterSpec& whole = round.round.current.spec();
  AdapterSpec spec{
      .architecture = whole.architecture, .scaling = whole.scaling, .targets = {round.shape()}};
  spec.targets.front().rank = round.trained;
  const Adapter drawn =
      Adapter::initial(std::make_shared<const AdapterSpec>(std::move(spec)), seed.next_u64());
  return {.out = round.shape().out,
          .in = round.shape().in,
          .rank = round.trained,
          .b = {drawn.b(0).begin(), drawn.b(0).end()},
          .a = {drawn.a(0).begin(), drawn.a(0).end()}};
}

class FLora final : public FactorStrategy {
 public:
  using FactorStrategy::FactorStrategy;

 protected:
  Result<NextFactors> next(const TargetRound& round) const override {
    const Product patch = round.patch();
    std::vector<ProductView> parts = round.parts();
    parts.push_back(patch.view(round.scale));
    Recompressed best = COPPICE_TRY(recompress(parts, round.patch_rank(), Balance::kSplit));
    return NextFactors{.trained = fresh_factors(round),
                       .patch = std::move(best.product),
                       .energy = best.energy,
                       .dropped = best.dropped_energy * best.energy};
  }
};

} // namespace

std::unique_ptr<Strategy> flora(const StrategySettings& settings) {
  return std::make_unique<FLora>(settings);
}

} // namespace coppice
