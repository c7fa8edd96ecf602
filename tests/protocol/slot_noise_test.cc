// SPDX-License-Identifier: Apache-2.0
#include "protocol/slot_noise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "protocol/plan_encoding.h"
#include "protocol/round_mechanism.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

SystemBytes source;

RoundPlan plan_with(NoiseKind kind) {
  RoundPlan plan = samples::plan();
  plan.required_features = {kFeatureSecureAggregation};
  plan.clip_norm = 1;
  plan.sum = {
      .goal = 40, .min_survivors = 36, .cohort = 40, .max_weight = 1, .secure_aggregation = true};
  plan.recipe.weight_by = WeightBy::kUniform;
  plan.privacy = {.noise = kind, .delta = 1e-6, .expected_cohort = 40};
  if (kind == NoiseKind::kBanded) {
    plan.privacy.min_separation = 4;
    plan.privacy.max_participations = 2;
  }
  const auto chosen = choose_encoding(
      plan, samples::spec(),
      {.bits = RingBits{24}, .whole_vector = true, .rotate = true, .noise_multiplier = 1.5});
  EXPECT_TRUE(chosen) << chosen.error().message;
  plan.protocol_version = plan.needed_version();
  const auto valid = plan.validate(samples::spec());
  EXPECT_TRUE(valid) << valid.error().message;
  return plan;
}

// Mean square over the plan's own variance, of many draws in the delta slots.
double variance_ratio(const RoundPlan& plan, int repeats) {
  const Slot& first = plan.slots.front();
  double squares = 0;
  for (int i = 0; i < repeats; ++i) {
    std::vector<std::uint32_t> elements(plan.ring_elements(), 0);
    EXPECT_TRUE(add_slot_noise(plan, source, elements).ok());
    elements.resize(plan.delta_elements());
    for (const double value : ring_decode(elements, first.bits, 1)) squares += value * value;
  }
  return squares / (repeats * static_cast<double>(plan.delta_elements())) /
         static_cast<double>(first.noise_variance);
}

// The mean square of N draws is off by sqrt(2 / N) of it; 7 of those happen once in 10^11.
TEST(SlotNoise, EachKindHasTheVarianceOfItsSlots) {
  constexpr int kRepeats = 200;
  for (const NoiseKind kind :
       {NoiseKind::kCentral, NoiseKind::kSkellam, NoiseKind::kDistributedGaussian}) {
    const RoundPlan plan = plan_with(kind);
    const double draws = kRepeats * static_cast<double>(plan.delta_elements());
    EXPECT_NEAR(variance_ratio(plan, kRepeats), 1, 7 * std::sqrt(2 / draws));
  }
}

TEST(SlotNoise, EverySlotIsNoisedAndNoneWithoutNoise) {
  const RoundPlan plan = plan_with(NoiseKind::kCentral);
  for (const Slot& slot : plan.slots) EXPECT_GT(slot.noise_variance, 0U) << slot.name;
  const RoundPlan quiet = samples::plan();
  std::vector<std::uint32_t> elements(quiet.ring_elements(), 5);
  EXPECT_TRUE(add_slot_noise(quiet, source, elements).ok());
  EXPECT_EQ(elements, std::vector<std::uint32_t>(quiet.ring_elements(), 5));
}

TEST(SlotNoise, BandedNoiseGoesOnFromItsStateAndIsOfOneAdapter) {
  const RoundPlan plan = plan_with(NoiseKind::kBanded);
  auto series =
      BandedNoise::create(banded_coefficients_of(plan).value(), plan.delta_elements()).value();
  std::vector<std::uint32_t> elements(plan.ring_elements(), 0);
  EXPECT_TRUE(add_banded_noise(plan, series, source, elements).ok());
  EXPECT_EQ(series.rounds, 1U);
  series.dimension += 1;
  EXPECT_EQ(add_banded_noise(plan, series, source, elements).error().code,
            ErrorCode::kFailedPrecondition);
}

// What the accountant is told is what the plan claims, for each kind.
TEST(RoundMechanism, ItsSlotsTogetherAreThePlansMultiplier) {
  for (const NoiseKind kind : {NoiseKind::kCentral, NoiseKind::kSkellam,
                               NoiseKind::kDistributedGaussian, NoiseKind::kBanded}) {
    const Mechanism mechanism = mechanism_of(plan_with(kind));
    ASSERT_TRUE(check_mechanism(mechanism).ok());
    std::vector<double> multipliers;
    for (const NoisedVector& slot : mechanism.slots) {
      multipliers.push_back(std::sqrt(slot.variance) / slot.l2_sensitivity);
    }
    EXPECT_GE(combined_noise_multiplier(multipliers), 1.5 * (1 - 1e-9));
    EXPECT_NEAR(combined_noise_multiplier(multipliers), 1.5, 0.01);
    EXPECT_EQ(mechanism.adversary,
              noise_is_distributed(kind) ? Adversary::kAggregator : Adversary::kRelease);
  }
}

} // namespace
} // namespace coppice
