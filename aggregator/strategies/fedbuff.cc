// SPDX-License-Identifier: Apache-2.0
// FedBuff (Nguyen, Malik, Zhan et al. 2022, "Federated learning with buffered asynchronous
// aggregation", AISTATS, algorithm 1): a release is made as soon as K uploads came, and devices
// that still train go on. With s_k the releases made since the one that device k started from,
//
//   step = sum_k (1 + s_k)^-exponent n_k delta_k / sum_k n_k
//
// over the K uploads of the buffer. The divisor is the paper's K, weighed by n_k, and not the sum
// of the staleness weights: a buffer of old uploads makes a smaller step, not one as long as a
// fresh buffer's in a direction of the past. The paper's exponent is 1/2; its server learning rate
// is that of a server optimizer around this.
#include <cmath>

#include "aggregator/strategies/average.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class FedBuff final : public Strategy {
 public:
  FedBuff(std::uint32_t buffer, std::uint32_t max_staleness, double exponent)
      : buffer_(buffer), max_staleness_(max_staleness), exponent_(exponent) {}
  Need need() const override { return Need::kSum; }
  // Late uploads fill the buffer too, so it may be larger than the cohort that is asked beside
  // them.
  void prepare(RoundPlan& plan) const override {
    plan.sum.goal = buffer_;
    plan.sum.min_survivors = std::min(plan.sum.min_survivors, buffer_);
    plan.sum.max_staleness = max_staleness_;
  }
  Result<std::vector<double>> step(const RoundInput& round, StrategyState&) const override {
    RoundSum buffer = round.groups.front();
    for (const RoundSum& late : round.late) {
      if (late.delta.size() != buffer.delta.size()) {
        return Error{ErrorCode::kInternal, "a late sum has another size than the round's"};
      }
      const double factor = std::pow(1.0 + late.staleness, -exponent_);
      for (std::size_t i = 0; i < buffer.delta.size(); ++i) {
        buffer.delta[i] += factor * late.delta[i];
      }
      buffer.weight += late.weight;
    }
    return mean_delta(buffer, round.current);
  }

 private:
  std::uint32_t buffer_;
  std::uint32_t max_staleness_;
  double exponent_;
};

} // namespace

std::unique_ptr<Strategy> fedbuff(const StrategySettings& settings) {
  return std::make_unique<FedBuff>(settings.buffer, settings.max_staleness,
                                   settings.staleness_exponent);
}

} // namespace coppice
