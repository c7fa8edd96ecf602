// SPDX-License-Identifier: Apache-2.0
#include "client/kept_state.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <limits>

#include "client/device_folder.h"
#include "client/kept_rules.h"
#include "tests/aggregator/temporary_folder.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const KeptBinding kHere{
    .fleet = samples::hash(1), .base = samples::hash(2), .spec = samples::hash(3)};
const Sha256 kFirst = samples::hash(11);
const Sha256 kSecond = samples::hash(12);

KeptVectors vectors(float value) { return {{"correction", {value, -value}}, {"own.b", {value}}}; }

class KeptFileTest : public ::testing::Test {
 protected:
  KeptVectors begins_with() const { return file_.counted(kHere).value(); }
  void trains(const Sha256& plan, const KeptVectors& made, std::uint64_t from = 5) const {
    ASSERT_TRUE(file_.store_made(kHere, {plan, AdapterVersion{from}}, made).ok());
  }

  TemporaryFolder folder_;
  KeptFile file_{folder_ / "kept"};
};

TEST_F(KeptFileTest, ARoundMovesItOnlyOnceItCounts) {
  EXPECT_THAT(begins_with(), IsEmpty());
  trains(kFirst, vectors(1));
  EXPECT_THAT(begins_with(), IsEmpty()) << "trained, and not released yet";
  trains(kFirst, vectors(1)); // again, after a crash
  ASSERT_TRUE(file_.count(kFirst).ok());
  EXPECT_EQ(begins_with(), vectors(1));
  ASSERT_TRUE(file_.count(kFirst).ok()); // said twice
  EXPECT_EQ(begins_with(), vectors(1));
}

TEST_F(KeptFileTest, ARoundThatWasLostLeavesWhatWasThereBefore) {
  trains(kFirst, vectors(1));
  ASSERT_TRUE(file_.count(kFirst).ok());
  trains(kSecond, vectors(2)); // abandoned
  ASSERT_TRUE(file_.count(kFirst).ok());
  EXPECT_EQ(begins_with(), vectors(1));
  const Sha256 third = samples::hash(13);
  trains(third, vectors(3));
  ASSERT_TRUE(file_.count(kSecond).ok()) << "which is not the last training";
  EXPECT_EQ(begins_with(), vectors(1));
  ASSERT_TRUE(file_.count(third).ok());
  EXPECT_EQ(begins_with(), vectors(3));
}

TEST_F(KeptFileTest, OfAnotherFleetBaseOrShapeItIsNothing) {
  trains(kFirst, vectors(1));
  ASSERT_TRUE(file_.count(kFirst).ok());
  for (Sha256 KeptBinding::*part : {&KeptBinding::fleet, &KeptBinding::base, &KeptBinding::spec}) {
    KeptBinding other = kHere;
    other.*part = samples::hash(99);
    EXPECT_THAT(file_.counted(other).value(), IsEmpty());
  }
  EXPECT_EQ(begins_with(), vectors(1));
}

