// SPDX-License-Identifier: Apache-2.0
#include "aggregator/round_maker.h"

#include <gmock/gmock.h>

#include <cmath>

#include "adapters/adapter_file.h"
#include "crypto/hash.h"
#include "protocol/round_mechanism.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

AggregatorSettings settings() {
  const auto loaded = Settings::load(aggregator_keys(), std::nullopt, {}, {});
  return aggregator_settings(loaded.value()).value();
}

const Strategy& average() {
  static const auto strategy = make_strategy({}, false).value();
  return *strategy;
}

Result<RoundPlan> plan_for(std::uint32_t cohort, const AggregatorSettings& from = settings()) {
  return make_plan({.fleet = samples::hash(1), .base_hash = samples::hash(0x10)}, from, average(),
                   *samples::shared_spec(),
                   {.round = {3},
                    .epoch = {2},
                    .key_set = {1},
                    .parent = {2},
                    .adapter_hash = samples::hash(2),
                    .cohort = cohort});
}

TEST(RoundMaker, ThePlanHoldsTheSettingsAndASlotForEachTensor) {
  const RoundPlan plan = plan_for(8).value();
  EXPECT_EQ(plan.round, RoundId{3});
  EXPECT_EQ(plan.recipe.max_steps, 16U);
  EXPECT_EQ(plan.sum.cohort, 8U);
  EXPECT_EQ(plan.sum.goal, 8U);
  EXPECT_EQ(plan.delta_elements(), samples::shared_spec()->parameters());
  EXPECT_EQ(plan.slots.size(), 2 * samples::shared_spec()->targets.size() + 1 + 4);
  EXPECT_TRUE(plan.validate(*samples::shared_spec()).ok());
}

struct PlannedNoise {
  NoiseKind noise;
  double sampling_rate;
  double epsilon;
  std::uint64_t rounds;
  std::uint64_t times; // spends of the plan's mechanism that these rounds are
};

void check_planned_noise(const PlannedNoise& wanted) {
  AggregatorSettings from = settings();
  from.training.weight_by = WeightBy::kUniform;
  from.round.ring_bits = 24;
  from.privacy = {.noise = wanted.noise,
                  .epsilon = wanted.epsilon,
                  .delta = 1e-6,
                  .rounds = wanted.rounds,
                  .bands = 4,
                  .max_participations = 2};
  const FleetFacts facts{.fleet = samples::hash(1), .base_hash = samples::hash(0x10)};
  PlanInputs inputs{.round = {3},
                    .epoch = {2},
                    .key_set = {1},
                    .parent = {2},
                    .adapter_hash = samples::hash(2),
                    .cohort = 40};
  inputs.privacy = {.noise = wanted.noise,
                    .delta = 1e-6,
                    .sampling_rate = wanted.sampling_rate,
                    .expected_cohort = 40};
  if (wanted.noise == NoiseKind::kBanded) {
    inputs.privacy.min_separation = 4;
    inputs.privacy.max_participations = 2;
  }
  from.round.min_survivors = 30;
  inputs.privacy.noise_multiplier =
      planned_noise_multiplier(facts, from, average(), *samples::shared_spec(), inputs).value();
  const RoundPlan plan = make_plan(facts, from, average(), *samples::shared_spec(), inputs).value();
  Spend spend{mechanism_of(plan), wanted.times};
  EXPECT_LE(spent_epsilon({&spend, 1}, 1e-6).value(), wanted.epsilon);
  spend.times += 1;
  EXPECT_GT(spent_epsilon({&spend, 1}, 1e-6).value(), wanted.epsilon);
}

TEST(RoundMaker, PlannedNoiseLastsForThePlannedRoundsAndNoLonger) {
  check_planned_noise({NoiseKind::kCentral, 1, 4, 50, 50});
  check_planned_noise({NoiseKind::kCentral, 0.02, 2, 300, 300});
  check_planned_noise({NoiseKind::kSkellam, 1, 6, 20, 20});
  check_planned_noise({NoiseKind::kDistributedGaussian, 1, 6, 20, 20});
  check_planned_noise({NoiseKind::kBanded, 1, 4, 20, 3}); // series of eight rounds
}

