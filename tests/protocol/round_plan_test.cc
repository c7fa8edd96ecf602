// SPDX-License-Identifier: Apache-2.0
#include "protocol/round_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "protocol/plan_encoding.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

TEST(RoundPlan, ItsSlotsAreEachTargetsAThenBThenWeightThenMetrics) {
  std::vector<std::string> names;
  for (const Slot& slot : samples::plan().slots) names.push_back(slot.name);
  EXPECT_THAT(names,
              ::testing::ElementsAre("blk.0.attn_q.lora_a", "blk.0.attn_q.lora_b",
                                     "blk.0.ffn_up.lora_a", "blk.0.ffn_up.lora_b", "weight",
                                     "loss_before", "loss_after", "release_kept", "examples"));
  EXPECT_EQ(samples::plan().delta_elements(), samples::spec().parameters());
}

TEST(RoundPlan, TheOneMadeForAnAdapterIsValidForItAndForNoOther) {
  const auto valid = samples::plan().validate(samples::spec());
  EXPECT_TRUE(valid) << valid.error().message;
  AdapterSpec other = samples::spec();
  other.targets[1].rank = 3;
  const auto refused = samples::plan().validate(other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("blk.0.ffn_up.lora_a"));
}

TEST(RoundPlan, ItReadsBackAsItWasWrittenByteForByte) {
  const RoundPlan plan = samples::plan();
  const auto read = RoundPlan::decode(plan.encode());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, plan);
  EXPECT_EQ(read->encode(), plan.encode());
  EXPECT_EQ(read->hash(), plan.hash());
}

// A plan of version 2: secure aggregation, deltas as one rotated vector, noise by the devices.
RoundPlan noised_plan() {
  RoundPlan plan = samples::plan();
  plan.required_features = {kFeatureSecureAggregation};
  plan.clip_norm = 0.5;
  plan.sum = {.goal = 40,
              .min_survivors = 36,
              .cohort = 40,
              .max_weight = 1,
              .secure_aggregation = true,
              .corrupt_fraction = 0.1,
              .dropout_fraction = 0.1};
  plan.recipe.weight_by = WeightBy::kUniform;
  plan.privacy = {.noise = NoiseKind::kSkellam,
                  .cumulative_epsilon = 1.5,
                  .delta = 1e-6,
                  .sampling_rate = 1,
                  .expected_cohort = 40};
  const auto chosen = choose_encoding(plan, samples::spec(),
                                      {.bits = RingBits{20},
                                       .whole_vector = true,
                                       .rotate = true,
                                       .rotation_seed = 7,
                                       .count_clipped = true,
                                       .noise_multiplier = 2});
  EXPECT_TRUE(chosen) << chosen.error().message;
  plan.protocol_version = plan.needed_version();
  return plan;
}

TEST(RoundPlan, OfVersionTwoItReadsBackAsItWasWritten) {
  const RoundPlan plan = noised_plan();
  EXPECT_EQ(plan.protocol_version, 2);
  const auto valid = plan.validate(samples::spec());
  EXPECT_TRUE(valid) << valid.error().message;
  const auto read = RoundPlan::decode(plan.encode());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, plan);
}

TEST(RoundPlan, WithoutAnythingNewItStaysOfVersionOne) {
  EXPECT_EQ(samples::plan().needed_version(), samples::plan().sum.secure_aggregation ? 2 : 1);
  RoundPlan plain = samples::plan();
  plain.sum.secure_aggregation = false;
  EXPECT_EQ(plain.needed_version(), 1);
}

RoundPlan small_plan(const EncodingWish& wish) {
  RoundPlan plan = samples::plan();
  const auto chosen = choose_encoding(plan, samples::spec(), wish);
  EXPECT_TRUE(chosen) << chosen.error().message;
  plan.protocol_version = plan.needed_version();
  return plan;
}

