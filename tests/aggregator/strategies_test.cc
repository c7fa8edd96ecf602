// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "adapters/adapter_file.h"
#include "adapters/factor_choice.h"
#include "adapters/factored_svd.h"
#include "aggregator/round_maker.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

std::unique_ptr<Strategy> strategy(std::string name, StrategySettings settings = {}) {
  settings.name = std::move(name);
  return make_strategy(settings, false).value();
}

RoundPlan plan_of(const Strategy& strategy, std::uint64_t round = 1) {
  AggregatorSettings settings =
      aggregator_settings(Settings::load(aggregator_keys(), std::nullopt, {}, {}).value()).value();
  settings.round.secure_aggregation = false;
  return make_plan({}, settings, strategy, *samples::shared_spec(), {.round = {round}, .cohort = 8})
      .value();
}

RoundSum sum_of(std::vector<double> delta, double weight, std::uint32_t participants = 2) {
  return {.delta = std::move(delta), .weight = weight, .participants = participants};
}

std::vector<double> filled(double value) {
  return std::vector<double>(samples::shared_spec()->parameters(), value);
}

TEST(Strategies, EachNameOfTheTableIsItsOwnAndMakesAStrategyOfItsNeed) {
  std::set<std::string_view> names;
  for (const StrategyEntry& entry : all_strategies()) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    EXPECT_FALSE(entry.paper.empty()) << entry.name;
    EXPECT_EQ(strategy(std::string(entry.name))->need(), entry.need) << entry.name;
  }
}

TEST(Strategies, AWrongNameIsAnsweredWithTheNearest) {
  const auto refused = make_strategy({.name = "fedavgg"}, false);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("did you mean 'fedavg'"));
}

TEST(Strategies, WhatLooksAtSingleDeltasIsRefusedUnderSecureAggregationWithItsReason) {
  for (const StrategyEntry& entry : all_strategies()) {
    const auto made = make_strategy({.name = std::string(entry.name)}, true);
    const bool late = entry.name == "fedbuff"; // whose test says why
    EXPECT_EQ(made.ok(), entry.need == Need::kSum && !late) << entry.name;
    if (made.ok() || late) continue;
    EXPECT_THAT(made.error().message, HasSubstr("secure aggregation hides"));
  }
}

// Sums of groups can be had under it, as long as a group hides its devices from one another.
TEST(Strategies, RulesOverBucketsRunUnderSecureAggregation) {
  for (const StrategyEntry& entry : all_strategies()) {
    if (entry.need != Need::kIndividual) continue;
    const auto made = make_strategy({.name = std::string(entry.name), .bucket = 3}, true);
    EXPECT_TRUE(made.ok()) << entry.name;
    const auto refused = make_strategy({.name = std::string(entry.name), .bucket = 2}, true);
    ASSERT_FALSE(refused.ok()) << entry.name;
    EXPECT_THAT(refused.error().message, HasSubstr("bucket is 2"));
  }
}

TEST(FedAvg, TheStepIsTheWeightedMeanOfTheDeltas) {
  const auto fedavg = strategy("fedavg");
  const RoundPlan plan = plan_of(*fedavg);
  const Adapter current(samples::shared_spec());
  StrategyState state;
  std::vector<double> delta = filled(0);
  delta[0] = 3 * 0.5 + 1 * -0.25; // weights 3 and 1
  std::vector<RoundSum> groups{sum_of(delta, 4)};
  const auto step = fedavg->step({plan, groups, current}, state).value();
  EXPECT_DOUBLE_EQ(step[0], 0.3125);
  EXPECT_DOUBLE_EQ(step[1], 0);
  groups[0].weight = 0;
  EXPECT_EQ(fedavg->step({plan, groups, current}, state).error().code,
            ErrorCode::kFailedPrecondition);
}

