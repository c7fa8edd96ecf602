// SPDX-License-Identifier: Apache-2.0
// The buffer's step against its closed form, and late sums decoded by the plans they were made
// under.
#include <gmock/gmock.h>

#include <cmath>

#include "aggregator/round_maker.h"
#include "protocol/plan_encoding.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<Strategy> fedbuff(StrategySettings settings = {}) {
  settings.name = "fedbuff";
  return make_strategy(settings, false).value();
}

RoundPlan plan_from(const Strategy& strategy, std::uint64_t round, std::uint64_t parent,
                    double clip = 1) {
  AggregatorSettings settings =
      aggregator_settings(Settings::load(aggregator_keys(), std::nullopt, {}, {}).value()).value();
  settings.round.secure_aggregation = false;
  settings.round.element_bound = clip; // of its own: another scale
  return make_plan({}, settings, strategy, *samples::shared_spec(),
                   {.round = {round}, .parent = {parent}, .cohort = 4})
      .value();
}

RoundSum sum_of(double delta, double weight, std::uint32_t staleness = 0) {
  return {.delta = std::vector<double>(samples::shared_spec()->parameters(), delta),
          .weight = weight,
          .participants = 1,
          .staleness = staleness};
}

TEST(FedBuff, ThePlanAsksForTheBufferAndTakesLateUploads) {
  const auto strategy = fedbuff({.buffer = 6, .max_staleness = 4});
  const RoundPlan plan = plan_from(*strategy, 1, 0);
  EXPECT_EQ(plan.sum.cohort, 4U);
  EXPECT_EQ(plan.sum.goal, 6U); // late ones fill it too
  EXPECT_EQ(plan.sum.max_staleness, 4U);
  EXPECT_EQ(plan.protocol_version, 4);
}

// Nguyen et al. 2022: (1 + s)^-1/2 each, over K (here: over the sum of the weights).
TEST(FedBuff, AnUploadCountsByTheInverseRootOfItsStalenessOverTheWholeBuffer) {
  const auto strategy = fedbuff();
  const RoundPlan plan = plan_from(*strategy, 5, 4);
  const Adapter current(samples::shared_spec());
  StrategyState state;
  const std::vector<RoundSum> own{sum_of(2.0, 3)};
  const std::vector<RoundSum> late{sum_of(8.0, 1, 3), sum_of(-1.0, 2, 1)};
  const auto step =
      strategy->step({.plan = plan, .groups = own, .current = current, .late = late}, state)
          .value();
  const double wanted = (2.0 + 8.0 / std::sqrt(4.0) - 1.0 / std::sqrt(2.0)) / (3 + 1 + 2);
  for (const double value : step) ASSERT_DOUBLE_EQ(value, wanted);
}

TEST(FedBuff, WithNobodyLateItIsTheWeightedMean) {
  const auto strategy = fedbuff();
  const RoundPlan plan = plan_from(*strategy, 1, 0);
  const Adapter current(samples::shared_spec());
  StrategyState state;
  const std::vector<RoundSum> own{sum_of(2.0, 4)};
  EXPECT_DOUBLE_EQ(
      strategy->step({.plan = plan, .groups = own, .current = current}, state).value()[0], 0.5);
}

TEST(FedBuff, TheExponentAndAServerOptimizerAreTheSettings) {
  const auto flat = fedbuff({.staleness_exponent = 0});
  const auto momentum = fedbuff({.server_optimizer = ServerOptimizerKind::kMomentum,
                                 .server_learning_rate = 0.5,
                                 .staleness_exponent = 0});
  const RoundPlan plan = plan_from(*flat, 5, 4);
  const Adapter current(samples::shared_spec());
  StrategyState state;
  state.rounds = 1;
  const std::vector<RoundSum> own{sum_of(2.0, 3)};
  const std::vector<RoundSum> late{sum_of(8.0, 1, 3)};
  const RoundInput round{.plan = plan, .groups = own, .current = current, .late = late};
  EXPECT_DOUBLE_EQ(flat->step(round, state).value()[0], 10.0 / 4);
  EXPECT_DOUBLE_EQ(momentum->step(round, state).value()[0], 0.5 * 10.0 / 4);
}

// Sums of devices that all sent `value` in every place, with weight 1, as their ring elements.
std::vector<std::uint32_t> sent(const RoundPlan& plan, float value, std::uint32_t devices) {
  std::vector<std::uint32_t> sum;
  for (const Slot& slot : plan.slots) {
    const float each = slot.kind == SlotKind::kDelta    ? value
                       : slot.kind == SlotKind::kWeight ? 1.0F
                                                        : 0.0F;
    const auto levels = static_cast<std::int64_t>(
        std::llround(static_cast<double>(each) * static_cast<double>(slot.scale)));
    sum.insert(sum.end(), slot.elements,
               static_cast<std::uint32_t>(levels * devices) & slot.bits.mask());
  }
  return sum;
}

TEST(FedBuff, EachSumIsDecodedByItsOwnPlanAndStaleByTheVersionsBetween) {
  const auto strategy = fedbuff();
  const RoundPlan before = plan_from(*strategy, 2, 1, 0.5); // finer: other scales
  const RoundPlan plan = plan_from(*strategy, 5, 4, 1.0);
  ASSERT_NE(before.slots[0].scale, plan.slots[0].scale);
  const Adapter current = Adapter::initial(samples::shared_spec(), 3);
  const auto own = sent(plan, 0.25F, 2);
  const auto late_elements = sent(before, -0.125F, 3);
  const std::vector<std::uint32_t> participants{2};
  const std::vector<LateSum> late{{&before, late_elements, 3}};
  StrategyState state;
  const auto outcome =
      finish_round(plan, *strategy, {own, participants, late}, current, state).value();
  EXPECT_EQ(outcome.participants, 5U);
  const double wanted = (2 * 0.25 - 3 * 0.125 / std::sqrt(4.0)) / 5; // three releases late
  for (std::size_t i = 0; i < current.values().size(); ++i) {
    ASSERT_NEAR(
        static_cast<double>(outcome.adapter.values()[i]) - static_cast<double>(current.values()[i]),
        wanted, 2e-3);
  }
  const std::vector<LateSum> from_the_future{{&plan, own, 2}};
  EXPECT_EQ(finish_round(before, *strategy, {late_elements, participants, from_the_future}, current,
                         state)
                .error()
                .code,
            ErrorCode::kInternal);
}

TEST(FedBuff, SecureAggregationIsRefusedWithItsReason) {
  const auto refused = make_strategy({.name = "FedBuff"}, true);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(refused.error().message, HasSubstr("masks"));
}

} // namespace
} // namespace coppice
