// SPDX-License-Identifier: Apache-2.0
#include "client/round.h"

#include <gmock/gmock.h>

#include <array>

#include "crypto/hash.h"

namespace coppice {
namespace {

class DeviceRoundTest : public ::testing::Test {
 protected:
  static RoundPlan plan(std::uint64_t round) {
    RoundPlan made;
    made.round = RoundId{round};
    made.deadline = Millis{10'000};
    return made;
  }
  static PlanVerified verified(const RoundPlan& plan,
                               std::optional<std::string> decline = std::nullopt) {
    return {std::make_shared<const RoundPlan>(plan), plan.hash(), Millis{10'000},
            std::move(decline)};
  }
  std::string offered(std::uint64_t round, std::optional<std::string> decline = std::nullopt) {
    return then(verified(plan(round), std::move(decline)));
  }
  std::string then(DeviceEvent event) { return names(round_->handle(std::move(event), now_)); }
  std::string trained(std::uint64_t round) { return then(Trained{plan(round).hash()}); }
  std::string stored(std::uint64_t round, std::uint64_t size = 300'000) {
    return then(UploadStored{plan(round).hash(), kUpload, size});
  }
  std::string credit(std::uint32_t next, std::uint32_t chunks) {
    return then(CreditReceived{{kUpload, next, chunks}});
  }

  static std::string names(const std::vector<DeviceAction>& actions) {
    constexpr std::array<const char*, 13> kNames{
        "persist", "answer",         "train",  "stop", "forget training", "seal", "offer",
        "chunks",  "persist secagg", "secagg", "wipe", "forget",          "note"};
    std::string text;
    for (const DeviceAction& action : actions) {
      if (!text.empty()) text += ", ";
      text += kNames.at(action.index());
    }
    return text;
  }

  const Sha256 kUpload = sha256(as_bytes("upload"));
  void restart(bool upload_on_disk, ByteSpan secagg_state = {}) {
    const RoundMarks marks = round_->marks();
    round_.emplace(identity(), marks, upload_on_disk, secagg_state);
  }
  static SecAggIdentity identity() {
    static const SigningKey key = SigningKey::generate();
    return {.primitives = sodium_primitives(),
            .signing = key,
            .id = client_id_of(key.public_key()),
            .fleet_key = {},
            .owner = {},
            .min_survivors = 3};
  }

  std::optional<DeviceRound> round_{std::in_place, identity(), RoundMarks{}, false, ByteSpan{}};
  Millis now_{0};
};

TEST_F(DeviceRoundTest, ARoundFromPlanToRelease) {
  EXPECT_EQ(offered(1), "persist, answer, train");
  EXPECT_EQ(trained(1),
            "persist, forget training, seal"); // the used-once mark is on disk before the seal
  EXPECT_TRUE(round_->marks().seal_used);
  EXPECT_EQ(stored(1), "persist, offer"); // the name is on disk before anything leaves
  EXPECT_EQ(credit(0, 2), "chunks");
  EXPECT_EQ(then(AckReceived{{RoundId{1}, kUpload}}), "persist, forget");
  EXPECT_EQ(then(RoundOverReceived{{RoundId{1}, true, ""}}), "forget training, forget");
  EXPECT_FALSE(round_->busy());
}

TEST_F(DeviceRoundTest, NotNowIsAnAnswerAndLeavesNoMark) {
  EXPECT_EQ(offered(1, "battery"), "note, answer");
  EXPECT_EQ(round_->marks(), RoundMarks{});
  EXPECT_EQ(offered(1), "persist, answer, train"); // a little later it may
}

TEST_F(DeviceRoundTest, OlderRoundsAndOtherPlansOfAKnownRoundAreDeclined) {
  offered(5);
  EXPECT_EQ(offered(4), "note, answer");
  RoundPlan other = plan(5);
  other.clip_norm = 3;
  EXPECT_EQ(then(verified(other)), "note, answer");
}

TEST_F(DeviceRoundTest, AskedAgainWhileTrainingItAnswersAgainAndTrainsOnce) {
  offered(1);
  EXPECT_EQ(offered(1), "answer");
}

TEST_F(DeviceRoundTest, NothingIsSealedTwiceUnderOnePlan) {
  offered(1);
  trained(1);
  EXPECT_EQ(trained(1), "");
  stored(1);
  then(AckReceived{{RoundId{1}, kUpload}});
  then(RoundOverReceived{{RoundId{1}, true, ""}});
  EXPECT_EQ(offered(1), "note, answer"); // a replayed plan
}

TEST_F(DeviceRoundTest, KilledWhileTrainingItMayTrainAgain) {
  offered(1);
  restart(false);
  EXPECT_EQ(offered(1), "persist, answer, train");
}

TEST_F(DeviceRoundTest, KilledBetweenTheMarkAndTheBytesItSitsTheRoundOut) {
  offered(1);
  trained(1);
  restart(false);
  EXPECT_FALSE(round_->busy());
  EXPECT_EQ(offered(1), "note, answer");
  EXPECT_EQ(offered(2), "persist, answer, train");
}

TEST_F(DeviceRoundTest, KilledWhileUploadingItOffersTheSameBytes) {
  offered(1);
  trained(1);
  stored(1);
  credit(0, 1);
  restart(true);
  EXPECT_EQ(then(Reconnected{}), "offer");
  const auto actions = round_->handle(CreditReceived{{kUpload, 1, 8}}, now_);
  ASSERT_EQ(names(actions), "chunks"); // from where the aggregator says
  EXPECT_EQ(std::get<SendChunks>(actions[0]).first, 1U);
  EXPECT_EQ(std::get<SendChunks>(actions[0]).count, 1U);
}

TEST_F(DeviceRoundTest, IfTheBytesAreLostItSitsOut) {
  offered(1);
  trained(1);
  stored(1);
  restart(false);
  EXPECT_FALSE(round_->busy());
  EXPECT_EQ(then(Reconnected{}), "");
  EXPECT_EQ(offered(1), "note, answer");
}

TEST_F(DeviceRoundTest, CreditIsNeverExceeded) {
  offered(1);
  trained(1);
  stored(1, limits::kChunkBytes * 20); // 20 chunks
  EXPECT_EQ(std::get<SendChunks>(round_->handle(CreditReceived{{kUpload, 0, 8}}, now_).at(0)).count,
            8U);
  EXPECT_EQ(credit(4, 4), ""); // 8 are under way already
  EXPECT_EQ(std::get<SendChunks>(round_->handle(CreditReceived{{kUpload, 4, 8}}, now_).at(0)).first,
            8U);
  EXPECT_EQ(credit(21, 8), ""); // nonsense
}

TEST_F(DeviceRoundTest, ARefusalEndsTheUploadOfItsOwnPlanAlone) {
  offered(2);
  trained(2);
  stored(2);
  EXPECT_EQ(then(UploadRefused{plan(1).hash(), "that round is over"}), ""); // late
  EXPECT_EQ(then(UploadRefused{plan(2).hash(), "the seal doesn't open"}),
            "forget training, forget, note");
  EXPECT_FALSE(round_->busy());
}

TEST(RefusalTest, OnlyWhatTheNextOfferCanNotMendEndsAnUpload) {
  const auto ends = [](ErrorCode code) {
    return ends_upload({static_cast<std::uint32_t>(code), "", {0}});
  };
  EXPECT_TRUE(ends(ErrorCode::kFailedPrecondition));
  EXPECT_TRUE(ends(ErrorCode::kCorrupt));
  EXPECT_TRUE(ends(ErrorCode::kPermissionDenied));
  EXPECT_FALSE(ends(ErrorCode::kUnavailable));     // out of step after a reconnect
  EXPECT_FALSE(ends(ErrorCode::kUnauthenticated)); // a message that came twice
}

TEST_F(DeviceRoundTest, ANewerPlanEndsWhatIsUnderWay) {
  offered(1);
  EXPECT_EQ(offered(2), "stop, forget training, persist, answer, train");
  EXPECT_EQ(trained(1), ""); // the old training's end is of no interest
}

TEST_F(DeviceRoundTest, AnUnansweredOfferIsRepeated) {
  offered(1);
  trained(1);
  stored(1);
  now_ = Millis{4'999};
  EXPECT_EQ(then(DeviceTick{}), "");
  now_ = Millis{5'000};
  EXPECT_EQ(then(DeviceTick{}), "offer");
}

TEST_F(DeviceRoundTest, TheDeadlineEndsTraining) {
  offered(1);
  now_ = Millis{10'001};
  EXPECT_EQ(then(DeviceTick{}), "stop, forget training, note");
  EXPECT_FALSE(round_->busy());
}

TEST_F(DeviceRoundTest, TrainingPausesWithTheConditionsAndGoesOnInTheSameRound) {
  offered(1);
  EXPECT_EQ(then(Conditions{std::nullopt}), "");
  EXPECT_EQ(then(Conditions{"battery"}), "stop, note");
  EXPECT_EQ(then(Conditions{"battery"}), "");
  EXPECT_STREQ(round_->phase_name(), "training, paused");
  EXPECT_EQ(offered(1), "answer"); // it still takes part
  now_ = Millis{2'000};
  const auto actions = round_->handle(Conditions{std::nullopt}, now_);
  ASSERT_EQ(names(actions), "note, train");
  EXPECT_EQ(std::get<StartTraining>(actions[1]).plan_hash, plan(1).hash());
  // The deadline is that of the first start: a pause takes time from the training, not the round.
  EXPECT_LT(std::get<StartTraining>(actions[1]).deadline, Millis{10'000});
  EXPECT_EQ(trained(1), "persist, forget training, seal");
}

TEST_F(DeviceRoundTest, TheRoundsDeadlineEndsTrainingThatPauses) {
  offered(1);
  then(Conditions{"battery"});
  now_ = Millis{10'001};
  EXPECT_EQ(then(DeviceTick{}), "stop, forget training, note");
  EXPECT_EQ(then(Conditions{std::nullopt}), "");
}

TEST_F(DeviceRoundTest, KilledWhileItPausesItWaitsInItsRoundUntilItMay) {
  offered(1);
  then(Conditions{"battery"});
  restart(false);
  EXPECT_EQ(then(Conditions{"battery"}), "");
  EXPECT_EQ(offered(1), "persist, answer");
  EXPECT_EQ(then(Conditions{std::nullopt}), "note, train");
}

TEST_F(DeviceRoundTest, ATrainingThatEndsWhileItIsBeingPausedCounts) {
  offered(1);
  then(Conditions{"battery"});
  EXPECT_EQ(trained(1), "persist, forget training, seal");
  EXPECT_EQ(then(Conditions{std::nullopt}), "");
}

TEST_F(DeviceRoundTest, TheEndOfARoundInWhichItWasKilledForgetsItsTraining) {
  offered(1);
  restart(false);
  EXPECT_EQ(then(RoundOverReceived{{RoundId{1}, true, ""}}), "forget training");
}

// Under plans that take late uploads (SumTerms::max_staleness).
class LateDeviceRoundTest : public DeviceRoundTest {
 protected:
  static RoundPlan late_plan() {
    RoundPlan made = plan(1);
    made.sum.max_staleness = 3;
    return made;
  }
  void accept() { EXPECT_EQ(then(verified(late_plan())), "persist, answer, train"); }
  std::string released(std::uint64_t round) {
    return then(RoundOverReceived{{RoundId{round}, true, ""}});
  }
  void upload() {
    EXPECT_EQ(then(Trained{late_plan().hash()}), "persist, forget training, seal");
    EXPECT_EQ(then(UploadStored{late_plan().hash(), kUpload, 300'000}), "persist, offer");
  }
};

TEST_F(LateDeviceRoundTest, ADeviceThatStillTrainsWhenItsRoundIsReleasedGoesOnAndUploads) {
  accept();
  EXPECT_EQ(released(1), "");
  EXPECT_EQ(released(2), "");
  upload();
  EXPECT_EQ(released(3), "");
  EXPECT_EQ(credit(0, 2), "chunks");
  EXPECT_EQ(then(AckReceived{{RoundId{1}, kUpload}}), "persist, forget");
  EXPECT_EQ(released(4), "forget training, forget"); // which its upload counts in
  EXPECT_FALSE(round_->busy());
}

TEST_F(LateDeviceRoundTest, ItsPlansDeadlineEndsTrainingAndARefusalTheUpload) {
  accept();
  released(1);
  now_ = Millis{10'000};
  EXPECT_EQ(then(DeviceTick{}), "");
  now_ = Millis{10'001};
  EXPECT_EQ(then(DeviceTick{}), "stop, forget training, note");
  round_.emplace(identity(), RoundMarks{}, false, ByteSpan{});
  accept();
  upload();
  released(1);
  EXPECT_EQ(then(UploadRefused{late_plan().hash(), "that round is over"}),
            "forget training, forget, note");
  EXPECT_FALSE(round_->busy());
}

TEST_F(LateDeviceRoundTest, KilledWhileItUploadsItGoesOnThoughItsRoundIsOver) {
  accept();
  upload();
  EXPECT_TRUE(round_->marks().may_be_late);
  restart(true);
  EXPECT_EQ(released(1), "");
  EXPECT_EQ(then(Reconnected{}), "offer");
}

TEST_F(LateDeviceRoundTest, AnAbandonedRoundEndsWhatIsUnderWay) {
  accept();
  EXPECT_EQ(then(RoundOverReceived{{RoundId{1}, false, ""}}), "stop, forget training, note");
}

TEST_F(LateDeviceRoundTest, ANewerPlanEndsWhatIsUnderWayAsEver) {
  accept();
  released(1);
  EXPECT_EQ(offered(2), "stop, forget training, persist, answer, train");
  EXPECT_FALSE(round_->marks().may_be_late);
  EXPECT_EQ(released(2), "stop, forget training"); // of a plan that takes none
}

TEST_F(DeviceRoundTest, FailedTrainingWithdraws) {
  offered(1);
  EXPECT_EQ(then(TrainingFailed{plan(1).hash(), "loss is not finite"}),
            "note, answer, stop, forget training");
  EXPECT_FALSE(round_->busy());
}

} // namespace
} // namespace coppice
