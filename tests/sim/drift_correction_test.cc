// SPDX-License-Identifier: Apache-2.0
// Corrections of drift against closed forms: devices whose losses are parabolas, the aggregator's
// own strategy objects, and the very rules by which devices move what they keep.
//
// Device k's loss is sum_j a_kj / 2 (w_j - c_kj)^2. The mean loss is least at sum a c / sum a.
// FedAvg of devices that take E steps of SGD of rate r rests elsewhere, at sum q c / sum q with
// q = 1 - (1 - r a)^E: each pulls as far as it gets.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "aggregator/strategy.h"
#include "client/kept_rules.h"
#include "model/adapter_optimizer.h"
#include "protocol/learning_rates.h"
#include "sim/kept_states.h"
#include "tests/sim/parabolas.h"

namespace coppice {
namespace {

constexpr std::size_t kDevices = 8;
constexpr std::size_t kSteps = 10;
constexpr double kRate = 0.05;

std::shared_ptr<const AdapterSpec> four_values() {
  return std::make_shared<const AdapterSpec>(
      AdapterSpec{.architecture = "parabolas",
                  .targets = {{.tensor = "w", .in = 2, .out = 2, .rank = 1, .alpha = 1}}});
}
constexpr std::size_t kValues = 4;

// sum_k pull_k c_k / sum_k pull_k
template <typename Pull>
std::vector<double> balance(const std::vector<Parabola>& all, const Pull& pull) {
  std::vector<double> point(kValues);
  for (std::size_t j = 0; j < kValues; ++j) {
    double weights = 0;
    for (const Parabola& one : all) {
      point[j] += pull(one.curvature[j]) * one.centre[j];
      weights += pull(one.curvature[j]);
    }
    point[j] /= weights;
  }
  return point;
}
std::vector<double> optimum(const std::vector<Parabola>& all) {
  return balance(all, [](double curvature) { return curvature; });
}
std::vector<double> fixed_point_of_averages(const std::vector<Parabola>& all) {
  return balance(
      all, [](double curvature) { return 1 - std::pow(1 - kRate * curvature, double{kSteps}); });
}

template <typename T>
double distance(std::span<const T> one, const std::vector<double>& other) {
  double largest = 0;
  for (std::size_t j = 0; j < kValues; ++j) {
    largest = std::max(largest, std::abs(static_cast<double>(one[j]) - other[j]));
  }
  return largest;
}

// A server of the table's strategy. Who takes part is the caller's.
class Server {
 public:
  Server(const char* name, std::uint64_t population, std::size_t cohort)
      : strategy_(make_strategy({.name = name, .population = population}, true).value()) {
    plan_.sum.cohort = static_cast<std::uint32_t>(cohort);
    plan_.recipe.optimizer = LocalOptimizer::kSgd;
    plan_.recipe.learning_rate = static_cast<float>(kRate);
    plan_.recipe.schedule = Schedule::kConstant;
    plan_.recipe.max_steps = kSteps;
    strategy_->prepare(plan_);
  }
  const Recipe& recipe() const { return plan_.recipe; }
  std::vector<float> control() const { return state_.control(); } // as releases carry it
  // Gives the step, and forgets the sum.
  std::vector<double> step() {
    state_.rounds += 1;
    const auto step = strategy_->step({plan_, {&sum_, 1}, zeros_}, state_).value();
    sum_ = {};
    return step;
  }
  template <typename T>
  void take(std::span<const T> trained, std::span<const T> received) {
    sum_.delta.resize(kValues);
    for (std::size_t j = 0; j < kValues; ++j) {
      sum_.delta[j] += static_cast<double>(trained[j]) - static_cast<double>(received[j]);
    }
    sum_.weight += 1;
    sum_.participants += 1;
  }