TEST(RoundMaker, WhereNoRingHoldsThePlannedNoiseItSaysSo) {
  AggregatorSettings from = settings();
  from.training.weight_by = WeightBy::kUniform;
  from.privacy = {.noise = NoiseKind::kCentral, .epsilon = 1e-4, .delta = 1e-6, .rounds = 1000};
  PlanInputs inputs{.round = {3}, .epoch = {2}, .key_set = {1}, .cohort = 40};
  inputs.privacy = {.noise = NoiseKind::kCentral, .delta = 1e-6, .expected_cohort = 40};
  const auto refused =
      planned_noise_multiplier({}, from, average(), *samples::shared_spec(), inputs);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("16 bits"));
}

TEST(RoundMaker, TheGoalIsAShareOfTheCohortButNeverBelowTheSurvivorsNeeded) {
  AggregatorSettings changed = settings();
  changed.round.goal_fraction = 0.5;
  EXPECT_EQ(plan_for(7, changed)->sum.goal, 4U);
  changed.round.goal_fraction = 0.01;
  EXPECT_EQ(plan_for(7, changed)->sum.goal, 3U);
}

TEST(RoundMaker, ACodecOfLevelsShrinksTheRingToWhatItsCohortNeeds) {
  AggregatorSettings changed = settings();
  changed.training.weight_by = WeightBy::kUniform;
  for (const auto& [codec, bits] : {std::pair{UploadCodec::kInt8, 12U}, {UploadCodec::kInt4, 8U}}) {
    changed.round.codec = codec;
    changed.round.element_bound = 0;
    const RoundPlan plan = plan_for(10, changed).value();
    for (const Slot& slot : plan.slots) {
      if (slot.kind == SlotKind::kDelta) {
        EXPECT_EQ(slot.bits.value, bits) << slot.name;
      }
    }
    EXPECT_TRUE(plan.encoding.error_feedback);
    EXPECT_EQ(plan.protocol_version, 3);
  }
  changed.round.error_feedback = false;
  EXPECT_FALSE(plan_for(10, changed)->encoding.error_feedback);
}

// What wasn't sent doesn't move; what was sent does, and all of it in ten rounds.
TEST(RoundMaker, OfTopKWhatIsNotSentStaysAndEveryValueComesInItsTurn) {
  AggregatorSettings changed = settings();
  changed.round.codec = UploadCodec::kTopK;
  std::vector<int> moved(samples::shared_spec()->parameters());
  for (std::uint64_t round = 1; round <= 10; ++round) {
    const RoundPlan plan = make_plan({}, changed, average(), *samples::shared_spec(),
                                     {.round = {round}, .key_set = {1}, .cohort = 8})
                               .value();
    EXPECT_NEAR(static_cast<double>(plan.delta_elements()),
                static_cast<double>(samples::shared_spec()->parameters()) / 10, 1);
    std::vector<std::uint32_t> sum(plan.ring_elements(), 5);
    const Adapter current(samples::shared_spec());
    const std::vector<std::uint32_t> participants{2};
    StrategyState state;
    const auto outcome = finish_round(plan, average(), {sum, participants}, current, state).value();
    for (std::size_t i = 0; i < moved.size(); ++i) {
      moved[i] += outcome.adapter.values()[i] != 0 ? 1 : 0;
    }
  }
  EXPECT_THAT(moved, ::testing::Each(1));
}

TEST(RoundMaker, EverySlotHasRoomForTheWholeCohortAtFullWeight) {
  for (const std::uint32_t cohort : {3U, 8U, 100U}) {
    const RoundPlan plan = plan_for(cohort).value();
    for (const Slot& slot : plan.slots) {
      const std::uint64_t weight = slot.kind == SlotKind::kDelta ? plan.sum.max_weight : 1;
      EXPECT_TRUE(ring_cannot_wrap(slot.bits, cohort, weight, slot.highest, slot.scale))
          << slot.name;
    }
  }
}

