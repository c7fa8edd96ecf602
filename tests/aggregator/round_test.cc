// SPDX-License-Identifier: Apache-2.0
#include "aggregator/round.h"

#include "tests/aggregator/round_fixture.h"

namespace coppice {
namespace {

TEST_F(RoundTest, ThreeDevicesReportAndTheSumIsReleased) {
  begin(3, 3, 2);
  for (std::uint8_t i = 1; i <= 3; ++i) EXPECT_EQ(accept(i), "");
  EXPECT_EQ(upload(1), "commit sum");
  EXPECT_EQ(then(SumCommitted{}), "ack");
  EXPECT_EQ(upload(2), "commit sum");
  EXPECT_EQ(upload(3), "commit sum");
  EXPECT_EQ(then(SumCommitted{}), "ack, ack, commit close");
  EXPECT_EQ(then(CloseCommitted{}), "release");
  // 10 + 20 + 30, and three times -1 modulo 2^16, and the weights' sum.
  EXPECT_THAT(round_->sum()->elements, ::testing::ElementsAre(60, 0xfffdU, 3));
  EXPECT_EQ(then(ReleaseCommitted{AdapterVersion{4}}), "announce");
  EXPECT_TRUE(round_->over());
}

TEST_F(RoundTest, NothingIsOfferedBeforeThePlanIsCommitted) {
  round_.emplace(small_plan(1, 1), std::vector<ClientId>{client_number(1)}, Millis{1000});
  EXPECT_EQ(names(round_->start()), "commit plan");
  EXPECT_EQ(then(MemberConnected{client_number(1)}), "");
  EXPECT_EQ(upload(1), "refuse");
}

TEST_F(RoundTest, NothingIsAcknowledgedBeforeTheSumIsCommitted) {
  begin(2, 2, 1);
  EXPECT_EQ(upload(1), "commit sum");
  EXPECT_EQ(upload(1), ""); // repeated while the commit is under way
  EXPECT_EQ(then(SumCommitted{}), "ack");
}

TEST_F(RoundTest, ARepeatedUploadIsAcknowledgedAgainAndCountsOnce) {
  begin(2, 2, 1);
  upload(1);
  then(SumCommitted{});
  EXPECT_EQ(upload(1), "ack");
  EXPECT_EQ(upload_as(1, 99), "refuse"); // other bytes under the same plan
  EXPECT_THAT(round_->sum()->elements, ::testing::ElementsAre(10, 0xffffU, 1));
}

TEST_F(RoundTest, ABadUploadClosesThatDeviceOnly) {
  begin(2, 2, 1);
  EXPECT_EQ(then(UploadArrived{client_number(1), upload_name(1), {1, 2}}), "refuse");
  EXPECT_EQ(then(UploadRejected{client_number(1), "signature"}), "refuse");
  EXPECT_EQ(upload(2), "commit sum");
  EXPECT_EQ(then(SumCommitted{}), "ack, commit close"); // nobody is left to wait for
  EXPECT_THAT(round_->sum()->elements, ::testing::ElementsAre(20, 0xffffU, 1));
}

TEST_F(RoundTest, AStrangersUploadIsRefused) {
  begin(2, 2, 1);
  EXPECT_EQ(upload(9), "refuse");
}

TEST_F(RoundTest, TheDeadlineReleasesWhatEnoughDevicesSent) {
  begin(4, 4, 2);
  upload(1);
  upload(2);
  then(SumCommitted{});
  now_ = Millis{999};
  EXPECT_EQ(then(Tick{}), "");
  now_ = Millis{1000};
  EXPECT_EQ(then(Tick{}), "commit close");
  EXPECT_EQ(upload(3), "refuse"); // late
}

TEST_F(RoundTest, BelowTheThresholdTheRoundIsAbandonedWhole) {
  begin(4, 4, 3);
  upload(1);
  upload(2);
  then(SumCommitted{});
  now_ = Millis{1000};
  EXPECT_EQ(then(Tick{}), "abandon");
  EXPECT_EQ(round_->sum(), nullptr);
  EXPECT_EQ(upload(3), "refuse");
  EXPECT_EQ(then(Tick{}), "abandon"); // until that is committed, and the round is dropped
}

TEST_F(RoundTest, WhenAllDeclineItEndsBeforeTheDeadline) {
  begin(2, 2, 1);
  EXPECT_EQ(then(MemberAnswered{client_number(1), false}), "");
  EXPECT_EQ(then(MemberLost{client_number(2)}), "abandon");
}

TEST_F(RoundTest, ALostDeviceThatComesBackInTimeIsAskedAgain) {
  begin(3, 3, 1);
  accept(1);
  EXPECT_EQ(then(MemberLost{client_number(1)}), "");
  EXPECT_EQ(then(MemberConnected{client_number(1)}), "offer");
  EXPECT_EQ(accept(1), "");
  EXPECT_EQ(upload(1), "commit sum");
}

TEST_F(RoundTest, ACountedDeviceThatReconnectsHearsItsAcknowledgementAgain) {
  begin(2, 2, 1);
  upload(1);
  then(SumCommitted{});
  EXPECT_EQ(then(MemberLost{client_number(1)}), ""); // what is counted stays counted
  EXPECT_EQ(then(MemberConnected{client_number(1)}), "ack");
}

TEST_F(RoundTest, AFailedStrategyAbandonsTheRound) {
  begin(1, 1, 1);
  upload(1);
  EXPECT_EQ(then(SumCommitted{}), "ack, commit close");
  then(CloseCommitted{});
  EXPECT_EQ(then(FinalizeFailed{"weights sum to nothing"}), "abandon");
}

TEST_F(RoundTest, AfterARestartTheSameRoundGoesOn) {
  StoredRound stored;
  stored.plan = small_plan(2, 2);
  stored.members = {client_number(1), client_number(2), client_number(3)};
  stored.sum = {10, 0xffff, 1};
  stored.counted = {{client_number(1), upload_name(1)}};
  round_.emplace(AggregatorRound::resume(stored, Millis{1000}).value());
  EXPECT_EQ(then(Tick{}), "");
  EXPECT_EQ(then(MemberConnected{client_number(1)}), "ack");
  EXPECT_EQ(then(MemberConnected{client_number(2)}), "offer");
  EXPECT_EQ(upload(1), "ack"); // counted before the crash: not again
  EXPECT_EQ(upload(2), "commit sum");
  EXPECT_EQ(then(SumCommitted{}), "ack, commit close");
  EXPECT_THAT(round_->sum()->elements, ::testing::ElementsAre(30, 0xfffeU, 2));
}

TEST_F(RoundTest, AClosedRoundStaysClosedAfterARestart) {
  StoredRound stored;
  stored.plan = small_plan(1, 1);
  stored.members = {client_number(1), client_number(2)};
  stored.sum = {10, 0xffff, 1};
  stored.counted = {{client_number(1), upload_name(1)}};
  stored.closed = true;
  round_.emplace(AggregatorRound::resume(stored, Millis{1000}).value());
  EXPECT_EQ(upload(2), "refuse");
  EXPECT_EQ(then(Tick{}), "commit close"); // idempotent
  EXPECT_EQ(then(CloseCommitted{}), "release");
}

// Every order in which four uploads, two losses and repeats can come, ten thousand of them at
// random: the sum is always exactly that of the counted devices.
// A commit that failed on a full disk got no event.
TEST_F(RoundTest, WhatWasNotCommittedIsAskedForAgain) {
  begin(2, 2, 1);
  EXPECT_EQ(upload(1), "commit sum");
  EXPECT_EQ(then(Tick{}), ""); // the driver sees that it is uncommitted
  EXPECT_EQ(upload(2), "commit sum");
  EXPECT_EQ(then(SumCommitted{}), "ack, ack, commit close");
  EXPECT_EQ(then(Tick{}), "commit close");
  EXPECT_EQ(then(CloseCommitted{}), "release");
  EXPECT_EQ(then(Tick{}), "release");
  EXPECT_EQ(then(ReleaseCommitted{AdapterVersion{4}}), "announce");
  EXPECT_EQ(then(Tick{}), "");
}

TEST_F(RoundTest, TheSumIsThatOfTheCountedDevicesWhateverTheOrder) {
  KeyedRandom random({.experiment = 3});
  int abandoned = 0;
  for (int history = 0; history < 10'000; ++history) {
    round_.emplace(
        small_plan(4, 1),
        std::vector{client_number(1), client_number(2), client_number(3), client_number(4)},
        Millis{1000});
    now_ = Millis{0};
    round_->start();
    handle(PlanCommitted{});
    for (int i = 0; i < 12; ++i) {
      const auto client = static_cast<std::uint8_t>(1 + random.below(4));
      switch (random.below(4)) {
        case 0: then(MemberLost{client_number(client)}); break;
        case 1: then(SumCommitted{}); break;
        case 2: then(MemberConnected{client_number(client)}); break;
        default: upload(client); break;
      }
    }
    then(SumCommitted{});
    const RunningSum* const sum = round_->sum();
    if (sum == nullptr) { // every device was lost before any upload
      ASSERT_STREQ(round_->phase_name(), "abandoned");
      ++abandoned;
      continue;
    }
    std::vector<std::uint32_t> expected(3);
    for (const auto& [client, name] : sum->counted) {
      const std::vector<std::uint32_t> one{std::uint32_t{10} * client.bytes[0], 0xffffU, 1};
      add_upload(round_->plan().slots, expected, one);
    }
    ASSERT_EQ(sum->elements, expected);
  }
  EXPECT_LT(abandoned, 1'000); // the others prove something
}

} // namespace
} // namespace coppice
