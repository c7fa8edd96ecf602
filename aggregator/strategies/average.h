// SPDX-License-Identifier: Apache-2.0
// What strategies have in common whose step is the devices' weighted mean delta.
#pragma once

#include "aggregator/strategy.h"

namespace coppice {

// sum_k n_k delta_k / sum_k n_k. kFailedPrecondition for a sum without weight, kInternal for one of
// another size than the adapter.
Result<std::vector<double>> mean_delta(const RoundSum& sum, const Adapter& current);

// Of `population` devices (0: the round's cohort), what share the round's sum is of; at most 1.
double participating_share(const RoundInput& round, std::uint64_t population);

class AverageStrategy : public Strategy {
 public:
  Need need() const override { return Need::kSum; }
  void prepare(RoundPlan&) const override {}
  Result<std::vector<double>> step(const RoundInput& round, StrategyState&) const override {
    return mean_delta(round.groups.front(), round.current);
  }
};

} // namespace coppice
