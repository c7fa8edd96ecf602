// SPDX-License-Identifier: Apache-2.0
#include "client/plan_check.h"

#include <gmock/gmock.h>

#include "adapters/adapter_file.h"
#include "crypto/hash.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

// A plan that the device follows; each test spoils one thing.
class PlanCheckTest : public ::testing::Test {
 protected:
  PlanCheckTest() {
    membership_.fleet = plan_.fleet;
    membership_.keys = samples::key_set();
    membership_.base_hash = plan_.base_hash;
    shared_.release.epoch = plan_.epoch;
    shared_.release.version = plan_.parent;
    shared_.release.adapter_hash = plan_.adapter_hash;
    plan_.test = false;
    plan_.required_features.clear();
  }
  std::string verdict() const {
    return plan_refusal(plan_, membership_, shared_, floors_, marks_).value_or("accepted");
  }
  RoundPlan plan_ = samples::plan();
  Membership membership_;
  SharedAdapter shared_{{}, {}, Adapter(std::make_shared<const AdapterSpec>(samples::spec()))};
  OwnerFloors floors_{.require_secure_aggregation = false, .min_survivors = 4};
  DeviceMarks marks_;
};

TEST_F(PlanCheckTest, AGoodPlanIsAccepted) { EXPECT_EQ(verdict(), "accepted"); }

TEST_F(PlanCheckTest, AnotherFleetsPlanIsRefused) {
  plan_.fleet = samples::hash(0x77);
  EXPECT_THAT(verdict(), HasSubstr("another fleet"));
}

TEST_F(PlanCheckTest, APlanOfALaterKeySetIsRefusedAndOneFromBeforeARotationIsNot) {
  plan_.key_set = plan_.key_set.next();
  EXPECT_THAT(verdict(), HasSubstr("later key set"));
  plan_.key_set = KeySetNumber{1};
  EXPECT_EQ(verdict(), "accepted");
}

TEST_F(PlanCheckTest, ATestPlanIsRefused) {
  plan_.test = true;
  EXPECT_THAT(verdict(), HasSubstr("marked test"));
}

TEST_F(PlanCheckTest, AnotherBaseIsRefused) {
  plan_.base_hash = samples::hash(0x77);
  EXPECT_THAT(verdict(), HasSubstr("another base"));
}

TEST_F(PlanCheckTest, APastEpochIsRefused) {
  plan_.epoch = Epoch{1};
  EXPECT_THAT(verdict(), HasSubstr("epoch"));
}

TEST_F(PlanCheckTest, AnotherStartIsRefusedEvenUnderTheSameNumber) {
  plan_.adapter_hash = samples::hash(0x77);
  EXPECT_THAT(verdict(), HasSubstr("starts from release 16, this device holds 16"));
}

TEST_F(PlanCheckTest, ATotalBelowWhatThisDeviceHasSeenIsRefused) {
  marks_.cumulative_epsilon = 1.25;
  EXPECT_THAT(verdict(), HasSubstr("this device has seen 1.25"));
  plan_.privacy.cumulative_epsilon = 1.25;
  EXPECT_EQ(verdict(), "accepted");
}

TEST_F(PlanCheckTest, AnUnknownFeatureIsRefusedByName) {
  plan_.required_features = {"telepathy"};
  EXPECT_THAT(verdict(), HasSubstr("'telepathy'"));
}

TEST_F(PlanCheckTest, APlanThatCouldWrapOrNamesOtherSlotsIsRefused) {
  plan_.slots[0].scale *= 2;
  EXPECT_NE(verdict(), "accepted");
  plan_ = samples::plan();
  plan_.test = false;
  plan_.required_features.clear();
  plan_.slots[0].name = "blk.7.attn_q.lora_a";
  EXPECT_THAT(verdict(), HasSubstr("another adapter"));
}

// The owner's floors, one downgrade at a time.
TEST_F(PlanCheckTest, WithoutSecureAggregationItIsRefusedWhereTheOwnerRequiresIt) {
  floors_.require_secure_aggregation = true;
  EXPECT_THAT(verdict(), HasSubstr("secure aggregation"));
}

TEST_F(PlanCheckTest, ASumOverTooFewIsRefused) {
  floors_.min_survivors = 5;
  EXPECT_THAT(verdict(), HasSubstr("a sum over 4 devices, the owner's floor is 5"));
}

TEST_F(PlanCheckTest, ATrainingLongerThanTheOwnersMinutesIsRefusedAndSoIsOneWithoutABound) {
  floors_.max_minutes = 1;
  EXPECT_EQ(verdict(), "accepted"); // 30 seconds
  plan_.recipe.max_seconds = 61;
  EXPECT_THAT(verdict(), HasSubstr("1 minutes"));
  plan_.recipe.max_seconds = 0;
  EXPECT_THAT(verdict(), HasSubstr("1 minutes"));
}

} // namespace
} // namespace coppice