// mean(B_i A) = mean(B_i) A: the exactness that freezing one factor buys, on random factors.
TEST(FfaLora, AStaysAndHasNoSlotSoAnUploadIsShorterAndTheMeanExact) {
  const auto ffa = strategy("ffa");
  const RoundPlan plan = plan_of(*ffa);
  EXPECT_FALSE(plan.recipe.train_a);
  for (const Slot& slot : plan.slots) EXPECT_EQ(slot.name.find(".lora_a"), std::string::npos);
  EXPECT_LT(plan.delta_elements(), samples::shared_spec()->parameters());
  const Adapter current = Adapter::initial(samples::shared_spec(), 7);
  std::vector<std::uint32_t> sum(plan.ring_elements(), 5);
  const std::vector<std::uint32_t> participants{2};
  StrategyState state;
  const auto outcome = finish_round(plan, *ffa, {sum, participants}, current, state).value();
  for (std::size_t target = 0; target < current.targets(); ++target) {
    EXPECT_TRUE(std::ranges::equal(outcome.adapter.a(target), current.a(target)));
    EXPECT_FALSE(std::ranges::equal(outcome.adapter.b(target), current.b(target)));
  }
}

TEST(RoLora, BAndATakeTurnsAndBIsFirst) {
  const auto rolora = strategy("rolora");
  for (std::uint64_t round = 1; round <= 4; ++round) {
    const RoundPlan plan = plan_of(*rolora, round);
    EXPECT_EQ(plan.recipe.train_b, round % 2 == 1);
    EXPECT_EQ(plan.recipe.train_a, round % 2 == 0);
    EXPECT_EQ(plan.protocol_version, 3);
  }
}

TEST(FedProx, TheRecipeHoldsDevicesNear) {
  EXPECT_GT(plan_of(*strategy("fedprox")).recipe.proximal_mu, 0);
}

// Wang et al. 2020, equation 8, on two devices of 2 and 8 steps: each step of a device moves by the
// same, so what each did is proportional to its steps, and the normalized mean takes both alike.
TEST(FedNova, DevicesThatTookMoreStepsPullNoHarder) {
  const auto fednova = strategy("fednova");
  const RoundPlan plan = plan_of(*fednova);
  EXPECT_TRUE(plan.recipe.normalize_by_steps);
  EXPECT_EQ(plan.slots.back().name, kMetricSteps);
  const Adapter current(samples::shared_spec());
  const double tau = static_cast<double>(planned_steps(plan.recipe));
  // delta_k = g_k tau_k; sent: g_k tau.
  const double slow = 1, fast = -1;
  RoundSum sum = sum_of(filled(slow * tau + fast * tau), 2);
  sum.weighted_steps = 2 + 8;
  StrategyState state;
  EXPECT_THAT(fednova->step({plan, {&sum, 1}, current}, state).value(), Each(0.0));
  sum.delta = filled(2 * tau); // g = 1 for both: the mean of 5 steps of 1
  EXPECT_THAT(fednova->step({plan, {&sum, 1}, current}, state).value(),
              Each(::testing::DoubleNear(5, 1e-12)));
}

// Li et al. 2020, equation 6, on two devices with losses 1 and 3 and q = 2.
TEST(QFedAvg, DevicesWithMuchLossPullHarder) {
  const auto fair = strategy("qfedavg", {.loss_power = 2});
  const RoundPlan plan = plan_of(*fair);
  EXPECT_EQ(plan.recipe.loss_power, 2);
  EXPECT_EQ(plan.slots.back().name, kMetricCurvature);
  const Adapter current(samples::shared_spec());
  const double little = 1, much = 9; // F^q
  RoundSum sum = sum_of(filled(little * -1 + much * 1), 2);
  sum.weighted_curvature = little + much; // of deltas too short to count
  StrategyState state;
  EXPECT_THAT(fair->step({plan, {&sum, 1}, current}, state).value(),
              Each(::testing::DoubleNear(0.8, 1e-12)));
  const auto even = strategy("qfedavg", {.loss_power = 0});
  EXPECT_EQ(plan_of(*even).needed_version(), 1);
  EXPECT_THAT(even->step({plan, {&sum, 1}, current}, state).value(),
              Each(::testing::DoubleNear(4, 1e-12)));
}

