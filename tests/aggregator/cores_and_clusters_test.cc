// SPDX-License-Identifier: Apache-2.0
// Fed-SB and IFCA, from settings to a release.
#include <gmock/gmock.h>

#include "adapters/core_basis.h"
#include "adapters/rank_slices.h"
#include "aggregator/round_maker.h"
#include "aggregator/version_zero.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

AggregatorSettings settings_with(std::vector<Override> values) {
  values.push_back({"round.secure_aggregation", "false", ""});
  const auto loaded = Settings::load(aggregator_keys(), std::nullopt, {}, values).value();
  return aggregator_settings(loaded).value();
}

// Targets of rank 4 and 2, as everybody's samples.
Adapter release() {
  Adapter made(std::make_shared<const AdapterSpec>(samples::spec()));
  KeyedRandom random({.experiment = 3});
  for (float& value : made.values()) value = random.uniform_float() - 0.5F;
  return made;
}

Result<RoundPlan> plan_after(const AggregatorSettings& settings, const AdapterSpec& spec,
                             std::uint64_t version) {
  const auto strategy = make_strategy(settings.strategy, false).value();
  return make_plan({}, settings, *strategy, spec,
                   {.round = {version + 1}, .parent = {version}, .cohort = 4});
}

// What devices would send, as ring elements, and what the round makes of their sum.
Result<RoundOutcome> finished(const RoundPlan& plan, const AggregatorSettings& settings,
                              std::span<const std::uint32_t> sum, std::uint32_t participants,
                              const Adapter& current) {
  const auto strategy = make_strategy(settings.strategy, false).value();
  StrategyState state;
  return finish_round(plan, *strategy, {sum, {&participants, 1}}, current, state);
}

std::size_t place_of(const RoundPlan& plan, std::string_view name) {
  std::size_t at = 0;
  for (const Slot& slot : plan.slots) {
    if (slot.name == name) return at;
    at += slot.elements;
  }
  ADD_FAILURE() << "no slot " << name;
  return 0;
}

TEST(FedSb, AfterItsFirstReleasesARoundsPlanHasCoresAlone) {
  const AggregatorSettings settings =
      settings_with({{"round.strategy", "Fed-SB", ""}, {"strategy.warmup_rounds", "2", ""}});
  const Adapter current = release();
  const RoundPlan early = plan_after(settings, current.spec(), 1).value();
  EXPECT_FALSE(early.recipe.core);
  EXPECT_EQ(early.needed_version(), 1);
  EXPECT_EQ(early.delta_elements(), current.spec().parameters());
  const RoundPlan plan = plan_after(settings, current.spec(), 2).value();
  EXPECT_TRUE(plan.recipe.core && plan.recipe.train_b && !plan.recipe.train_a);
  EXPECT_EQ(plan.protocol_version, 4);
  EXPECT_EQ(plan.delta_elements(), 4U * 4 + 2 * 2);
  EXPECT_EQ(plan.slots[0].name, "blk.0.attn_q.core");
  EXPECT_EQ(plan.slots[1].name, "blk.0.ffn_up.core");
  const auto read = RoundPlan::decode(plan.encode());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, plan);
}

TEST(FedSb, AReleaseMovesBByItsBasisTimesTheMeanCore) {
  const AggregatorSettings settings =
      settings_with({{"round.strategy", "fedsb", ""}, {"strategy.warmup_rounds", "0", ""}});
  const Adapter current = release();
  const RoundPlan plan = plan_after(settings, current.spec(), 0).value();
  std::vector<std::uint32_t> sum(plan.ring_elements());
  sum[0] = 1000;
  sum[17] = 500; // the second core's second value
  sum[place_of(plan, "weight")] = 2;
  const Adapter next = finished(plan, settings, sum, 2, current)->adapter;
  std::vector<double> mean(core_count(current.spec()));
  mean[0] = 1000 / plan.slots[0].scale / 2;
  mean[17] = 500 / plan.slots[1].scale / 2;
  const std::vector<double> wanted = CoreBasis(current).in_place(mean);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    // A step has 16 bits, of the largest of its slot.
    EXPECT_NEAR(static_cast<double>(next.values()[i]) - static_cast<double>(current.values()[i]),
                wanted[i], 1e-4 * mean[0]);
  }
  for (std::size_t t = 0; t < current.targets(); ++t) {
    EXPECT_TRUE(std::ranges::equal(next.a(t), current.a(t)));
  }
}

