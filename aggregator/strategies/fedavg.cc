// SPDX-License-Identifier: Apache-2.0
// FedAvg over LoRA factors (McMahan et al. 2017, algorithm 1; for adapters: FedIT, Zhang et al.
// 2024). A and B are averaged apart: mean(B) mean(A), which is not mean(B A).
//
//   w_next = w + sum_k n_k delta_k / sum_k n_k
#include "aggregator/strategies/average.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {

Result<std::vector<double>> mean_delta(const RoundSum& sum, const Adapter& current) {
  if (sum.delta.size() != current.values().size()) {
    return Error{ErrorCode::kInternal, "the round's sum has another size than the adapter"};
  }
  if (!(sum.weight > 0)) {
    return Error{ErrorCode::kFailedPrecondition, "the round's weights sum to nothing"};
  }
  std::vector<double> mean(sum.delta.size());
  for (std::size_t i = 0; i < mean.size(); ++i) mean[i] = sum.delta[i] / sum.weight;
  return mean;
}

std::unique_ptr<Strategy> fedavg(const StrategySettings&) {
  return std::make_unique<AverageStrategy>();
}

} // namespace coppice