// Acar et al. 2021, algorithm 1, two rounds by hand with alpha = 0.1 (the default) and 4 of 8:
//   mean 1: h = -0.1 * 0.5 * 1 = -0.05, step = 1 + 0.05 / 0.1 = 1.5
//   mean 0: h = -0.05,                  step = 0 + 0.5
TEST(FedDyn, TheServerAddsWhatItsDevicesMovedInAll) {
  const auto dynamic = strategy("feddyn", {.population = 8});
  const RoundPlan plan = plan_of(*dynamic);
  EXPECT_EQ(plan.recipe.correction, DriftCorrection::kDynamic);
  EXPECT_EQ(plan.recipe.proximal_mu, 0.1F);
  EXPECT_EQ(plan.needed_version(), 3);
  const Adapter current(samples::shared_spec());
  StrategyState state{.rounds = 1, .vectors = {}};
  std::vector<RoundSum> groups{sum_of(filled(8), 8, 4)};
  EXPECT_THAT(dynamic->step({plan, groups, current}, state).value(),
              Each(::testing::DoubleNear(1.5, 1e-6)));
  state = StrategyState::decode(state.encode()).value();
  state.rounds = 2;
  groups[0] = sum_of(filled(0), 8, 4);
  EXPECT_THAT(dynamic->step({plan, groups, current}, state).value(),
              Each(::testing::DoubleNear(0.5, 1e-6)));
}

TEST(FedDyn, WithoutAPopulationTheCohortIsAll) {
  const auto dynamic = strategy("feddyn");
  const RoundPlan plan = plan_of(*dynamic); // of 8 devices
  const Adapter current(samples::shared_spec());
  for (const std::uint32_t came : {8U, 2U}) {
    StrategyState state{.rounds = 1, .vectors = {}};
    std::vector<RoundSum> groups{sum_of(filled(1), 1, came)};
    EXPECT_THAT(dynamic->step({plan, groups, current}, state).value(),
                Each(::testing::DoubleNear(1 + came / 8.0, 1e-6)));
  }
}

// Karimireddy et al. 2020, by hand: two steps of rate 0.1, 4 devices of 8, mean deltas -0.4 and 0.
//   c = 0 - 1/2 (0 - 0.4 / 0.2) = 1,   then   c = 1 - 1/2 (1 + 0) = 0.5
TEST(Scaffold, TheCommonControlFollowsFromTheSumOfDeltas) {
  const auto scaffold = strategy("scaffold", {.population = 8});
  RoundPlan plan;
  plan.recipe.learning_rate = 0.1F;
  plan.recipe.schedule = Schedule::kConstant;
  plan.recipe.max_steps = 2;
  scaffold->prepare(plan);
  EXPECT_EQ(plan.recipe.correction, DriftCorrection::kControlVariate);
  EXPECT_TRUE(plan.recipe.normalize_by_steps);
  const Adapter current(samples::shared_spec());
  StrategyState state{.rounds = 1, .vectors = {}};
  EXPECT_TRUE(control_content(plan.recipe, current, state).empty());
  std::vector<RoundSum> groups{sum_of(filled(8 * -0.4), 8, 4)};
  EXPECT_THAT(scaffold->step({plan, groups, current}, state).value(), Each(-0.4));
  EXPECT_THAT(state.control(), Each(::testing::FloatNear(1, 1e-6F)));
  groups[0] = sum_of(filled(0), 8, 4);
  state = StrategyState::decode(state.encode()).value();
  state.rounds = 2;
  EXPECT_THAT(scaffold->step({plan, groups, current}, state).value(), Each(0.0));
  EXPECT_THAT(state.control(), Each(::testing::FloatNear(0.5, 1e-6F)));
  const Bytes content = control_content(plan.recipe, current, state);
  EXPECT_TRUE(std::ranges::equal(parse_adapter(content)->values(), state.control()));
  plan.recipe.correction = DriftCorrection::kNone;
  EXPECT_TRUE(control_content(plan.recipe, current, state).empty());
}

TEST(Scaffold, NeedsPlainSgd) {
  const auto with = [](std::vector<Override> more) {
    more.push_back({"round.strategy", "scaffold", ""});
    return aggregator_settings(Settings::load(aggregator_keys(), std::nullopt, {}, more).value());
  };
  EXPECT_TRUE(with({{"training.optimizer", "sgd", ""}}).ok());
  for (const auto& refused :
       {with({}), with({{"training.optimizer", "sgd", ""}, {"training.momentum", "0.9", ""}})}) {
    EXPECT_THAT(refused.error().message, HasSubstr("training.optimizer = sgd"));
  }
}

