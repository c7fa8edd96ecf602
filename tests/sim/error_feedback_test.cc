// SPDX-License-Identifier: Apache-2.0
// Smaller uploads against a closed form: devices whose losses are parabolas, with the devices' own
// encoding and what they keep, and the aggregator's own end of a round.
//
// Device k's loss is sum_j a_kj / 2 (w_j - c_kj)^2, and a round is one step of SGD of rate r on
// each: averages rest at the optimum sum a c / sum a of the mean loss. No device's own gradient is
// zero there, so that rounding goes on for ever. A round's rounding error of standard deviation s
// keeps the iterates about s / sqrt(2 r a) away from it; with error feedback about s, since the
// next round takes back what the one before added.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "aggregator/round_maker.h"
#include "client/kept_rules.h"
#include "client/upload_builder.h"
#include "protocol/plan_encoding.h"
#include "sim/kept_states.h"
#include "tests/sim/parabolas.h"

namespace coppice {
namespace {

constexpr std::size_t kFeedbackDevices = 8;
constexpr std::size_t kFeedbackValues = 20;

std::shared_ptr<const AdapterSpec> twenty_values() {
  return std::make_shared<const AdapterSpec>(
      AdapterSpec{.architecture = "parabolas",
                  .targets = {{.tensor = "w", .in = 10, .out = 10, .rank = 1, .alpha = 1}}});
}

double relative_distance(std::span<const float> w, const std::vector<Parabola>& all) {
  double squares = 0, norm = 0;
  for (std::size_t j = 0; j < kFeedbackValues; ++j) {
    double pull = 0, weights = 0;
    for (const Parabola& one : all) {
      pull += one.curvature[j] * one.centre[j];
      weights += one.curvature[j];
    }
    const double optimum = pull / weights;
    squares += std::pow(static_cast<double>(w[j]) - optimum, 2);
    norm += optimum * optimum;
  }
  return std::sqrt(squares / norm);
}

struct FeedbackFleet {
  UploadCodec codec = UploadCodec::kNone;
  bool error_feedback = true;
  double rate = 0.005;
  std::size_t rounds = 3000;
  double abandoned = 0;                  // share of the rounds
  bool keeps_what_was_abandoned = false; // wrongly
};

ClientId client_of(DeviceNumber device) {
  ClientId id;
  std::memcpy(id.bytes.data(), &device, sizeof(device));
  return id;
}

RoundPlan plan_of(const FeedbackFleet& fleet, const AdapterSpec& spec, std::uint64_t round) {
  RoundPlan plan;
  plan.round = RoundId{round};
  plan.recipe.max_steps = 1;
  plan.recipe.weight_by = WeightBy::kUniform;
  plan.clip_norm = 100;
  plan.deadline = Millis{1000};
  plan.sum = {
      .goal = kFeedbackDevices, .min_survivors = 1, .cohort = kFeedbackDevices, .max_weight = 1};
  const bool turns = fleet.codec == UploadCodec::kTopK;
  const auto chosen = choose_encoding(
      plan, spec,
      {.bits = turns ? RingBits{16} : RingBits{32},
       .element_bound = (turns ? 40 : 1) * 6 * fleet.rate, // a up to 3, |w - c| up to 2
       .levels = levels_of(fleet.codec),
       .turn = turns ? turn_of_round(1, round, turns_of_share(0.1)) : Turn{},
       .error_feedback = fleet.error_feedback && fleet.codec != UploadCodec::kNone});
  EXPECT_TRUE(chosen) << chosen.error().message;
  plan.protocol_version = plan.needed_version();
  const auto valid = plan.validate(spec);
  EXPECT_TRUE(valid) << valid.error().message;
  return plan;
}

// The distance over the last quarter of the rounds: the root of its mean square.
double feedback_distance(const FeedbackFleet& fleet) {
  const auto all = parabolas(kFeedbackDevices, kFeedbackValues);
  const auto spec = twenty_values();
  const auto strategy = make_strategy({}, true).value();
  StrategyState state;
  KeptStates kept;
  Adapter w(spec);
  double squares = 0, counted = 0;
  for (std::size_t round = 1; round <= fleet.rounds; ++round) {
    const RoundPlan plan = plan_of(fleet, *spec, round);
    std::vector<std::uint32_t> sum(plan.ring_elements());
    std::vector<DeviceNumber> devices;
    for (DeviceNumber k = 0; k < kFeedbackDevices; ++k) {
      KeptVectors vectors = kept.counted(k);
      std::vector<float> delta(kFeedbackValues);
      for (std::size_t j = 0; j < kFeedbackValues; ++j) {
        delta[j] = static_cast<float>(-fleet.rate * all[k].curvature[j] *
                                      (static_cast<double>(w.values()[j]) - all[k].centre[j]));
      }
      auto feedback = feedback_of(vectors, kFeedbackValues);
      add_feedback(*spec, plan.recipe, feedback, delta);
      const EncodedDelta encoded = encode_delta(plan, client_of(k), delta, {}).value();
      std::size_t at = 0;
      for (const Slot& slot : plan.slots) {
        ring_add(std::span(sum).subspan(at, slot.elements),
                 std::span(encoded.elements).subspan(at, slot.elements), slot.bits);
        at += slot.elements;
      }
      if (plan.encoding.error_feedback) {
        vectors[kKeptFeedback] =
            feedback_after(*spec, plan.recipe, std::move(feedback), encoded.lost);
        kept.made(k, std::move(vectors));
      }
      devices.push_back(k);
    }
    KeyedRandom random({.experiment = 9, .round = round});
    const bool abandoned = random.uniform_double() < fleet.abandoned;
    kept.settle(abandoned && !fleet.keeps_what_was_abandoned ? std::span<const DeviceNumber>{}
                                                             : std::span(devices));
    if (!abandoned) {
      const std::vector<std::uint32_t> participants{kFeedbackDevices};
      w = finish_round(plan, *strategy, {sum, participants}, w, state).value().adapter;
    }
    if (round <= fleet.rounds * 3 / 4) continue;
    squares += std::pow(relative_distance(w.values(), all), 2);
    counted += 1;
  }
  return std::sqrt(squares / counted);
}

TEST(ErrorFeedback, WithoutACodecAveragesRestAtTheOptimum) {
  EXPECT_LT(feedback_distance({}), 1e-5);
}

TEST(ErrorFeedback, FifteenLevelsComeTenTimesCloserWithIt) {
  FeedbackFleet fleet{.codec = UploadCodec::kInt4, .rate = 0.0015, .rounds = 6000};
  const double with = feedback_distance(fleet);
  fleet.error_feedback = false;
  EXPECT_LT(10 * with, feedback_distance(fleet));
  EXPECT_LT(with, 2e-3);
}

TEST(ErrorFeedback, TwoHundredAndFiftyFiveLevelsComeCloserWithIt) {
  FeedbackFleet fleet{.codec = UploadCodec::kInt8, .rate = 0.0015, .rounds = 6000};
  const double with = feedback_distance(fleet);
  fleet.error_feedback = false;
  EXPECT_LT(5 * with, feedback_distance(fleet));
}

// Without it a value moves in one round of ten; with it, by all of what ten rounds wanted.
TEST(ErrorFeedback, ATenthOfTheValuesATurnComesTenTimesCloserWithIt) {
  FeedbackFleet fleet{.codec = UploadCodec::kTopK};
  const double with = feedback_distance(fleet);
  fleet.error_feedback = false;
  EXPECT_LT(10 * with, feedback_distance(fleet));
  EXPECT_LT(with, 1e-3);
}

// Devices that counted what no sum took in would think that they had sent it.
TEST(ErrorFeedback, AnAbandonedRoundMovesNothingThatDevicesKeep) {
  FeedbackFleet fleet{.codec = UploadCodec::kTopK, .abandoned = 0.3};
  EXPECT_LT(feedback_distance(fleet), 1e-3);
  FeedbackFleet levels{
      .codec = UploadCodec::kInt4, .rate = 0.0015, .rounds = 6000, .abandoned = 0.3};
  const double with = feedback_distance(levels);
  EXPECT_LT(with, 2e-3);
  levels.keeps_what_was_abandoned = true;
  EXPECT_LT(2 * with, feedback_distance(levels));
}

} // namespace
} // namespace coppice
