// SPDX-License-Identifier: Apache-2.0
#include "client/upload_builder.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "privacy/clip.h"
#include "protocol/plan_encoding.h"
#include "protocol/slot_packing.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

class UploadBuilderTest : public ::testing::Test {
 protected:
  UploadBuilderTest() {
    plan_.recipe.weight_by = WeightBy::kExamples;
    plan_.recipe.examples_per_weight = 10;
    for (std::size_t i = 0; i < delta_.size(); ++i) {
      delta_[i] = 0.004F * std::sin(static_cast<float>(i));
    }
  }
  Result<EncodedDelta> encode(const RoundMetrics& metrics = {}) const {
    return encode_delta(plan_, samples::device_id(), delta_, metrics);
  }
  // Decoded slots by name, as the aggregator would for a sum over this device alone.
  std::map<std::string, std::vector<double>> decoded(const EncodedDelta& encoded) const {
    std::map<std::string, std::vector<double>> slots;
    const std::span<const std::uint32_t> elements(encoded.elements);
    std::size_t at = 0;
    for (const Slot& slot : plan_.slots) {
      slots[slot.name] = ring_decode(elements.subspan(at, slot.elements), slot.bits, slot.scale);
      at += slot.elements;
    }
    EXPECT_EQ(at, elements.size());
    return slots;
  }
  RoundPlan plan_ = samples::plan();
  std::vector<float> delta_ = std::vector<float>(plan_.delta_elements());
};

// Stochastic rounding is off by less than one ring unit: 1 / scale.
TEST_F(UploadBuilderTest, AnUploadDecodesToTheWeightedDeltaWithinOneRingUnit) {
  const auto encoded = encode({.examples = 35}).value();
  EXPECT_EQ(encoded.weight, 3U);
  EXPECT_EQ(encoded.clip_factor, 1);
  const auto slots = decoded(encoded);
  EXPECT_EQ(slots.at("weight").at(0), 3);
  std::size_t at = 0;
  for (const Slot& slot : plan_.slots) {
    if (slot.kind != SlotKind::kDelta) continue;
    for (const double value : slots.at(slot.name)) {
      EXPECT_NEAR(value, 3.0 * static_cast<double>(delta_[at++]), 1 / slot.scale);
    }
  }
  EXPECT_EQ(at, delta_.size());
}

TEST_F(UploadBuilderTest, TheWeightStaysBetweenOneAndThePlansLargest) {
  EXPECT_EQ(encode({.examples = 0})->weight, 1U);
  EXPECT_EQ(encode({.examples = 1'000'000})->weight, plan_.sum.max_weight);
  plan_.recipe.weight_by = WeightBy::kUniform;
  EXPECT_EQ(encode({.examples = 1'000'000})->weight, 1U);
}

TEST_F(UploadBuilderTest, ADeltaOverTheClipIsScaledDownAsAWhole) {
  plan_.clip_norm = l2_norm(delta_).value() / 2;
  const auto encoded = encode().value();
  EXPECT_NEAR(encoded.clip_factor, 0.5, 1e-6);
  const auto slots = decoded(encoded);
  const Slot& first = plan_.slots.front();
  EXPECT_NEAR(slots.at(first.name).at(1), static_cast<double>(delta_[1]) / 2, 1 / first.scale);
}

TEST_F(UploadBuilderTest, ElementsBeyondTheirBoundAreClampedAndCounted) {
  delta_[3] = 0.5F; // the bound is 0.01
  const auto encoded = encode().value();
  EXPECT_EQ(encoded.clamped, 1U);
  const Slot& first = plan_.slots.front();
  EXPECT_NEAR(decoded(encoded).at(first.name).at(3), first.highest, 1 / first.scale);
}

// What is sent and what is lost are the delta, to the last bit of float32: what rounding, a bound,
// the clip and other turns keep back.
TEST_F(UploadBuilderTest, WhatAnUploadLostIsWhatItsSumWillMiss) {
  const AdapterSpec spec = samples::spec();
  const std::vector<EncodingWish> wishes{
      {.element_bound = 0.003, .levels = 7, .error_feedback = true},
      {.levels = 127, .error_feedback = true},
      {.bits = RingBits{16},
       .element_bound = 0.1,
       .turn = {.turns = 3, .turn = 2},
       .error_feedback = true},
      {.bits = RingBits{20},
       .whole_vector = true,
       .rotate = true,
       .rotation_seed = 4,
       .error_feedback = true}};
  for (const double clip : {1.0, 0.03}) {
    plan_.clip_norm = clip;
    for (const EncodingWish& wish : wishes) {
      ASSERT_TRUE(choose_encoding(plan_, spec, wish));
      const auto encoded = encode({.examples = 35}).value();
      ASSERT_EQ(encoded.lost.size(), delta_.size());
      const auto sent =
          spread_in_turn(decode_deltas(plan_, encoded.elements), wish.turn, delta_.size());
      double lost = 0;
      for (std::size_t i = 0; i < delta_.size(); ++i) {
        EXPECT_NEAR(sent[i] / 3 + static_cast<double>(encoded.lost[i]),
                    static_cast<double>(delta_[i]), 1e-9);
        lost += std::abs(static_cast<double>(encoded.lost[i]));
        if (i % wish.turn.turns != wish.turn.turn) {
          EXPECT_EQ(encoded.lost[i], delta_[i]);
        }
      }
      EXPECT_GT(lost, 0);
    }
  }
  plan_ = samples::plan();
  EXPECT_TRUE(encode()->lost.empty()) << "nobody asked for it";
}

