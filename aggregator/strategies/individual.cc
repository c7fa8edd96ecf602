// SPDX-License-Identifier: Apache-2.0
#include "aggregator/strategies/individual.h"

#include "base/text.h"

namespace coppice {

void IndividualStrategy::prepare(RoundPlan& plan) const {
  plan.sum.groups = buckets_of(settings_.bucket, plan.sum.cohort);
}

std::size_t IndividualStrategy::faulty(std::size_t updates) const {
  return static_cast<std::size_t>(settings_.byzantine_fraction * static_cast<double>(updates));
}

Result<std::vector<double>> IndividualStrategy::step(const RoundInput& round,
                                                     StrategyState& state) const {
  std::vector<std::vector<float>> means;
  std::vector<double> weights;
  for (const RoundSum& sum : round.groups) {
    if (!(sum.weight > 0)) continue;
    std::vector<float>& mean = means.emplace_back(sum.delta.size());
    for (std::size_t i = 0; i < mean.size(); ++i) {
      mean[i] = static_cast<float>(sum.delta[i] / sum.weight);
    }
    weights.push_back(sum.weight);
  }
  if (means.empty()) {
    return Error{ErrorCode::kFailedPrecondition, "no device's update has any weight"};
  }
  const std::vector<UpdateRow> rows(means.begin(), means.end());
  auto combined = combine(rows, weights, state);
  // Too few updates for the rule is the round's misfortune, whatever the rule calls it.
  if (!combined.ok()) return Error{ErrorCode::kFailedPrecondition, combined.error().message};
  return std::move(combined->update);
}

} // namespace coppice