TEST(ShareOne, BothFactorsAreTrainedAndOneHasSlots) {
  for (const bool a : {true, false}) {
    const auto sharing = strategy(a ? "fedsa" : "share-b");
    const RoundPlan plan = plan_of(*sharing);
    EXPECT_TRUE(plan.recipe.train_a && plan.recipe.train_b);
    EXPECT_EQ(plan.recipe.share_a, a);
    EXPECT_EQ(plan.recipe.share_b, !a);
    for (const Slot& slot : plan.slots) {
      EXPECT_EQ(slot.name.find(a ? ".lora_b" : ".lora_a"), std::string::npos);
    }
    const Adapter current = Adapter::initial(samples::shared_spec(), 7);
    std::vector<std::uint32_t> sum(plan.ring_elements(), 5);
    const std::vector<std::uint32_t> participants{2};
    StrategyState state;
    const auto outcome = finish_round(plan, *sharing, {sum, participants}, current, state).value();
    for (std::size_t target = 0; target < current.targets(); ++target) {
      EXPECT_EQ(std::ranges::equal(outcome.adapter.a(target), current.a(target)), !a);
      EXPECT_EQ(std::ranges::equal(outcome.adapter.b(target), current.b(target)), a);
    }
  }
}

// 16 honest updates within 0.01 of 1 and three hostile ones a thousand times as far on the other
// side: what chooses or takes middles stays among the honest, what bounds lengths lets three of
// nineteen pull back by no more than their number.
TEST(Robust, AMinorityFarOutDoesNotDecideTheStep) {
  std::vector<RoundSum> groups;
  for (int i = 0; i < 16; ++i) groups.push_back(sum_of(filled(2 * (0.99 + 0.00125 * i)), 2, 1));
  for (int i = 0; i < 3; ++i) groups.push_back(sum_of(filled(-1000), 1, 1));
  const Adapter current(samples::shared_spec());
  double mean = 0;
  for (const RoundSum& sum : groups) mean += sum.delta[0] / sum.weight / 19;
  EXPECT_LT(mean, -100) << "the attack would win against the plain mean";
  const std::map<std::string, double> least{
      {"median", 0.99}, {"trimmed-mean", 0.99}, {"krum", 0.99},       {"multi-krum", 0.99},
      {"bulyan", 0.99}, {"rfa", 0.9},           {"norm-bound", 0.68}, {"centered-clip", 0.68}};
  for (const auto& [name, floor] : least) {
    const auto rule = strategy(name);
    const RoundPlan plan = plan_of(*rule);
    EXPECT_EQ(plan.sum.groups, plan.sum.cohort) << name;
    StrategyState state{.rounds = 1, .vectors = {}};
    const auto step = rule->step({plan, groups, current}, state);
    ASSERT_TRUE(step.ok()) << name << ": " << step.error().message;
    EXPECT_THAT(*step, Each(::testing::AllOf(::testing::Ge(floor), ::testing::Le(1.02)))) << name;
  }
}

// Two devices that agree on one direction of rank 1 beside noise of their own: the mean's best of
// the adapter's rank is nearer to the mean of the products than the mean of the factors is.
TEST(FlexLora, TheNextAdapterIsNearerToTheMeanProductThanTheMeanFactorsAre) {
  const auto flexlora = strategy("flexlora");
  const RoundPlan plan = plan_of(*flexlora);
  const Adapter current = Adapter::initial(samples::shared_spec(), 3);
  KeyedRandom random({.experiment = 5});
  std::vector<RoundSum> groups;
  std::vector<Adapter> trained;
  std::vector<double> mean_factors(samples::shared_spec()->parameters());
  for (int i = 0; i < 4; ++i) {
    std::vector<double> delta(samples::shared_spec()->parameters());
    for (double& value : delta) value = static_cast<double>(random.uniform_float()) - 0.5;
    Adapter& adapter = trained.emplace_back(current);
    for (std::size_t k = 0; k < delta.size(); ++k) {
      adapter.values()[k] += static_cast<float>(delta[k]);
      mean_factors[k] += delta[k] / 4;
    }
    groups.push_back(sum_of(delta, 1, 1));
  }
  StrategyState state;
  const auto step = flexlora->step({plan, groups, current}, state).value();
  const auto error_of = [&](const std::vector<double>& moved) {
    Adapter next = current;
    for (std::size_t k = 0; k < moved.size(); ++k) {
      next.values()[k] += static_cast<float>(moved[k]);
    }
    double error = 0;
    for (std::size_t target = 0; target < next.targets(); ++target) {
      std::vector<ProductView> parts{product_of(next, target, -1)};
      for (const Adapter& adapter : trained) parts.push_back(product_of(adapter, target, 0.25));
      error += std::pow(sum_norm(parts).value(), 2);
    }
    return error;
  };
  EXPECT_LT(error_of(step), 0.9 * error_of(mean_factors));
}