// Five devices' uploads added on the ring, as masked ones are: their rounded values' own sum.
TEST_F(UploadBuilderTest, TheSumOfUploadsIsThatOfTheirRoundedValuesExactly) {
  for (const EncodingWish& wish :
       {EncodingWish{.levels = 7}, EncodingWish{.levels = 127},
        EncodingWish{
            .bits = RingBits{16}, .element_bound = 0.1, .turn = {.turns = 4, .turn = 1}}}) {
    ASSERT_TRUE(choose_encoding(plan_, samples::spec(), wish));
    std::vector<std::uint32_t> sum(plan_.ring_elements());
    std::vector<double> expected(plan_.delta_elements());
    for (std::uint8_t device = 1; device <= 5; ++device) {
      ClientId id;
      id.bytes.fill(device);
      const auto encoded = encode_delta(plan_, id, delta_, {.examples = 40U * device}).value();
      const auto own = decode_deltas(plan_, encoded.elements);
      for (std::size_t i = 0; i < own.size(); ++i) {
        expected[i] += std::round(own[i] * plan_.slots.front().scale);
      }
      std::size_t at = 0;
      for (const Slot& slot : plan_.slots) {
        ring_add(std::span(sum).subspan(at, slot.elements),
                 std::span(encoded.elements).subspan(at, slot.elements), slot.bits);
        at += slot.elements;
      }
    }
    const auto decoded = decode_deltas(plan_, sum);
    for (std::size_t i = 0; i < decoded.size(); ++i) {
      EXPECT_EQ(decoded[i], expected[i] / plan_.slots.front().scale);
    }
  }
}

// A device whose deltas are far beyond the clip, round after round: what is kept back stays finite.
TEST_F(UploadBuilderTest, WhatIsLostIsNeverLongerThanTheTurnsClips) {
  plan_.clip_norm = 0.001;
  ASSERT_TRUE(choose_encoding(plan_, samples::spec(),
                              {.bits = RingBits{16},
                               .element_bound = 0.001,
                               .turn = {.turns = 2, .turn = 1},
                               .error_feedback = true}));
  EXPECT_GT(l2_norm(delta_).value(), 0.01);
  EXPECT_LE(l2_norm(encode()->lost).value(), 0.002);
  delta_[0] = std::numeric_limits<float>::infinity(); // isn't sent in this turn
  EXPECT_EQ(encode().error().code, ErrorCode::kInvalidArgument);
}

// An upload's own bytes: the slots', and what seals, signs and names them.
TEST_F(UploadBuilderTest, UploadsOfCodecsAreAsMuchSmallerAsTheirSlots) {
  const auto size = [this](const EncodingWish& wish) {
    EXPECT_TRUE(choose_encoding(plan_, samples::spec(), wish));
    const auto upload = build_upload(plan_, plan_.hash(), samples::device_id(),
                                     samples::device_key(), samples::key_set(), encode().value());
    return upload->size();
  };
  plan_.sum.max_weight = 1; // 8 devices
  const std::size_t values = delta_.size();
  const std::size_t whole = size({.bits = RingBits{16}, .element_bound = 0.01});
  EXPECT_EQ(whole - size({.levels = 127}), values * (16 - 12) / 8);
  EXPECT_EQ(whole - size({.levels = 7}), values * (16 - 8) / 8);
  EXPECT_EQ(
      whole - size({.bits = RingBits{16}, .element_bound = 0.01, .turn = {.turns = 4, .turn = 0}}),
      2 * (values - values / 4));
}

TEST_F(UploadBuilderTest, NanInfinityAndAnotherSizeAreRefused) {
  const float good = delta_[5];
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    delta_[5] = bad;
    EXPECT_EQ(encode().error().code, ErrorCode::kInvalidArgument);
  }
  delta_[5] = good;
  EXPECT_FALSE(encode({.loss_before = std::nan("")}).ok());
  delta_.pop_back();
  EXPECT_EQ(encode().error().code, ErrorCode::kInvalidArgument);
}

TEST_F(UploadBuilderTest, MetricsAreClampedToTheirRange) {
  const auto slots =
      decoded(encode({.loss_before = 1e9, .loss_after = -5, .release_kept = true, .examples = 123})
                  .value());
  EXPECT_NEAR(slots.at(kMetricLossBefore).at(0), 20, 1e-3);
  EXPECT_NEAR(slots.at(kMetricLossAfter).at(0), 0, 1e-3);
  EXPECT_NEAR(slots.at(kMetricReleaseKept).at(0), 1, 1e-3);
  EXPECT_NEAR(slots.at(kMetricExamples).at(0), 123, 1);
}

TEST_F(UploadBuilderTest, TheSameDeltaGivesTheSameBitsAndAnotherDeviceOthers) {
  EXPECT_EQ(encode()->elements, encode()->elements);
  const auto other = encode_delta(plan_, ClientId{}, delta_, {}).value();
  EXPECT_NE(encode()->elements, other.elements);
  plan_.round = plan_.round.next();
  EXPECT_NE(encode()->elements, other.elements);
}

TEST_F(UploadBuilderTest, OnlyTheAggregatorsSealOpensAnUpload) {
  const auto encoded = encode().value();
  const Sha256 plan_hash = plan_.hash();
  const auto finished = build_upload(plan_, plan_hash, samples::device_id(), samples::device_key(),
                                     samples::key_set(), encoded)
                            .value();
  const auto opened = open_upload(finished, samples::device_key().public_key(),
                                  samples::device_id(), samples::seal_key(), plan_hash);
  EXPECT_EQ(opened->packed, pack_slots(plan_.slots, encoded.elements));
  EXPECT_FALSE(open_upload(finished, samples::device_key().public_key(), samples::device_id(),
                           samples::key<SealKey>(99), plan_hash)
                   .ok());
  EXPECT_FALSE(open_upload(finished, samples::device_key().public_key(), samples::device_id(),
                           samples::seal_key(), samples::hash(1))
                   .ok());
}

} // namespace
} // namespace coppice