// A device of version 2 or 1 can't read it, and so can't send what its sum would take for another.
TEST(RoundPlan, OfASmallerUploadItIsOfVersionThreeAndReadsBackAsItWasWritten) {
  const std::vector<EncodingWish> wishes{
      {.bits = {}, .levels = 7},
      {.bits = {}, .levels = 127, .error_feedback = true},
      {.bits = RingBits{16}, .element_bound = 0.1, .turn = {.turns = 4, .turn = 3}},
      {.bits = RingBits{16},
       .whole_vector = true,
       .rotate = true,
       .turn = {.turns = 4, .turn = 0},
       .error_feedback = true},
      {.bits = RingBits{16}, .element_bound = 0.1, .error_feedback = true}};
  for (const EncodingWish& wish : wishes) {
    const RoundPlan plan = small_plan(wish);
    EXPECT_EQ(plan.protocol_version, 3);
    const auto valid = plan.validate(samples::spec());
    ASSERT_TRUE(valid) << valid.error().message;
    const auto read = RoundPlan::decode(plan.encode());
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, plan);
    EXPECT_NE(read->hash(), samples::plan().hash());
  }
}

// cohort x weight x (7 + 1) = 8 x 16 x 8 = 2^10, which 12 bits hold: 3/4 of the bytes of 16.
TEST(RoundPlan, FewLevelsTakeFewBitsAndAFourthOfTheValuesAFourthOfTheSlots) {
  const RoundPlan levels = small_plan({.bits = {}, .levels = 7});
  const RoundPlan turn =
      small_plan({.bits = RingBits{16}, .element_bound = 0.1, .turn = {.turns = 4, .turn = 1}});
  const auto delta_bytes = [](const RoundPlan& plan) {
    std::size_t bytes = 0;
    for (const Slot& slot : plan.slots) {
      if (slot.kind == SlotKind::kDelta) bytes += packed_size(slot.elements, slot.bits);
    }
    return bytes;
  };
  for (const Slot& slot : levels.slots) {
    if (slot.kind == SlotKind::kDelta) {
      EXPECT_EQ(slot.bits.value, 12U);
    }
  }
  const std::size_t values = samples::spec().parameters();
  EXPECT_EQ(delta_bytes(samples::plan()), 2 * values);
  EXPECT_EQ(delta_bytes(levels), 3 * values / 2);
  EXPECT_EQ(delta_bytes(turn), values / 2);
}

// Note [Bound of levels]: 4 C / sqrt(d), and under AdamW no more than the rates add up to.
TEST(RoundPlan, LevelsAreWhereValuesAre) {
  RoundPlan plan = samples::plan();
  plan.clip_norm = 2;
  plan.recipe.learning_rate = 0.5F;
  plan.recipe.schedule = Schedule::kConstant;
  plan.recipe.warmup_steps = 0;
  plan.recipe.max_steps = 2;
  const auto bound = [&plan] {
    EXPECT_TRUE(choose_encoding(plan, samples::spec(), {.bits = {}, .levels = 7}));
    return plan.slots.front().highest;
  };
  const double by_clip = 4 * 2 / std::sqrt(static_cast<double>(samples::spec().parameters()));
  ASSERT_LT(by_clip, 1);
  EXPECT_DOUBLE_EQ(bound(), by_clip);
  plan.recipe.learning_rate = 0.0625F;
  EXPECT_DOUBLE_EQ(bound(), 0.125);
  plan.recipe.optimizer = LocalOptimizer::kSgd;
  EXPECT_DOUBLE_EQ(bound(), by_clip);
  EXPECT_DOUBLE_EQ(plan.slots.front().scale * plan.slots.front().highest, 7);
}

TEST(RoundPlan, ItsNoiseIsWhatItClaimsWhateverTheCorruptBring) {
  const RoundPlan plan = noised_plan();
  // 32 of at least 36 survivors are honest: 4 of 40 may be corrupt.
  // Shares are rounded up to whole numbers: of the weight's variance of a few hundred, by 1 in 10
  // at most, and the scalars together bring a tenth of the strength.
  EXPECT_NEAR(sure_noise_multiplier(plan), 2, 0.01);
  EXPECT_GE(sure_noise_multiplier(plan), 2);
  RoundPlan less = plan;
  for (Slot& slot : less.slots) slot.noise_variance -= slot.noise_variance / 20;
  EXPECT_THAT(less.validate(samples::spec()).error().message, HasSubstr("noise_multiplier"));
  less = plan;
  less.sum.min_survivors = 20;
  EXPECT_THAT(less.validate(samples::spec()).error().message, HasSubstr("noise_multiplier"));
}

