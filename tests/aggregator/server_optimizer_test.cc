// SPDX-License-Identifier: Apache-2.0
#include "aggregator/server_optimizer.h"

#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>

namespace coppice {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::array kAllRules = {ServerRule::kFedAvgM, ServerRule::kFedAdagrad,
                                  ServerRule::kFedAdam, ServerRule::kFedYogi};

// --- Definitions, by hand ------------------------------------------------------------------------

TEST(ServerOptimizer, WithoutMomentumFedAvgMIsFedAvg) {
  const std::vector<double> delta = {0.5, -3.0, 0.0};
  ServerOptimizerState state;
  for (int round = 0; round < 3; ++round) {
    auto next = server_step(flower_settings(ServerRule::kFedAvgM), state, delta).value();
    EXPECT_EQ(next.step, delta);
    state = next.state;
  }
  EXPECT_EQ(state.rounds, 3U);
  EXPECT_THAT(state.second_moment, IsEmpty());
}

TEST(ServerOptimizer, MomentumSumsAGeometricSeries) {
  // The same D in every round: m = D (1 - b^t) / (1 - b).
  auto settings = paper_settings(ServerRule::kFedAvgM);
  settings.learning_rate = 0.5;
  ServerOptimizerState state;
  for (int round = 1; round <= 50; ++round) {
    const auto next = server_step(settings, state, std::vector<double>{2.0}).value();
    EXPECT_NEAR(next.step[0], 0.5 * 2.0 * (1 - std::pow(0.9, round)) / (1 - 0.9), 1e-12);
    state = next.state;
  }
}

TEST(ServerOptimizer, TheFirstAdaptiveStepOfThePaperByHand) {
  // D = 2, tau = 1e-3, v from tau^2, m = 0.2 with beta1 = 0.9 and 2 with beta1 = 0.
  const auto step_of = [](ServerRule rule) {
    return server_step(paper_settings(rule), {}, std::vector<double>{2.0})->step[0];
  };
  EXPECT_NEAR(step_of(ServerRule::kFedAdagrad), 0.1 * 2.0 / (std::sqrt(4 + 1e-6) + 1e-3), 1e-15);
  EXPECT_NEAR(step_of(ServerRule::kFedAdam), 0.1 * 0.2 / (std::sqrt(0.99 * 1e-6 + 0.01 * 4) + 1e-3),
              1e-15);
  EXPECT_NEAR(step_of(ServerRule::kFedYogi), 0.01 * 0.2 / (std::sqrt(1e-6 + 0.01 * 4) + 1e-3),
              1e-15);
}

TEST(ServerOptimizer, YogiForgetsALargeMomentSlowerThanAdam) {
  // v = 1 and D^2 = 1e-4: Adam moves v by (1 - beta2) (v - D^2), Yogi by (1 - beta2) D^2.
  const ServerOptimizerState state{1, {0.0}, {1.0}};
  const std::vector<double> delta = {0.01};
  const auto v = [&](ServerRule rule) {
    return server_step(paper_settings(rule), state, delta)->state.second_moment[0];
  };
  EXPECT_NEAR(v(ServerRule::kFedAdam), 1 - 0.01 * (1 - 1e-4), 1e-15);
  EXPECT_NEAR(v(ServerRule::kFedYogi), 1 - 0.01 * 1e-4, 1e-15);
  EXPECT_NEAR(v(ServerRule::kFedAdagrad), 1 + 1e-4, 1e-15);
}

TEST(ServerOptimizer, FlowersBiasCorrectionCountsRoundsFromTwo) {
  const auto corrected = flower_settings(ServerRule::kFedAdam);
  auto plain = corrected;
  plain.bias_correction = BiasCorrection::kNone;
  ServerOptimizerState state;
  for (int round = 1; round <= 5; ++round) {
    const std::vector<double> delta = {0.3 * round};
    const auto with = server_step(corrected, state, delta).value();
    const auto without = server_step(plain, state, delta).value();
    EXPECT_NEAR(with.step[0] / without.step[0],
                std::sqrt(1 - std::pow(0.99, round + 1)) / (1 - std::pow(0.9, round + 1)), 1e-12);
    EXPECT_EQ(with.state.momentum, without.state.momentum);
    state = with.state;
  }
}

TEST(ServerOptimizer, AParameterThatNobodyMovesStays) {
  for (const ServerRule rule : kAllRules) {
    for (const auto& settings : {flower_settings(rule), paper_settings(rule)}) {
      ServerOptimizerState state;
      for (int round = 0; round < 3; ++round) {
        const auto next = server_step(settings, state, std::vector<double>{0.0, 1.0}).value();
        EXPECT_EQ(next.step[0], 0.0);
        EXPECT_GT(next.step[1], 0.0);
        state = next.state;
      }
    }
  }
}

// --- Where they end ------------------------------------------------------------------------------

// Client i descends a_i/2 (x - c_i)^2 for E steps of rate r = 0.1, so its delta is q_i (c_i - x)
// with q_i = 1 - (1 - r a_i)^E. Averaging ends where sum q_i (c_i - x) = 0, which is not the
// optimum sum a_i c_i / sum a_i, and so does every server optimizer: they change the way, not the
// end.
constexpr int kLocalSteps = 10;
struct Client {
  double a;
  double c;
};
constexpr std::array kClients = {Client{1.0, -1.0}, Client{4.0, 6.0}, Client{0.5, 5.0}};

double share_walked(const Client& client) { return 1 - std::pow(1 - 0.1 * client.a, kLocalSteps); }

double local_delta(const Client& client, double x) {
  double local = x;
  for (int step = 0; step < kLocalSteps; ++step) local -= 0.1 * client.a * (local - client.c);
  return local - x;
}

TEST(ServerOptimizer, AllEndWhereAveragingEndsAndNotAtTheOptimum) {
  double walked = 0, weighted = 0, curvature = 0, pulled = 0;
  for (const Client& client : kClients) {
    walked += share_walked(client);
    weighted += share_walked(client) * client.c;
    curvature += client.a;
    pulled += client.a * client.c;
  }
  const double fixed_point = weighted / walked;
  ASSERT_GT(std::abs(fixed_point - pulled / curvature), 1.0);
  for (const ServerRule rule : kAllRules) {
    for (auto settings : {flower_settings(rule), paper_settings(rule)}) {
      // Adaptive steps of a fixed rate circle around the end at a distance of that rate; this one
      // is small enough beside tau to be drawn in.
      if (rule != ServerRule::kFedAvgM) settings.learning_rate = 1e-3;
      if (rule == ServerRule::kFedAdagrad) settings.learning_rate = 0.1;
      double x = 0;
      ServerOptimizerState state;
      for (int round = 0; round < 20'000; ++round) {
        double mean = 0;
        for (const Client& client : kClients) mean += local_delta(client, x) / 3;
        auto next = server_step(settings, state, std::vector<double>{mean}).value();
        x += next.step[0];
        state = std::move(next.state);
      }
      EXPECT_NEAR(x, fixed_point, 1e-6) << "rule " << static_cast<int>(rule);
    }
  }
}

// --- State and settings --------------------------------------------------------------------------

TEST(ServerOptimizer, DefaultsAreThoseOfFlowerAndThePapers) {
  const auto adam = flower_settings(ServerRule::kFedAdam);
  EXPECT_EQ(adam.learning_rate, 0.1);
  EXPECT_EQ(adam.beta1, 0.9);
  EXPECT_EQ(adam.beta2, 0.99);
  EXPECT_EQ(adam.tau, 1e-3);
  EXPECT_EQ(adam.initial_second_moment, 0.0);
  EXPECT_EQ(adam.bias_correction, BiasCorrection::kFlower);
  EXPECT_EQ(paper_settings(ServerRule::kFedAdam).bias_correction, BiasCorrection::kNone);
  EXPECT_EQ(flower_settings(ServerRule::kFedYogi).learning_rate, 0.01);
  EXPECT_EQ(flower_settings(ServerRule::kFedAdagrad).beta1, 0.0);
  EXPECT_EQ(flower_settings(ServerRule::kFedAvgM).momentum, 0.0);
  EXPECT_EQ(paper_settings(ServerRule::kFedAvgM).momentum, 0.9);
  for (const ServerRule rule : kAllRules) {
    EXPECT_TRUE(flower_settings(rule).validate().ok());
    EXPECT_TRUE(paper_settings(rule).validate().ok());
  }
}

TEST(ServerOptimizer, AStateOfAnotherAdapterOrRuleIsRefused) {
  const std::vector<double> two = {1.0, 2.0}, three = {1.0, 2.0, 3.0};
  const auto adam = flower_settings(ServerRule::kFedAdam);
  const auto state = server_step(adam, {}, two)->state;
  EXPECT_TRUE(server_step(adam, state, two).ok());
  const auto other_size = server_step(adam, state, three);
  ASSERT_FALSE(other_size.ok());
  EXPECT_EQ(other_size.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(other_size.error().message, HasSubstr("begin with a fresh one"));
  EXPECT_FALSE(server_step(flower_settings(ServerRule::kFedAvgM), state, two).ok());
  const auto averaged = server_step(flower_settings(ServerRule::kFedAvgM), {}, two)->state;
  EXPECT_FALSE(server_step(adam, averaged, two).ok());
}

TEST(ServerOptimizer, WhatIsNotFiniteNeverReachesTheState) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const ServerRule rule : kAllRules) {
    const auto settings = flower_settings(rule);
    EXPECT_THAT(server_step(settings, {}, std::vector<double>{1.0, nan}).error().message,
                HasSubstr("value 1 of the mean delta"));
    EXPECT_FALSE(server_step(settings, {}, std::vector<double>{}).ok());
    const ServerOptimizerState spoilt{
        3, {nan}, rule == ServerRule::kFedAvgM ? std::vector<double>{} : std::vector<double>{1.0}};
    EXPECT_FALSE(server_step(settings, spoilt, std::vector<double>{1.0}).ok());
    if (rule != ServerRule::kFedAvgM) { // the square is beyond double
      EXPECT_THAT(server_step(settings, {}, std::vector<double>{1e200}).error().message,
                  HasSubstr("clip the updates"));
    }
  }
}

TEST(ServerOptimizer, SettingsOutOfRangeAreRefusedByName) {
  struct Wrong {
    const char* field;
    void (*change)(ServerOptimizerSettings&);
  };
  const std::array table = {
      Wrong{"learning_rate", [](auto& s) { s.learning_rate = 0; }},
      Wrong{"learning_rate", [](auto& s) { s.learning_rate = std::nan(""); }},
      Wrong{"tau", [](auto& s) { s.tau = -1e-3; }},
      Wrong{"momentum", [](auto& s) { s.momentum = 1; }},
      Wrong{"beta1", [](auto& s) { s.beta1 = -0.1; }},
      Wrong{"beta2", [](auto& s) { s.beta2 = 1; }},
      Wrong{"initial_second_moment", [](auto& s) { s.initial_second_moment = -1; }},
      Wrong{"bias_correction", [](auto& s) { s.rule = ServerRule::kFedYogi; }},
  };
  for (const Wrong& wrong : table) {
    auto settings = flower_settings(ServerRule::kFedAdam);
    wrong.change(settings);
    const auto refused = server_step(settings, {}, std::vector<double>{1.0});
    ASSERT_FALSE(refused.ok()) << wrong.field;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr(wrong.field));
  }
}

} // namespace
} // namespace coppice