TEST(Ifca, EachClusterBecomesTheMeanOfItsOwnDevices) {
  const AggregatorSettings settings =
      settings_with({{"round.strategy", "ifca", ""}, {"lora.r", "2", ""}});
  Adapter of_rank_two(std::make_shared<const AdapterSpec>(slice_spec(samples::spec(), 2)));
  AdapterSpec even = of_rank_two.spec();
  for (AdapterTarget& target : even.targets) target.rank = 2;
  const Adapter one(std::make_shared<const AdapterSpec>(even));
  const Adapter current = version_zero(one, settings).value();
  EXPECT_EQ(current.spec().targets[0].rank, 4U);
  EXPECT_FLOAT_EQ(current.spec().scale(0) * 2, one.spec().scale(0));
  const RoundPlan plan = plan_after(settings, current.spec(), 0).value();
  EXPECT_EQ(plan.recipe.clusters, 2U);
  EXPECT_EQ(plan.delta_elements(), current.spec().parameters());

  // In cluster 0 devices of weight 3 in all, in cluster 1 one of weight 1; all move what is theirs
  // by 120 units.
  std::vector<std::uint32_t> sum(plan.ring_elements());
  for_each_of_slice(current.spec(), 2, 0, [&](std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) sum[i] = 3 * 120;
  });
  for_each_of_slice(current.spec(), 2, 1, [&](std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) sum[i] = 120;
  });
  sum[place_of(plan, "weight")] = 4;
  const auto in_units = [&](std::string_view name, double value) {
    const auto slot = std::ranges::find(plan.slots, name, &Slot::name);
    sum[place_of(plan, name)] = static_cast<std::uint32_t>(value * slot->scale);
  };
  in_units("cluster_weight_0", 3);
  in_units("cluster_weight_1", 1);
  const Adapter next = finished(plan, settings, sum, 3, current)->adapter;
  const double wanted = 120 / plan.slots[0].scale;
  for (std::size_t i = 0; i < next.values().size(); ++i) {
    EXPECT_NEAR(static_cast<double>(next.values()[i]) - static_cast<double>(current.values()[i]),
                wanted, 1e-4 * wanted);
  }

  // Nobody took cluster 1: it stays.
  for_each_of_slice(current.spec(), 2, 1, [&](std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) sum[i] = 0;
  });
  in_units("cluster_weight_1", 0);
  const Adapter after = finished(plan, settings, sum, 2, current)->adapter;
  EXPECT_TRUE(std::ranges::equal(slice_of(after, 2, 1).values(), slice_of(current, 2, 1).values()));
}

TEST(Ifca, AnAdapterThatWasntBegunWithItsClustersIsRefused) {
  const AggregatorSettings settings = settings_with({{"round.strategy", "ifca", ""}});
  const auto refused = plan_after(settings, samples::spec(), 0);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(refused.error().message, HasSubstr("begin a fleet with this strategy"));
  Adapter wide(std::make_shared<const AdapterSpec>(samples::spec()));
  EXPECT_THAT(version_zero(wide, settings_with({{"round.strategy", "ifca", ""},
                                                {"strategy.clusters", "16", ""}}))
                  .error()
                  .message,
              HasSubstr("lower lora.r or strategy.clusters"));
}

TEST(Ifca, NoiseAndErrorFeedbackAreRefusedWithTheReason) {
  const auto refusal = [](std::vector<Override> values) {
    values.push_back({"round.strategy", "ifca", ""});
    return aggregator_settings(Settings::load(aggregator_keys(), std::nullopt, {}, values).value())
        .error()
        .message;
  };
  EXPECT_THAT(refusal({{"privacy.noise", "central", ""}, {"round.weighted_by", "uniform", ""}}),
              HasSubstr("how many devices are in each cluster"));
  EXPECT_THAT(refusal({{"round.codec", "int8", ""}}), HasSubstr("cluster that its device"));
}

} // namespace
} // namespace coppice