TEST(RoundPlan, ANormBoundBelowWhatRoundingNeedsAndAWrapAboveItsPromiseAreRefused) {
  RoundPlan plan = noised_plan();
  plan.encoding.norm_bound_squared /= 2;
  EXPECT_THAT(plan.validate(samples::spec()).error().message, HasSubstr("norm_bound_squared"));
  plan = noised_plan();
  plan.encoding.wrap_bits = 0;
  EXPECT_THAT(plan.validate(samples::spec()).error().message, HasSubstr("wrap_bits"));
  plan = noised_plan();
  plan.sum.secure_aggregation = false;
  EXPECT_FALSE(plan.validate(samples::spec()));
}

TEST(RoundPlan, AnyOtherByteGivesAnotherHashOrIsRefused) {
  const Bytes bytes = samples::plan().encode();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes changed = bytes;
    changed[i] ^= 0x41;
    const auto read = RoundPlan::decode(changed);
    if (!read) continue;
    EXPECT_EQ(read->encode(), changed) << "byte " << i;
    EXPECT_NE(read->hash(), samples::plan().hash()) << "byte " << i;
  }
}

TEST(RoundPlan, CutShortOrLengthenedItIsRefused) {
  const Bytes bytes = samples::plan().encode();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(RoundPlan::decode(ByteSpan(bytes).first(size))) << size;
  }
  Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_FALSE(RoundPlan::decode(longer));
}

TEST(RoundPlan, OfAnotherProtocolVersionItIsUnsupported) {
  Bytes bytes = samples::plan().encode();
  bytes[0] = limits::kProtocolVersion + 1;
  const auto read = RoundPlan::decode(bytes);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kUnsupported);
}

struct Fault {
  const char* field; // what the error must name
  std::function<void(RoundPlan&)> make;
};

void expect_refused(const std::vector<Fault>& faults) {
  for (const Fault& fault : faults) {
    RoundPlan plan = samples::plan();
    fault.make(plan);
    const auto refused = plan.validate(samples::spec());
    ASSERT_FALSE(refused) << fault.field;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr(fault.field));
  }
}

