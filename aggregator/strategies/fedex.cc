// SPDX-License-Identifier: Apache-2.0
// FedEx-LoRA (Singhal et al. 2025): A and B are averaged apart, and what the
// product of the averages misses of the average of the products goes where it can be kept:
//
//   A' = sum_k p_k A_k,   B' = sum_k p_k B_k,
//   patch' = patch + s (sum_k p_k B_k A_k - B' A'),   p_k = n_k / sum n
//
// so that base + patch' + s B' A' is the exact mean of what devices had. The paper adds the
// residual to the base; a quantized base can't take it, and the patch can (Note [Patch]): the best
// approximation of its rank, by factored QR and SVD. What that drops is told of each round.
#include "adapters/factored_mean.h"
#include "adapters/factored_svd.h"
#include "aggregator/strategies/factor_strategy.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class FedEx final : public FactorStrategy {
 public:
  using FactorStrategy::FactorStrategy;

 protected:
  Result<NextFactors> next(const TargetRound& round) const override {
    std::vector<ProductView> devices;
    for (const Product& device : round.devices) devices.push_back(device.view());
    NextFactors made{.trained = COPPICE_TRY(padded_mean(devices, round.shares, round.trained, 1)),
                     .patch = {}};
    const Product patch = round.patch();
    std::vector<ProductView> parts = round.parts();
    parts.push_back(made.trained.view(-round.scale));
    parts.push_back(patch.view(round.scale));
    Recompressed best = COPPICE_TRY(recompress(parts, round.patch_rank(), Balance::kSplit));
    made.patch = std::move(best.product);
    made.energy = best.energy;
    made.dropped = best.dropped_energy * best.energy;
    return made;
  }
};

} // namespace

std::unique_ptr<Strategy> fedex(const StrategySettings& settings) {
  return std::make_unique<FedEx>(settings);
}

} // namespace coppice
