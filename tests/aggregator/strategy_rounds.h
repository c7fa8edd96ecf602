// SPDX-License-Identifier: Apache-2.0
// The table's own strategies on federated LoRA regression (lora_regression.h), as a round has them:
// deltas in, a step out, state kept between.
#pragma once

#include <cmath>
#include <memory>
#include <span>
#include <vector>

#include "aggregator/strategy.h"
#include "tests/aggregator/lora_regression.h"

namespace coppice {

// Makes rounds of a strategy; round 0 begins anew.
class StrategyRounds {
 public:
  explicit StrategyRounds(const StrategySettings& settings, std::uint32_t trained_rank = 0)
      : strategy_(make_strategy(settings, false).value()), trained_rank_(trained_rank) {}

  Recipe recipe(std::uint64_t round = 1) const { // from 1
    RoundPlan plan;
    plan.round = RoundId{round};
    plan.sum.cohort = 1;
    strategy_->prepare(plan);
    return plan.recipe;
  }
  // What clients trained.
  void operator()(const RegressionRound& round, RegressionServer& server) {
    std::vector<std::vector<double>> deltas;
    for (const Adapter& trained : round.trained) {
      std::vector<double>& delta = deltas.emplace_back(server.shared.values().size());
      for (std::size_t k = 0; k < delta.size(); ++k) {
        delta[k] = static_cast<double>(trained.values()[k]) -
                   static_cast<double>(server.shared.values()[k]);
      }
    }
    make(round, deltas, server);
  }
  // What they sent, one a client.
  void make(const RegressionRound& round, std::span<const std::vector<double>> deltas,
            RegressionServer& server) {
    if (round.number == 0) {
      state_ = {};
      made_.clear();
    }
    state_.rounds += 1;
    RoundPlan plan;
    plan.round = RoundId{round.number + 1};
    plan.parent = AdapterVersion{round.number};
    plan.recipe.max_steps = 10;
    plan.recipe.learning_rate = static_cast<float>(round.learning_rate);
    plan.recipe.schedule = Schedule::kConstant;
    plan.recipe.trained_rank = trained_rank_;
    plan.sum.cohort = static_cast<std::uint32_t>(deltas.size());
    strategy_->prepare(plan);
    std::vector<RoundSum> groups(plan.sum.groups);
    std::vector<RoundSum> late(plan.sum.max_staleness > 0 ? kLatest : 0);
    made_.emplace_back(deltas.begin(), deltas.end());
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      const std::size_t staleness = late.empty() ? 0 : i % (kLatest + 1);
      if (staleness > round.number) continue; // its first is still under way
      RoundSum& sum = staleness > 0 ? late[staleness - 1] : groups[i % groups.size()];
      sum.staleness = static_cast<std::uint32_t>(staleness);
      const std::vector<double>& delta = made_[round.number - staleness][i];
      sum.delta.resize(delta.size());
      // As devices weigh by their loss under AdamW (client/local_trainer.cc).
      const double factor = std::pow(round.losses[i], static_cast<double>(plan.recipe.loss_power));
      for (std::size_t k = 0; k < sum.delta.size(); ++k) sum.delta[k] += factor * delta[k];
      sum.weighted_curvature += factor;
      sum.weight += 1;
      sum.cluster_weights.resize(plan.recipe.clusters);
      if (!round.clusters.empty()) sum.cluster_weights[round.clusters[i]] += 1;
      sum.weighted_steps += 10;
      sum.participants += 1;
    }
    std::erase_if(late, [](const RoundSum& sum) { return sum.participants == 0; });
    const auto step = strategy_->step({plan, groups, server.shared, nullptr, late}, state_).value();
    for (std::size_t k = 0; k < step.size(); ++k) {
      server.shared.values()[k] += static_cast<float>(step[k]);
    }
    server.control = state_.control();
  }

 private:
  // Where late uploads count, of each three clients one is in time, and two come one and two rounds
  // after theirs.
  static constexpr std::size_t kLatest = 2;
  std::vector<std::vector<std::vector<double>>> made_; // by round, and client
  std::shared_ptr<Strategy> strategy_;
  StrategyState state_;
  std::uint32_t trained_rank_;
};

} // namespace coppice
