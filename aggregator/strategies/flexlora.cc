// SPDX-License-Identifier: Apache-2.0
// FlexLoRA (Bai et al. 2024, algorithm 1): the devices' products are averaged, and the adapter
// becomes the best of its rank that there is for their mean:
//
//   B', A' = argmin of rank r |sum_k p_k B_k A_k - B A|,   p_k = n_k / sum n
//
// by factored QR and SVD (adapters/factored_svd.h), never a matrix of the base's size. A's rows
// come out orthonormal, so that a direction which nobody used can still be learned, and singular
// values fall from rank to rank: a device that trains only the first ranks trains the best of them.
#include "adapters/factored_svd.h"
#include "aggregator/strategies/factor_strategy.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class FlexLora final : public FactorStrategy {
 public:
  using FactorStrategy::FactorStrategy;

 protected:
  Result<NextFactors> next(const TargetRound& round) const override {
    Recompressed best = COPPICE_TRY(recompress(round.parts(), round.trained, Balance::kLeft));
    for (float& value : best.product.b) {
      value = static_cast<float>(static_cast<double>(value) / round.scale);
    }
    return NextFactors{.trained = std::move(best.product), .patch = {}};
  }
};

} // namespace

std::unique_ptr<Strategy> flexlora(const StrategySettings& settings) {
  return std::make_unique<FlexLora>(settings);
}

} // namespace coppice
