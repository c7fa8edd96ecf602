// SPDX-License-Identifier: Apache-2.0
// What strategies have in common that make a target's next factors from each device's own: one sum
// a device, or a bucket of devices, whose mean factors then count as one's.
//
// They go target by target, through sums of thin products (adapters/factored.h), and never hold
// more than one target's beside what they are given. The same updates give the same bits in any
// order of their groups.
#pragma once

#include "adapters/factored.h"
#include "aggregator/strategy.h"

namespace coppice {

// One target of a round.
struct TargetRound {
  const RoundInput& round;
  std::size_t target;
  std::uint32_t trained;        // ranks that devices train; those above are the patch
  double scale;                 // s
  std::vector<Product> devices; // B_i A_i after training, of the trained ranks, without s
  std::vector<double> shares;   // p_i = n_k / sum n, one a device

  const AdapterTarget& shape() const { return round.current.spec().targets[target]; }
  std::uint32_t patch_rank() const { return shape().rank - trained; }
  Product current() const;                // B A of the trained ranks before the round
  Product patch() const;                  // and of the patch, without s
  std::vector<ProductView> parts() const; // p_i s B_i A_i
};

struct NextFactors {
  Product trained;    // B A without s; of fewer ranks, the rest is zero
  Product patch;      // s folded in; the same
  double energy = 0;  // |patch|^2 before its rank was cut
  double dropped = 0; // of that, what the cut left out
};

class FactorStrategy : public Strategy {
 public:
  explicit FactorStrategy(const StrategySettings& settings) : bucket_(settings.bucket) {}
  Need need() const final { return bucket_ > 1 ? Need::kGroupSum : Need::kIndividual; }
  void prepare(RoundPlan& plan) const final;
  Result<std::vector<double>> step(const RoundInput& round, StrategyState& state) const final;
  Result<void> step_by_slot(const RoundInput& round, StrategyState& state,
                            const TakeSlot& take) const final;

 protected:
  // kInvalidArgument for factors that aren't finite, which abandons the round.
  virtual Result<NextFactors> next(const TargetRound& round) const = 0;

 private:
  std::uint32_t bucket_;
};

} // namespace coppice
