// SPDX-License-Identifier: Apache-2.0
// What strategies have in common that look at each device's update, or at the means of buckets of
// devices (Karimireddy, He, Jaggi 2022): one sum a device, or a bucket.
#pragma once

#include "aggregator/robust_rules.h"
#include "aggregator/strategy.h"

namespace coppice {

class IndividualStrategy : public Strategy {
 public:
  explicit IndividualStrategy(const StrategySettings& settings) : settings_(settings) {}
  Need need() const final { return settings_.bucket > 1 ? Need::kGroupSum : Need::kIndividual; }
  void prepare(RoundPlan& plan) const final;
  Result<std::vector<double>> step(const RoundInput& round, StrategyState& state) const final;

 protected:
  // The next step from the updates; their weights as the devices gave them.
  virtual Result<RobustResult> combine(UpdateRows updates, std::span<const double> weights,
                                       StrategyState& state) const = 0;
  // How many of so many updates may be hostile.
  std::size_t faulty(std::size_t updates) const;
  const StrategySettings& settings() const { return settings_; }

 private:
  StrategySettings settings_;
};

} // namespace coppice
