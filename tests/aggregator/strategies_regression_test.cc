// SPDX-License-Identifier: Apache-2.0
// The table's own strategies on federated LoRA regression (lora_regression.h), as a round has them:
// deltas in, a step out, state kept between. docs/strategies.md quotes the table that this prints.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "aggregator/strategy.h"
#include "tests/aggregator/lora_regression.h"

namespace coppice {
namespace {

Trains only_b(std::size_t) { return {.a = false, .b = true}; }
Trains in_turn(std::size_t round) { return {.a = round % 2 == 1, .b = round % 2 == 0}; }

// Makes rounds of a strategy; round 0 begins anew.
class Rounds {
 public:
  explicit Rounds(std::string_view name)
      : strategy_(make_strategy({.name = std::string(name),
                                 // Adagrad's steps shrink with the rounds, and 60 are few.
                                 .server_learning_rate = name == "fedadagrad" ? 0.1 : 0.0},
                                false)
                      .value()) {}

  Recipe recipe() const { // of the first round
    RoundPlan plan;
    plan.round = RoundId{1};
    plan.sum.cohort = 1;
    strategy_->prepare(plan);
    return plan.recipe;
  }
  void operator()(const RegressionRound& round, RegressionServer& server) {
    if (round.number == 0) state_ = {};
    state_.rounds += 1;
    RoundPlan plan;
    plan.round = RoundId{round.number + 1};
    plan.recipe.max_steps = 10;
    plan.sum.cohort = static_cast<std::uint32_t>(round.trained.size());
    strategy_->prepare(plan);
    std::vector<RoundSum> groups(plan.sum.groups);
    for (std::size_t i = 0; i < round.trained.size(); ++i) {
      RoundSum& sum = groups[i % groups.size()];
      sum.delta.resize(server.shared.values().size());
      for (std::size_t k = 0; k < sum.delta.size(); ++k) {
        sum.delta[k] += static_cast<double>(round.trained[i].values()[k]) -
                        static_cast<double>(server.shared.values()[k]);
      }
      sum.weight += 1;
      sum.weighted_steps += 10;
      sum.participants += 1;
    }
    const auto step = strategy_->step({plan, groups, server.shared}, state_).value();
    for (std::size_t k = 0; k < step.size(); ++k) {
      server.shared.values()[k] += static_cast<float>(step[k]);
    }
  }

 private:
  std::shared_ptr<Strategy> strategy_;
  StrategyState state_;
};

RegressionRule rule_of(const StrategyEntry& entry) {
  const Rounds rounds(entry.name);
  const Recipe recipe = rounds.recipe();
  RegressionRule rule{.name = entry.name.data(), .aggregate = rounds};
  if (recipe.train_a && !recipe.share_a) rule.keeps = Keeps::kA;
  if (recipe.train_b && !recipe.share_b) rule.keeps = Keeps::kB;
  if (recipe.correction == DriftCorrection::kDynamic) {
    rule.dynamic = static_cast<double>(recipe.proximal_mu);
  }
  if (entry.name == "ffa") rule.trains = only_b;
  if (entry.name == "rolora") rule.trains = in_turn;
  return rule;
}

// Bulyan wants 4 f + 3 of them, and ten devices are too few for two hostile ones; SCAFFOLD wants
// devices that take plain steps of SGD; what a round here doesn't have are losses before training.
bool has_no_figure(std::string_view name) {
  return name == "bulyan" || name == "scaffold" || name == "qfedavg";
}

TEST(StrategiesOnRegression, AllButAFrozenFactorLearnWhatIsCommon) {
  std::map<std::string_view, double> low, deviation;
  std::printf("%-16s %9s %9s\n", "strategy", "low rank", "deviation");
  for (const StrategyEntry& entry : all_strategies()) {
    if (has_no_figure(entry.name)) continue;
    low[entry.name] = tuned_regression(rule_of(entry), RegressionTarget::kLowRank).mean;
    deviation[entry.name] = tuned_regression(rule_of(entry), RegressionTarget::kDeviation).mean;
    std::printf("%-16s %9.4f %9.4f\n", entry.name.data(), low[entry.name], deviation[entry.name]);
  }
  EXPECT_GT(low["ffa"], 0.8); // 1 - r / n = .83 lies outside A's rows
  for (const char* name : {"fedavg", "rolora", "fedprox", "fednova", "flexlora"}) {
    EXPECT_LT(low[name], 0.02) << name;
  }
  EXPECT_EQ(low["fednova"], low["fedavg"]); // all devices take as many steps
  for (const auto& [name, error] : low) {
    if (name == "ffa") continue;
    EXPECT_LT(error, 0.436) << name << " is no better than learning alone";
  }
}

const StrategyEntry& entry_of(std::string_view name) {
  return *std::ranges::find(all_strategies(), name, &StrategyEntry::name);
}

// W_i = P_i M: what clients read is common, what they say is their own. Sharing A alone gets to the
// bottom of it, and a shared B is in the way; where W_i = P M_i it is the other way round.
TEST(StrategiesOnRegression, WhichFactorToKeepFollowsFromWhereClientsDiffer) {
  struct Errors {
    double output, input;
  };
  std::map<std::string_view, Errors> errors;
  const auto measure = [&](const RegressionRule& rule) {
    errors[rule.name] = {tuned_regression(rule, RegressionTarget::kOutputMap).mean,
                         tuned_regression(rule, RegressionTarget::kInputMap).mean};
  };
  for (const char* name : {"fedavg", "fedsa", "share-b"}) measure(rule_of(entry_of(name)));
  measure({.name = "local", .aggregate = {}, .keeps = Keeps::kAdapter});
  std::printf("%-10s %10s %10s\n", "", "output map", "input map");
  for (const auto& [name, error] : errors) {
    std::printf("%-10s %10.4f %10.4f\n", name.data(), error.output, error.input);
  }
  EXPECT_LT(errors["fedsa"].output, 0.05);
  EXPECT_GT(errors["local"].output, 0.3);
  EXPECT_GT(errors["fedavg"].output, errors["local"].output);
  EXPECT_LT(errors["share-b"].input, 0.6 * errors["fedsa"].input);
}

} // namespace
} // namespace coppice
