// SPDX-License-Identifier: Apache-2.0
// HetLoRA (Cho et al. 2024): devices train as many ranks as they have room for (resources.max_rank,
// or their class's in a simulation), and those whose factors have the larger norm count for more:
//
//   w_next = w + sum_k q_k delta_k,   q_k = |B_k A_k| / sum |B A|, target by target,
//
// delta_k zero above the ranks that device k trained, and its norm that of the ranks that it did.
// In the paper a device drops the ranks that it doesn't train, and pads them with zeros when it
// sends; here it computes with all of the adapter and leaves them as they were received, so that it
// is its *change* that is padded, and ranks that few train aren't pulled to zero. Devices don't
// prune themselves. The rank that a device trained is the last that its update has something in: it
// is told from nothing else, so where round.rotate blurs updates the norms are of all ranks.
#include "adapters/factored_mean.h"
#include "aggregator/strategies/factor_strategy.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

// How many of the ranks it moved: up to the last one.
std::size_t moved_ranks(const Product& device, const Product& before) {
  for (std::size_t k = device.rank; k-- > 0;) {
    for (std::size_t i = 0; i < device.in; ++i) {
      if (device.a[k * device.in + i] != before.a[k * device.in + i]) return k + 1;
    }
    for (std::size_t row = 0; row < device.out; ++row) {
      const std::size_t at = row * device.rank + k;
      if (device.b[at] != before.b[at]) return k + 1;
    }
  }
  return 0;
}

class HetLora final : public FactorStrategy {
 public:
  using FactorStrategy::FactorStrategy;

 protected:
  Result<NextFactors> next(const TargetRound& round) const override {
    const Product before = round.current();
    std::vector<Product> moved;
    std::vector<ProductView> own, whole;
    for (const Product& device : round.devices) {
      moved.push_back(resized(device, moved_ranks(device, before)));
      whole.push_back(device.view());
    }
    for (const Product& device : moved) own.push_back(device.view(round.scale));
    const std::vector<double> weights = COPPICE_TRY(norm_weights(own));
    return NextFactors{.trained = COPPICE_TRY(padded_mean(whole, weights, round.trained, 1)),
                       .patch = {}};
  }
};

} // namespace

std::unique_ptr<Strategy> hetlora(const StrategySettings& settings) {
  return std::make_unique<HetLora>(settings);
}

} // namespace coppice