TEST_F(KeptFileTest, OnlyTheOwnerCanReadItAndForgettingTheDevicesOwnRemovesIt) {
  const DeviceFolder device(folder_.path());
  ASSERT_TRUE(device.create().ok());
  const KeptFile file(device.kept_path());
  EXPECT_FALSE(file.exists());
  ASSERT_TRUE(file.store_made(kHere, {kFirst, {}}, vectors(1)).ok());
  struct stat status {};
  ASSERT_EQ(::stat(device.kept_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  ASSERT_TRUE(device.forget_personal().ok());
  EXPECT_FALSE(file.exists());
}

// Each release names the last revert before it, so that a device which was away learns of it.
TEST_F(KeptFileTest, WhatCameOfReleasesBeforeARevertIsForgotten) {
  EXPECT_TRUE(file_.forget_before(AdapterVersion{6}).ok()) << "there is none";
  trains(kFirst, vectors(1), 5);
  ASSERT_TRUE(file_.count(kFirst).ok());
  for (const std::uint64_t earlier : {0U, 5U}) { // the release it began from may be a revert
    ASSERT_TRUE(file_.forget_before(AdapterVersion{earlier}).ok());
    EXPECT_EQ(begins_with(), vectors(1));
  }
  ASSERT_TRUE(file_.forget_before(AdapterVersion{6}).ok());
  EXPECT_FALSE(file_.exists());
}

// What an upload lost is made after the rest, and counts with it or not at all.
TEST_F(KeptFileTest, WhatAnUploadLostCountsWithItsRound) {
  trains(kFirst, vectors(1));
  ASSERT_TRUE(file_.add_made(kFirst, kKeptFeedback, {3, 4}).ok());
  EXPECT_THAT(begins_with(), IsEmpty());
  ASSERT_TRUE(file_.count(kFirst).ok());
  KeptVectors expected = vectors(1);
  expected[kKeptFeedback] = {3, 4};
  EXPECT_EQ(begins_with(), expected);
  trains(kSecond, vectors(2)); // abandoned
  ASSERT_TRUE(file_.add_made(kSecond, kKeptFeedback, {5, 6}).ok());
  ASSERT_TRUE(file_.add_made(kFirst, kKeptFeedback, {7, 8}).ok()) << "a round that is past";
  EXPECT_EQ(begins_with(), expected);
}

TEST_F(KeptFileTest, ADamagedOneBeginsAnew) {
  trains(kFirst, vectors(1));
  ASSERT_TRUE(file_.count(kFirst).ok());
  Bytes bytes = read_file(folder_ / "kept", 1 << 20).value();
  bytes[bytes.size() / 2] ^= 1U;
  ASSERT_TRUE(write_file_atomically(folder_ / "kept", bytes).ok());
  EXPECT_THAT(begins_with(), IsEmpty());
  trains(kSecond, vectors(2));
  ASSERT_TRUE(file_.count(kSecond).ok());
  EXPECT_EQ(begins_with(), vectors(2));
}

TEST(KeptState, ReadsBackAsItWasWrittenAndRefusesWhateverWasNot) {
  const KeptState state{.binding = kHere,
                        .began_from = {7},
                        .counted = vectors(1),
                        .plan = kFirst,
                        .made = vectors(2)};
  const Bytes bytes = state.encode();
  const KeptState back = KeptState::decode(bytes).value();
  EXPECT_EQ(back.binding, kHere);
  EXPECT_EQ(back.counted, vectors(1));
  EXPECT_EQ(back.plan, kFirst);
  EXPECT_EQ(back.began_from, AdapterVersion{7});
  EXPECT_EQ(back.made, vectors(2));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(KeptState::decode(ByteSpan(bytes).first(size)).ok()) << size;
  }
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes other = bytes;
    other[at] ^= 0x80U;
    EXPECT_FALSE(KeptState::decode(other).ok()) << at;
  }
  KeptState wrong = state;
  wrong.counted["own.b"][0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(KeptState::decode(wrong.encode()).error().code, ErrorCode::kCorrupt);
}

// Two targets: A (2, 3) and B (4, 2), then A (2, 4) and B (3, 2).
class KeptRulesTest : public ::testing::Test {
 protected:
  Adapter counting(float first) const {
    Adapter adapter(spec_);
    for (float& value : adapter.values()) value = first++;
    return adapter;
  }
  static KeptVectors after(const Recipe& recipe, const KeptVectors& kept, const Adapter& start,
                           const Adapter& trained) {
    return kept_after(recipe, kept, {.start = start, .trained = trained, .steps = 2});
  }
  std::shared_ptr<const AdapterSpec> spec_ = std::make_shared<const AdapterSpec>(
      AdapterSpec{.architecture = "test",
                  .targets = {{.tensor = "one", .in = 3, .out = 4, .rank = 2, .alpha = 2},
                              {.tensor = "two", .in = 4, .out = 3, .rank = 2, .alpha = 2}}});
};

TEST_F(KeptRulesTest, AFactorThatIsTrainedAndNotSharedStaysInItsPlaces) {
  RoundPlan plan;
  Recipe& recipe = plan.recipe;
  EXPECT_FALSE(keeps_between_rounds(plan));
  recipe.share_b = false;
  EXPECT_TRUE(keeps_between_rounds(plan));
  const auto release = std::make_shared<const Adapter>(counting(0));
  EXPECT_EQ(with_own_factors(release, {}), release);
  const KeptVectors kept = after(recipe, {}, *release, counting(100));
  const auto begins = with_own_factors(release, kept);
  for (std::size_t target = 0; target < 2; ++target) {
    EXPECT_TRUE(std::ranges::equal(begins->a(target), release->a(target)));
    EXPECT_TRUE(std::ranges::equal(begins->b(target), counting(100).b(target)));
  }
  recipe.train_b = false; // frozen as well: FFA's, and nothing is anybody's own
  EXPECT_FALSE(keeps_between_rounds(plan));
  EXPECT_THAT(after(recipe, kept, *release, counting(100)), IsEmpty());
}

// Factors that take turns: what was lost of the one waits while the other is sent.
TEST_F(KeptRulesTest, WhatWasLostOfAFactorWaitsForTheRoundThatSharesIt) {
  RoundPlan plan;
  plan.encoding.error_feedback = true;
  EXPECT_TRUE(keeps_between_rounds(plan));
  Recipe only_a, only_b;
  only_a.share_b = only_b.share_a = false;
  const std::vector<float> lost_of_a(14, 2.0F), lost_of_b(14, 3.0F);
  auto feedback = feedback_after(*spec_, only_a, {}, lost_of_a);
  std::vector<float> delta(14, 10.0F);
  add_feedback(*spec_, only_b, feedback, delta);
  EXPECT_THAT(delta, ::testing::Each(10.0F));
  feedback = feedback_after(*spec_, only_b, feedback, lost_of_b);
  add_feedback(*spec_, only_a, feedback, delta);
  EXPECT_THAT(delta, ::testing::Each(12.0F));
  EXPECT_EQ(feedback_of({{kKeptFeedback, feedback}}, 28), feedback);
  EXPECT_THAT(feedback_of({{kKeptFeedback, feedback}}, 27), IsEmpty()) << "of another adapter";
  EXPECT_THAT(after({}, {{kKeptFeedback, feedback}}, counting(0), counting(1)), IsEmpty());
}

TEST_F(KeptRulesTest, WhatIsOfAnotherLengthCountsAsNone) {
  const auto release = std::make_shared<const Adapter>(counting(0));
  EXPECT_EQ(with_own_factors(release, {{kKeptOwnA, {1, 2, 3}}}), release);
  Recipe recipe;
  recipe.correction = DriftCorrection::kDynamic;
  EXPECT_EQ(gradient_offset_of(recipe, {{kKeptCorrection, {1, 2}}}, {}, 28), nullptr);
}

// Acar et al. 2021, algorithm 1: h <- h - alpha (w - w_t), and -h is added to the gradient.
TEST_F(KeptRulesTest, ADynamicCorrectionFollowsWhatTrainingMoved) {
  Recipe recipe;
  recipe.correction = DriftCorrection::kDynamic;
  recipe.proximal_mu = 0.5F;
  KeptVectors kept;
  EXPECT_EQ(gradient_offset_of(recipe, kept, {}, spec_->parameters()), nullptr);
  kept = after(recipe, kept, counting(0), counting(2)); // each value by 2
  kept = after(recipe, kept, counting(5), counting(1)); // and by -4
  EXPECT_THAT(kept.at(kKeptCorrection), ::testing::Each(-0.5F * 2 + 0.5F * 4));
  EXPECT_THAT(*gradient_offset_of(recipe, kept, {}, spec_->parameters()), ::testing::Each(-1.0F));
  EXPECT_THAT(after({}, kept, counting(0), counting(1)), IsEmpty())
      << "a recipe without corrections ends them";
}

// Karimireddy et al. 2020, option II, by hand: rate 0.1, two planned steps.
//   c = 3, moved by -0.4 in 2 steps:  c_k = 0 - 3 + 0.4 / 0.2 = -1, and the offset is 3 - -1 = 4
//   again in 1 step:                  c_k = -1 - 3 + 0.4 / 0.1 = 0
TEST_F(KeptRulesTest, AControlVariateIsTheMeanGradientOfTheSteps) {
  Recipe recipe;
  recipe.correction = DriftCorrection::kControlVariate;
  recipe.optimizer = LocalOptimizer::kSgd;
  recipe.schedule = Schedule::kConstant;
  recipe.learning_rate = 0.1F;
  recipe.max_steps = 2;
  const std::size_t values = spec_->parameters();
  const std::vector<float> control(values, 3.0F);
  EXPECT_EQ(gradient_offset_of(recipe, {}, {}, values), nullptr);
  EXPECT_THAT(*gradient_offset_of(recipe, {}, control, values), ::testing::Each(3.0F));
  const Adapter start = counting(0), trained = counting(-0.4F);
  KeptTraining training{.start = start, .trained = trained, .steps = 2, .control = control};
  KeptVectors kept = kept_after(recipe, {}, training);
  EXPECT_THAT(kept.at(kKeptCorrection), ::testing::Each(::testing::FloatNear(-1, 1e-4F)));
  EXPECT_THAT(*gradient_offset_of(recipe, kept, control, values),
              ::testing::Each(::testing::FloatNear(4, 1e-4F)));
  training.steps = 1;
  kept = kept_after(recipe, kept, training);
  EXPECT_THAT(kept.at(kKeptCorrection), ::testing::Each(::testing::FloatNear(0, 1e-4F)));
}

} // namespace
} // namespace coppice