 private:
  std::unique_ptr<Strategy> strategy_;
  RoundPlan plan_;
  StrategyState state_;
  RoundSum sum_;
  Adapter zeros_{four_values()};
};

// Everything in double: what is measured is the rule, not rounding.
std::vector<double> play_in_double(const char* name, std::size_t rounds, std::size_t cohort) {
  const auto all = parabolas(kDevices, kValues);
  Server server(name, kDevices, cohort);
  const DriftCorrection correction = server.recipe().correction;
  const auto alpha = static_cast<double>(server.recipe().proximal_mu);
  std::vector<std::vector<double>> kept(kDevices, std::vector<double>(kValues));
  std::vector<double> w(kValues);
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::vector<float> sent = server.control();
    std::vector<double> control(sent.begin(), sent.end());
    control.resize(kValues);
    std::vector<std::size_t> who(kDevices);
    std::iota(who.begin(), who.end(), 0U);
    KeyedRandom({.round = round}).shuffle(std::span(who));
    who.resize(cohort);
    for (const std::size_t k : who) {
      std::vector<double> v = w;
      for (std::size_t step = 0; step < kSteps; ++step) {
        for (std::size_t j = 0; j < kValues; ++j) {
          const double gradient = all[k].curvature[j] * (v[j] - all[k].centre[j]);
          v[j] -= kRate * (gradient + control[j] - kept[k][j] + alpha * (v[j] - w[j]));
        }
      }
      if (correction == DriftCorrection::kDynamic) {
        move_dynamic_correction<double>(alpha, w, v, kept[k]);
      } else if (correction == DriftCorrection::kControlVariate) {
        move_control_variate<double>(planned_rate_sum(server.recipe()), w, v, control, kept[k]);
      }
      server.take<double>(v, w);
    }
    const auto step = server.step();
    for (std::size_t j = 0; j < kValues; ++j) w[j] += step[j];
  }
  return w;
}

TEST(DriftCorrection, AveragesRestWhereEachPullsAsFarAsItGets) {
  const auto all = parabolas(kDevices, kValues);
  const auto rests = play_in_double("fedavg", 2000, kDevices);
  EXPECT_LT(distance<double>(rests, fixed_point_of_averages(all)), 1e-12);
  EXPECT_GT(distance<double>(rests, optimum(all)), 0.01);
}

TEST(DriftCorrection, FedDynRestsAtTheOptimum) {
  const auto rests = play_in_double("feddyn", 4000, kDevices);
  EXPECT_LT(distance<double>(rests, optimum(parabolas(kDevices, kValues))), 1e-10);
}

TEST(DriftCorrection, FedDynRestsThereWhereAQuarterOfTheDevicesComesEachRound) {
  const auto rests = play_in_double("feddyn", 20'000, kDevices / 4);
  EXPECT_LT(distance<double>(rests, optimum(parabolas(kDevices, kValues))), 1e-10);
}

TEST(DriftCorrection, ScaffoldRestsAtTheOptimum) {
  const auto rests = play_in_double("scaffold", 4000, kDevices);
  EXPECT_LT(distance<double>(rests, optimum(parabolas(kDevices, kValues))), 1e-10);
}

TEST(DriftCorrection, ScaffoldRestsThereWhereHalfOfTheDevicesComeEachRound) {
  const auto rests = play_in_double("scaffold", 20'000, kDevices / 2);
  EXPECT_LT(distance<double>(rests, optimum(parabolas(kDevices, kValues))), 1e-10);
}

// As devices do it: float32, their optimizer, what they keep, and uploads of which some are lost.
struct Fleet {
  const char* strategy = "feddyn";
  bool keeps_what_was_lost = false; // wrongly
  double lost = 0;                  // of the uploads
};

double distance_of(const Fleet& fleet) {
  const auto all = parabolas(kDevices, kValues);
  const auto spec = four_values();
  Server server(fleet.strategy, kDevices, kDevices);
  const Recipe& recipe = server.recipe();
  KeptStates kept;
  auto w = std::make_shared<const Adapter>(spec);
  for (std::size_t round = 0; round < 4000; ++round) {
    std::vector<DeviceNumber> counted, trained;
    const std::vector<float> control = server.control();
    KeyedRandom random({.experiment = 9, .round = round});
    for (DeviceNumber k = 0; k < kDevices; ++k) {
      const KeptVectors begins = kept.counted(k);
      const TrainJob job{.frozen = {},
                         .start = w,
                         .optimizer = {.kind = OptimizerKind::kSgd,
                                       .learning_rate = recipe.learning_rate,
                                       .proximal_mu = recipe.proximal_mu},
                         .gradient_offset = gradient_offset_of(recipe, begins, control, kValues)};
      AdapterOptimizer optimizer(spec, job);
      Adapter v = *w;
      std::vector<float> gradient(kValues);
      for (std::size_t step = 0; step < kSteps; ++step) {
        for (std::size_t j = 0; j < kValues; ++j) {
          gradient[j] = static_cast<float>(all[k].curvature[j] *
                                           (static_cast<double>(v.values()[j]) - all[k].centre[j]));
        }
        optimizer.prepare(v.values(), gradient);
        optimizer.update(gradient, 1, v.values());
      }
      kept.made(k, kept_after(recipe, begins,
                              {.start = *w, .trained = v, .steps = kSteps, .control = control}));
      trained.push_back(k);
      if (random.uniform_double() < fleet.lost) continue;
      server.take<float>(v.values(), w->values());
      counted.push_back(k);
    }
    kept.settle(fleet.keeps_what_was_lost ? trained : counted);
    if (counted.empty()) continue;
    Adapter next = *w;
    const auto step = server.step();
    for (std::size_t j = 0; j < kValues; ++j) {
      next.values()[j] = static_cast<float>(static_cast<double>(next.values()[j]) + step[j]);
    }
    w = std::make_shared<const Adapter>(std::move(next));
  }
  return distance(std::as_const(*w).values(), optimum(all));
}

// float32 of values up to 3: units in the last place are 2.4e-7, and roundings add up.
TEST(DriftCorrection, DevicesGetThereInFloat32) {
  for (const char* strategy : {"feddyn", "scaffold"}) {
    EXPECT_LT(distance_of({.strategy = strategy}), 1e-5) << strategy;
  }
}

TEST(DriftCorrection, WhatWasLostOnTheWayMovesNobody) {
  for (const char* strategy : {"feddyn", "scaffold"}) {
    EXPECT_LT(distance_of({.strategy = strategy, .lost = 0.3}), 1e-5) << strategy;
  }
  EXPECT_GT(distance_of({.keeps_what_was_lost = true, .lost = 0.3}), 1e-3)
      << "moving what is kept with uploads that nobody counted would be no mistake";
}

} // namespace
} // namespace coppice