TEST(RoundPlan, EveryFaultIsRefusedAndNamed) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<Fault> faults = {
      {"protocol_version", [](RoundPlan& plan) { plan.protocol_version = 9; }},
      {"round", [](RoundPlan& plan) { plan.round = {0}; }},
      {"cohort", [](RoundPlan& plan) { plan.sum.cohort = 0; }},
      {"cohort", [](RoundPlan& plan) { plan.sum.cohort = limits::kClients + 1; }},
      {"goal", [](RoundPlan& plan) { plan.sum.goal = 0; }},
      {"goal", [](RoundPlan& plan) { plan.sum.goal = 9; }},
      {"min_survivors", [](RoundPlan& plan) { plan.sum.min_survivors = 7; }},
      {"max_weight", [](RoundPlan& plan) { plan.sum.max_weight = 0; }},
      {"secure_aggregation", [](RoundPlan& plan) { plan.sum.secure_aggregation = true; }},
      {"required_features", [](RoundPlan& plan) { plan.required_features = {""}; }},
      {"required_features",
       [](RoundPlan& plan) { plan.required_features.assign(limits::kFeatures + 1, "x"); }},
      {"slots", [](RoundPlan& plan) { plan.slots.pop_back(); }},
      {"slots", [](RoundPlan& plan) { plan.slots.push_back(plan.slots.back()); }},
      {"slots", [](RoundPlan& plan) { std::swap(plan.slots[0], plan.slots[1]); }},
      {"slots", [](RoundPlan& plan) { plan.slots[0].elements += 1; }},
      {"slots", [](RoundPlan& plan) { plan.slots[0].kind = SlotKind::kMetric; }},
      {"slots", [](RoundPlan& plan) { plan.slots[0].lowest = -1; }},
      {"slots", [nan](RoundPlan& plan) { plan.slots[0].highest = nan; }},
      {"slots", [](RoundPlan& plan) { plan.slots[0].scale = 0; }},
      {"slots", [nan](RoundPlan& plan) { plan.slots[0].scale = nan; }},
      {"slots", [](RoundPlan& plan) { plan.slots[4].highest = 17; }}, // weight above max_weight
      {"slots", [](RoundPlan& plan) { plan.slots[4].scale = 2; }},
      {"slots", [](RoundPlan& plan) { plan.slots[5].highest = 1e9; }}, // a metric made wide
      {"slots", [](RoundPlan& plan) { plan.slots[5].name = "secret"; }},
      {"recipe.learning_rate", [](RoundPlan& plan) { plan.recipe.learning_rate = 0; }},
      {"recipe", [](RoundPlan& plan) { plan.recipe.weight_decay = -1; }},
      {"recipe",
       [](RoundPlan& plan) {
         plan.recipe.max_steps = 0;
         plan.recipe.max_tokens = 0;
       }},
      {"recipe", [](RoundPlan& plan) { plan.recipe.window = 1; }},
      {"recipe", [](RoundPlan& plan) { plan.recipe.train_b = false; }},
      {"recipe", [](RoundPlan& plan) { plan.recipe.share_a = plan.recipe.share_b = false; }},
      {"recipe.momentum", [](RoundPlan& plan) { plan.recipe.momentum = 1; }},
      {"sum.groups", [](RoundPlan& plan) { plan.sum.groups = 0; }},
      {"sum.groups", [](RoundPlan& plan) { plan.sum.groups = plan.sum.cohort + 1; }},
      {"sum.groups",
       [](RoundPlan& plan) { // two devices of a group would know each other's
         plan.sum.secure_aggregation = true;
         plan.required_features = {kFeatureSecureAggregation};
         plan.sum.groups = plan.sum.cohort / 2;
       }},
      {"recipe.core", [](RoundPlan& plan) { plan.recipe.core = true; }}, // and trains A
      {"recipe.clusters", [](RoundPlan& plan) { plan.recipe.clusters = 0; }},
      {"recipe.clusters", [](RoundPlan& plan) { plan.recipe.clusters = 3; }}, // of rank 4
      {"sum.max_staleness",
       [](RoundPlan& plan) { plan.sum.max_staleness = limits::kStaleness + 1; }},
      {"loss_power", [](RoundPlan& plan) { plan.recipe.loss_power = -1; }},
      {"recipe.examples_per_weight", [](RoundPlan& plan) { plan.recipe.examples_per_weight = 0; }},
      {"clip_norm", [](RoundPlan& plan) { plan.clip_norm = 0; }},
      {"clip_norm", [nan](RoundPlan& plan) { plan.clip_norm = nan; }},
      {"cumulative_epsilon", [](RoundPlan& plan) { plan.privacy.cumulative_epsilon = -1; }},
      {"deadline", [](RoundPlan& plan) { plan.deadline = {0}; }},
      {"deadline", [](RoundPlan& plan) { plan.deadline = {limits::kLongestRoundMs + 1}; }},
  };
  expect_refused(faults);
}

TEST(RoundPlan, EveryFaultOfASmallerUploadIsRefusedAndNamed) {
  expect_refused(
      {{"encoding.turn", [](RoundPlan& plan) { plan.encoding.turn = {.turns = 0, .turn = 0}; }},
       {"encoding.turn", [](RoundPlan& plan) { plan.encoding.turn = {.turns = 4, .turn = 4}; }},
       {"encoding.turn",
        [](RoundPlan& plan) { plan.encoding.turn = {.turns = limits::kTurns + 1, .turn = 0}; }},
       {"slots", [](RoundPlan& plan) { plan.encoding.turn = {.turns = 4, .turn = 1}; }},
       {"corrections of drift", [](RoundPlan& plan) {
          plan.encoding.error_feedback = true;
          plan.recipe.correction = DriftCorrection::kDynamic;
          plan.recipe.proximal_mu = 1;
        }}});
}

TEST(RoundPlan, AScaleOneStepAboveTheSafeOneIsRefused) {
  for (std::size_t slot = 0; slot < samples::plan().slots.size(); ++slot) {
    RoundPlan plan = samples::plan();
    plan.slots[slot].scale = std::nextafter(plan.slots[slot].scale, 1e300);
    EXPECT_FALSE(plan.validate(samples::spec())) << plan.slots[slot].name;
  }
}

