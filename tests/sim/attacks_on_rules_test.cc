// SPDX-License-Identifier: Apache-2.0
// The attacks of scenarios against the table's strategies, on federated LoRA regression
// (tests/aggregator/lora_regression.h): two of ten clients are hostile. docs/strategies.md quotes
// the table that this prints.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>

#include "privacy/clip.h"
#include "sim/attack.h"
#include "tests/aggregator/strategy_rounds.h"

namespace coppice {
namespace {

constexpr std::size_t kHostile = 2;
constexpr double kLearningRate = 0.03; // of the grid of tuned_regression()
// Of a round's delta: some times what an honest client's has, as a fleet's clip_norm.
constexpr double kClip = 8;

class AttackedRounds {
 public:
  AttackedRounds(std::string_view name, const AttackSettings& attack)
      : rounds_({.name = std::string(name)}), attack_(attack) {}

  void operator()(const RegressionRound& round, RegressionServer& server) {
    std::vector<std::vector<double>> sent;
    for (const auto& delta : deltas_of(round, server.shared)) {
      sent.emplace_back(delta.begin(), delta.end());
    }
    rounds_.make(round, sent, server);
  }

 private:
  std::vector<std::vector<float>> deltas_of(const RegressionRound& round,
                                            const Adapter& shared) const {
    std::vector<std::vector<float>> deltas;
    for (const Adapter& trained : round.trained) {
      deltas.push_back(delta_between(trained, shared).value());
    }
    std::vector<std::vector<float>> sent;
    std::vector<const std::vector<float>*> learned;
    for (std::size_t i = 0; i < kHostile; ++i) learned.push_back(&deltas[i]);
    for (std::size_t i = 0; i < kHostile; ++i) {
      sent.push_back(hostile_delta(attack_, learned, i));
    }
    std::ranges::move(sent, deltas.begin());
    for (auto& delta : deltas) EXPECT_TRUE(clip_l2(delta, kClip).ok());
    return deltas;
  }

  StrategyRounds rounds_;
  AttackSettings attack_;
};

double error_under(std::string_view strategy, const AttackSettings& attack,
                   RegressionTarget target) {
  const RegressionRule rule{.name = "attacked", .aggregate = AttackedRounds(strategy, attack)};
  double sum = 0;
  for (const std::uint64_t seed : {11, 12, 13}) {
    sum += regression_error(rule, target, kLearningRate, seed) / 3;
  }
  return sum;
}

const std::map<std::string_view, AttackSettings> kAttacks = {
    {"none", {.kind = AttackKind::kScale, .strength = 1}},
    {"sign-flip", {.kind = AttackKind::kSignFlip, .strength = 4}},
    {"scale", {.kind = AttackKind::kScale, .strength = 10}},
    {"inner-product", {.kind = AttackKind::kInnerProduct, .strength = 2}},
    {"alie", {.kind = AttackKind::kAlie, .strength = 1.5}},
    {"mimic", {.kind = AttackKind::kMimic}},
};

class AttacksOnRules : public ::testing::Test {
 protected:
  void measure(RegressionTarget target) {
    std::printf("%-14s", "");
    for (const auto& [name, attack] : kAttacks) std::printf(" %13s", std::string(name).c_str());
    std::printf("\n");
    for (const char* strategy : {"fedavg", "median", "trimmed-mean", "krum", "multi-krum",
                                 "norm-bound", "rfa", "centered-clip"}) {
      std::printf("%-14s", strategy);
      for (const auto& [name, attack] : kAttacks) {
        const double error = error_under(strategy, attack, target);
        errors_[strategy][name] = error;
        std::printf(" %13.4f", error);
      }
      std::printf("\n");
    }
  }
  std::map<std::string_view, std::map<std::string_view, double>> errors_;
};

// Learning alone gives 0.436 there, no attack 0.002.
TEST_F(AttacksOnRules, WhereAllWantTheSameRobustRulesLearnIt) {
  measure(RegressionTarget::kLowRank);
  EXPECT_GT(errors_["fedavg"]["sign-flip"], 0.436);
  EXPECT_GT(errors_["fedavg"]["inner-product"], 0.436);
  for (const char* rule :
       {"median", "trimmed-mean", "multi-krum", "norm-bound", "rfa", "centered-clip"}) {
    for (const auto& [attack, error] : errors_[rule]) {
      EXPECT_LT(error, 0.01) << rule << " under " << attack;
    }
  }
  // Krum follows one update a round: those who all send the same are each other's neighbours.
  EXPECT_GT(errors_["krum"]["mimic"], 0.1);
}

// Learning alone gives 0.497 there, no attack 0.283.
TEST_F(AttacksOnRules, WhereClientsDifferTheyPayForIt) {
  measure(RegressionTarget::kDeviation);
  EXPECT_GT(errors_["fedavg"]["sign-flip"], 0.497);
  const double unattacked = errors_["fedavg"]["none"];
  for (const char* rule :
       {"median", "trimmed-mean", "multi-krum", "norm-bound", "rfa", "centered-clip"}) {
    EXPECT_LT(errors_[rule]["none"], 1.1 * unattacked) << rule;
    for (const auto& [attack, error] : errors_[rule]) {
      EXPECT_LT(error, 0.497) << rule << " under " << attack << ": no better than alone";
    }
  }
  EXPECT_GT(errors_["krum"]["none"], 1.5 * unattacked); // without any attack
}

} // namespace
} // namespace coppice
