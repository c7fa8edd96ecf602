// SPDX-License-Identifier: Apache-2.0
// FedAvg over LoRA factors (McMahan et al. 2017, algorithm 1; for adapters: FedIT, Zhang et al.
// 2024). A and B are averaged apart: mean(B) mean(A), which is not mean(B A).
//
//   w_next = w + sum_k n_k delta_k / sum_k n_k
#include <algorithm>

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

double participating_share(const RoundInput& round, std::uint64_t population) {
  const RoundPlan& plan = round.plan;
  // With noise, how many came is nobody's business.
  const std::uint32_t came = plan.privacy.noise == NoiseKind::kNone
                                 ? round.groups.front().participants
                                 : plan.privacy.expected_cohort;
  const std::uint64_t all = population > 0 ? population : plan.sum.cohort;
  return std::min(1.0, static_cast<double>(came) / static_cast<double>(all));
}

std::unique_ptr<Strategy> fedavg(const StrategySettings&) {
  return std::make_unique<AverageStrategy>();
}

} // namespace coppice
