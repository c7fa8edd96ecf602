// SPDX-License-Identifier: Apache-2.0
// The table's own strategies on federated LoRA regression (lora_regression.h), as a round has them:
// deltas in, a step out, state kept between. docs/strategies.md quotes the table that this prints.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "tests/aggregator/strategy_rounds.h"

namespace coppice {
namespace {

StrategyRounds rounds_of(const StrategyEntry& entry) {
  return StrategyRounds({.name = std::string(entry.name),
                         // Adagrad's steps shrink with the rounds, and 60 are few.
                         .server_learning_rate = entry.name == "fedadagrad" ? 0.1 : 0.0,
                         // It wants 4 f + 3 devices, and there are ten.
                         .byzantine_fraction = entry.name == "bulyan" ? 0.1 : 0.2},
                        entry.patch ? 4 : 0);
}

// With a patch of twice the rank, as by default.
RegressionRule rule_of(const StrategyEntry& entry, std::uint32_t patch = 8) {
  const StrategyRounds rounds = rounds_of(entry);
  const Recipe recipe = rounds.recipe();
  RegressionRule rule{
      .name = entry.name.data(), .aggregate = rounds, .patch = entry.patch ? patch : 0};
  if (recipe.train_a && !recipe.share_a) rule.keeps = Keeps::kA;
  if (recipe.train_b && !recipe.share_b) rule.keeps = Keeps::kB;
  if (recipe.correction == DriftCorrection::kDynamic) {
    rule.dynamic = static_cast<double>(recipe.proximal_mu);
  }
  if (entry.name == "ffa") rule.trains = only_b;
  if (entry.name == "rolora") rule.trains = in_turn;
  if (entry.name == "hetlora") rule.trained_ranks = {4, 2, 3};
  if (entry.name == "fedsb") rule.cores_from = StrategySettings{}.warmup_rounds;
  rule.clusters = recipe.clusters;
  rule.control_variates = recipe.correction == DriftCorrection::kControlVariate;
  rule.descends = rule.control_variates; // it can't be had with Adam
  return rule;
}

TEST(StrategiesOnRegression, AllButAFrozenFactorLearnWhatIsCommon) {
  std::map<std::string_view, double> low, deviation;
  std::printf("%-16s %9s %9s\n", "strategy", "low rank", "deviation");
  for (const StrategyEntry& entry : all_strategies()) {
    low[entry.name] = tuned_regression(rule_of(entry), RegressionTarget::kLowRank).mean;
    deviation[entry.name] = tuned_regression(rule_of(entry), RegressionTarget::kDeviation).mean;
    std::printf("%-16s %9.4f %9.4f\n", entry.name.data(), low[entry.name], deviation[entry.name]);
  }
  EXPECT_GT(low["ffa"], 0.8); // 1 - r / n = .83 lies outside A's rows
  for (const char* name :
       {"fedavg", "rolora", "fedprox", "fednova", "flexlora", "hetlora", "fedex", "flora"}) {
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

// Of a target of full rank the four ranks of an adapter hold little; a patch makes up for that as
// far as it reaches. With 20 ranks above the four the adapter could be any matrix.
TEST(StrategiesOnRegression, WhereRankRunsShortAPatchWins) {
  const auto error = [](std::string_view name, std::uint32_t patch) {
    const RegressionResult result =
        tuned_regression(rule_of(entry_of(name), patch), RegressionTarget::kFullRank);
    std::printf("%-16s %2u %9.4f %9.4f %9.4f  lr %g\n", name.data(), patch, result.mean, result.low,
                result.high, result.learning_rate);
    return result.mean;
  };
  const double fedavg = error("fedavg", 0);
  const double fedex = error("fedex", 20);
  const double flora = error("flora", 20);
  EXPECT_LT(flora, fedex);
  EXPECT_LT(fedex, 0.25 * fedavg);
  // Eight ranks leave out what the best of rank 12 does, and are better than none.
  EXPECT_LT(error("fedex", 8), fedavg);
  EXPECT_LT(error("flora", 8), fedavg);
}

// Ranks by device: those who train two or three of the four hold nobody back, and the shared
// adapter's upper ranks learn from those who train all.
TEST(StrategiesOnRegression, RanksByDeviceLearnWhatIsCommon) {
  for (const char* name : {"fedavg", "flexlora", "hetlora", "fedex"}) {
    RegressionRule rule = rule_of(entry_of(name));
    rule.trained_ranks = {4, 2, 3};
    const RegressionResult result = tuned_regression(rule, RegressionTarget::kLowRank);
    std::printf("%-16s %9.4f\n", name, result.mean);
    EXPECT_LT(result.mean, 0.02) << name;
  }
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

// A core of 16 values finds what lies in its spans, and the rounds of both factors choose those.
TEST(StrategiesOnRegression, CoresLearnTheMoreTheMoreReleasesChoseTheirSpans) {
  double before = 1;
  for (const std::uint32_t warmup : {0U, 1U, 2U, 4U, 8U}) {
    RegressionRule rule{.name = "fedsb",
                        .aggregate = StrategyRounds({.name = "fedsb", .warmup_rounds = warmup})};
    rule.cores_from = warmup;
    const RegressionResult result = tuned_regression(rule, RegressionTarget::kLowRank);
    std::printf("fedsb %2u %9.4f %9.4f %9.4f  lr %g\n", warmup, result.mean, result.low,
                result.high, result.learning_rate);
    EXPECT_LT(result.mean, before) << warmup;
    before = result.mean;
  }
}

// Two kinds of clients, who have nothing in common: one adapter for all is in the way of both, and
// each kind finds its own among several.
TEST(StrategiesOnRegression, ClustersFindWhoIsAlike) {
  const auto error = [](const RegressionRule& rule) {
    const RegressionResult result = tuned_regression(rule, RegressionTarget::kTwoGroups);
    std::printf("%-10s %u %9.4f %9.4f %9.4f  lr %g\n", rule.name, rule.clusters, result.mean,
                result.low, result.high, result.learning_rate);
    return result.mean;
  };
  const double alone = error({.name = "local", .aggregate = {}, .keeps = Keeps::kAdapter});
  EXPECT_GT(error(rule_of(entry_of("fedavg"))), alone);
  EXPECT_LT(error(rule_of(entry_of("ifca"))), 0.05);
}

} // namespace
} // namespace coppice