TEST(RoundMaker, ARingTooSmallForTheCohortIsRefusedWithTheNumbers) {
  const auto refused = plan_for(100'000);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("16"));
}

// Each device's element is off by less than one ring unit of its weighted value, so the mean is off
// by less than devices / (scale * sum of weights); the step's own encoding adds half a unit of its
// slot, max|step| / 32767 / 2, and float32 one rounding of the largest value.
TEST(RoundMaker, TheReleaseIsTheFloatReferenceWithinTheRoundingOfRingAndStep) {
  const RoundPlan plan = plan_for(5).value();
  const Adapter current = Adapter::initial(samples::shared_spec(), 7);
  const std::size_t parameters = samples::shared_spec()->parameters();
  KeyedRandom random({.experiment = 11});
  std::size_t ring_size = 0;
  for (const Slot& slot : plan.slots) ring_size += slot.elements;
  std::vector<std::uint32_t> sum(ring_size);
  std::vector<double> reference(parameters);
  double weights = 0;
  double losses = 0;
  for (std::uint64_t device = 0; device < 5; ++device) {
    const std::uint64_t weight = 1 + device % 3;
    weights += static_cast<double>(weight);
    std::vector<std::uint32_t> upload;
    std::size_t at = 0;
    for (const Slot& slot : plan.slots) {
      std::vector<float> values(slot.elements, slot.kind == SlotKind::kWeight
                                                   ? static_cast<float>(weight)
                                                   : static_cast<float>(device) * 0.125F);
      if (slot.kind == SlotKind::kDelta) {
        for (float& value : values) {
          value = static_cast<float>(slot.highest) * (2 * random.uniform_float() - 1);
          reference[at++] += static_cast<double>(weight) * static_cast<double>(value);
        }
      }
      const auto encoded = ring_encode(values,
                                       {.bound = slot.highest,
                                        .scale = slot.scale,
                                        .bits = slot.bits,
                                        .weight = slot.kind == SlotKind::kDelta ? weight : 1},
                                       random)
                               .value();
      upload.insert(upload.end(), encoded.begin(), encoded.end());
    }
    losses += static_cast<double>(device) * 0.125;
    add_upload(plan.slots, sum, upload);
  }
  const std::vector<std::uint32_t> five{5};
  StrategyState state;
  const auto outcome = finish_round(plan, average(), {sum, five}, current, state).value();
  const double scale = plan.slots.front().scale;
  const double bound = plan.slots.front().highest;
  const double tolerance = 5 / (scale * weights) + bound / 32767 / 2 + 1.2e-7 * 2;
  double largest = 0;
  for (std::size_t i = 0; i < parameters; ++i) {
    const double wanted = static_cast<double>(current.values()[i]) + reference[i] / weights;
    largest =
        std::max(largest, std::abs(static_cast<double>(outcome.adapter.values()[i]) - wanted));
  }
  EXPECT_LT(largest, tolerance);
  EXPECT_GT(bound, 50 * tolerance); // the tolerance is no free pass
  ASSERT_FALSE(outcome.metrics.empty());
  EXPECT_EQ(outcome.metrics.front().name, kMetricLossBefore);
  EXPECT_NEAR(outcome.metrics.front().mean, losses / 5, 1 / plan.slots.back().scale);
}

TEST(RoundMaker, DevicesThatApplyTheEncodedStepHoldTheSameBits) {
  const RoundPlan plan = plan_for(3).value();
  const Adapter current = Adapter::initial(samples::shared_spec(), 7);
  std::size_t ring_size = 0;
  for (const Slot& slot : plan.slots) ring_size += slot.elements;
  std::vector<std::uint32_t> sum(ring_size, 3);
  const std::vector<std::uint32_t> two{2};
  StrategyState state;
  const auto outcome = finish_round(plan, average(), {sum, two}, current, state).value();
  Adapter device = current;
  ASSERT_TRUE(
      apply_step(device, parse_step(serialize_step(outcome.step), *samples::shared_spec()).value())
          .ok());
  EXPECT_EQ(serialize_adapter(device), serialize_adapter(outcome.adapter));
}

TEST(RoundMaker, AReleaseNamesWhatItIsMadeOf) {
  const FleetFacts facts{.fleet = samples::hash(1), .base_hash = samples::hash(0x10)};
  const Adapter adapter = Adapter::initial(samples::shared_spec(), 1);
  const ReleaseInputs inputs{.facts = facts,
                             .epoch = {3},
                             .version = {4},
                             .parent_hash = samples::hash(9),
                             .participants = 6};
  const ReleaseContent content = make_release(inputs, adapter, nullptr, samples::aggregator_key());
  const Release opened =
      verify_release(samples::aggregator_key().public_key(), content.signed_release).value();
  EXPECT_EQ(opened.adapter_hash, sha256(serialize_adapter(adapter)));
  EXPECT_EQ(opened.spec_hash, sha256(samples::shared_spec()->encode()));
  EXPECT_EQ(opened.version, AdapterVersion{4});
  EXPECT_EQ(opened.participants, 6U);
  EXPECT_TRUE(opened.step_hash.is_zero());
}

} // namespace
} // namespace coppice