TEST(Robust, TooFewUpdatesAbandonTheRoundInsteadOfReleasingAGuess) {
  const auto bulyan = strategy("bulyan", {.byzantine_fraction = 0.4});
  std::vector<RoundSum> groups(5, sum_of(filled(1), 1, 1));
  const Adapter current(samples::shared_spec());
  StrategyState state;
  EXPECT_EQ(bulyan->step({plan_of(*bulyan), groups, current}, state).error().code,
            ErrorCode::kFailedPrecondition);
}

TEST(Robust, BucketsAreGroupsWhoseMeansCountAsUpdates) {
  const auto rule = strategy("median", {.bucket = 3});
  EXPECT_EQ(rule->need(), Need::kGroupSum);
  EXPECT_EQ(plan_of(*rule).sum.groups, 2U); // of 8 devices: none has fewer than three
}

// The step of momentum after two rounds of the same mean, by hand: 1, then 0.9 + 1.
TEST(ServerOptimizer, GoesAroundAnyStrategyAndKeepsItsMomentum) {
  const auto momentum = strategy("ffa", {.server_optimizer = ServerOptimizerKind::kMomentum});
  const RoundPlan plan = plan_of(*momentum);
  EXPECT_FALSE(plan.recipe.train_a);
  std::vector<RoundSum> groups{sum_of(filled(3), 3)};
  const Adapter current(samples::shared_spec());
  StrategyState state{.rounds = 1, .vectors = {}};
  EXPECT_THAT(momentum->step({plan, groups, current}, state).value(), Each(1.0));
  state = StrategyState::decode(state.encode()).value();
  state.rounds = 2;
  EXPECT_THAT(momentum->step({plan, groups, current}, state).value(), Each(1.9));
}

TEST(StrategyState, ReadsBackAsItWasWrittenAndRefusesWhatIsCut) {
  StrategyState state{.rounds = 3, .vectors = {}};
  state.at("momentum", 4)[2] = -1.5;
  const Bytes bytes = state.encode();
  EXPECT_EQ(StrategyState::decode(bytes).value(), state);
  EXPECT_EQ(StrategyState::decode({}).value(), StrategyState{});
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    EXPECT_FALSE(StrategyState::decode(ByteSpan(bytes).first(size)).ok()) << size;
  }
}

TEST(FactorChoice, WhatIsChosenComesBackInItsPlaces) {
  std::vector<float> all(samples::shared_spec()->parameters());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<float>(i + 1);
  for (const FactorChoice choice : {FactorChoice{true, true},
                                    {true, false},
                                    {false, true},
                                    {true, true, 1},
                                    {true, false, 1},
                                    {false, true, 2},
                                    {true, true, 100}}) {
    const auto chosen = chosen_values<float>(*samples::shared_spec(), choice, all);
    const auto back = all_values(*samples::shared_spec(), choice, chosen);
    std::size_t wanted = 0;
    for (const AdapterTarget& target : samples::shared_spec()->targets) {
      wanted += choice.a_elements(target) + choice.b_elements(target);
    }
    EXPECT_EQ(chosen.size(), wanted);
    double sum = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_TRUE(back[i] == 0 || back[i] == all[i]);
      sum += static_cast<double>(back[i]);
    }
    EXPECT_EQ(sum, std::accumulate(chosen.begin(), chosen.end(), 0.0));
  }
}

} // namespace
} // namespace coppice