// The worst case by itself, without largest_safe_scale: every device at its bound, at the largest
// weight, rounded up, stays below half the ring.
TEST(RoundPlan, NoSumOfItsCohortCanWrapWhateverDevicesSend) {
  for (const std::uint32_t cohort : {1U, 8U, 64U}) {
    for (const std::uint32_t bits : {16U, 20U, 24U, 32U}) {
      const SumTerms sum{.goal = 1, .min_survivors = 1, .cohort = cohort, .max_weight = 4};
      const auto slots = make_slots(samples::spec(), RingBits{bits}, 0.02, sum);
      ASSERT_TRUE(slots) << slots.error().message;
      for (const Slot& slot : *slots) {
        const bool is_delta = slot.kind == SlotKind::kDelta;
        const double reach =
            slot.kind == SlotKind::kMetric ? slot.highest - slot.lowest : slot.highest;
        const double each = (is_delta ? 4 : 1) * reach * slot.scale;
        EXPECT_LT(cohort * std::ceil(each), std::ldexp(1.0, static_cast<int>(slot.bits.value) - 1))
            << slot.name;
      }
    }
  }
}

// The noise of a sum is that of all its devices: a group's would have less than is promised.
TEST(RoundPlan, NoiseAndSumsByGroupsAreRefusedTogether) {
  RoundPlan plan = noised_plan();
  ASSERT_TRUE(plan.validate(samples::spec()));
  plan.sum.groups = 4;
  plan.protocol_version = plan.needed_version();
  const auto refused = plan.validate(samples::spec());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("one sum over all"));
}

// Noise is planned for one vector of all values, round after round.
TEST(RoundPlan, NoiseAndSmallerUploadsAreRefusedTogether) {
  for (const bool feedback : {true, false}) {
    RoundPlan plan = noised_plan();
    if (feedback) plan.encoding.error_feedback = true;
    if (!feedback) plan.encoding.turn = {.turns = 2, .turn = 1};
    plan.protocol_version = plan.needed_version();
    const auto refused = plan.validate(samples::spec());
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("noise is accounted for"));
  }
}

TEST(RoundPlan, ARingTooSmallForItsCohortIsRefusedWithTheNumbers) {
  const SumTerms sum{.goal = 1, .min_survivors = 1, .cohort = 1000, .max_weight = 16};
  const auto slots = make_slots(samples::spec(), RingBits{16}, 0.02, sum);
  ASSERT_FALSE(slots);
  EXPECT_EQ(slots.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(slots.error().message, HasSubstr("1000 devices"));
  EXPECT_THAT(slots.error().message, HasSubstr("16 bits"));
  EXPECT_TRUE(make_slots(samples::spec(), RingBits{24}, 0.02, sum));
}

TEST(RoundPlan, MoreModulesThanAPlanCanListAreRefused) {
  AdapterSpec wide = samples::spec();
  wide.targets.resize(1);
  for (int layer = 1; layer < 1000; ++layer) {
    AdapterTarget target = wide.targets[0];
    target.tensor = "blk." + std::to_string(layer) + ".attn_q";
    wide.targets.push_back(target);
  }
  RoundPlan plan = samples::plan();
  plan.slots = make_slots(wide, RingBits{16}, 0.01, plan.sum).value();
  const auto refused = plan.validate(wide); // 2000 slots are allowed, their bytes are not
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("fewer modules"));
}

TEST(SignedPlan, OnlyItsSignersKeyOpensIt) {
  const SigningKey key = samples::aggregator_key();
  SignedPlan plan = sign_plan(key, samples::plan());
  const auto opened = verify_plan(key.public_key(), plan);
  ASSERT_TRUE(opened);
  EXPECT_EQ(*opened, samples::plan());
  EXPECT_EQ(verify_plan(samples::device_key().public_key(), plan).error().code,
            ErrorCode::kUnauthenticated);
  plan.bytes.back() ^= 1;
  EXPECT_EQ(verify_plan(key.public_key(), plan).error().code, ErrorCode::kUnauthenticated);
}

} // namespace
} // namespace coppice
