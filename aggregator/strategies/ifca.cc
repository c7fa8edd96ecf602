// SPDX-License-Identifier: Apache-2.0
// IFCA (Ghosh, Chung, Yin, Ramchandran 2020, algorithm 1, model averaging): a release holds m
// adapters side by side (adapters/rank_slices.h), each device trains the one that has the least
// loss on its text, and each becomes the mean of what was made of it:
//
//   w_c <- w_c + sum_{k in c} n_k delta_k / sum_{k in c} n_k
//
// A device sends zeros for the clusters that it isn't in, so that one sum does for all, and under
// secure aggregation nobody learns which one it chose. All begin alike: in the first round a device
// draws its cluster, and what sets the clusters apart is who was in them.
#include "adapters/rank_slices.h"
#include "aggregator/strategies/average.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class Ifca final : public AverageStrategy {
 public:
  explicit Ifca(std::uint32_t clusters) : clusters_(clusters) {}
  void prepare(RoundPlan& plan) const override { plan.recipe.clusters = clusters_; }

  Result<std::vector<double>> step(const RoundInput& round, StrategyState& state) const override {
    const RoundSum& sum = round.groups.front();
    if (clusters_ == 1) return AverageStrategy::step(round, state);
    if (sum.delta.size() != round.current.values().size() ||
        sum.cluster_weights.size() != clusters_) {
      return Error{ErrorCode::kInternal, "the sum has other clusters than the strategy"};
    }
    std::vector<double> step(sum.delta.size());
    for (std::uint32_t c = 0; c < clusters_; ++c) {
      const double weight = sum.cluster_weights[c];
      if (weight < kLeastWeight) continue; // nobody's: it stays
      for_each_of_slice(round.current.spec(), clusters_, c,
                        [&](std::size_t first, std::size_t count) {
                          for (std::size_t i = first; i < first + count; ++i) {
                            step[i] = sum.delta[i] / weight;
                          }
                        });
    }
    return step;
  }

 private:
  // Weights are integers from 1 on, summed as metrics of 2^20 levels or more.
  static constexpr double kLeastWeight = 0.5;
  std::uint32_t clusters_;
};

} // namespace

std::unique_ptr<Strategy> ifca(const StrategySettings& settings) {
  return std::make_unique<Ifca>(settings.clusters);
}

} // namespace coppice
