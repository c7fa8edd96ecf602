// SPDX-License-Identifier: Apache-2.0
// Uploads that come after their round is over: once, committed before they are acknowledged, and in
// one release, whatever rounds do meanwhile.
#include "aggregator/late_uploads.h"

#include "aggregator/state_store.h"
#include "tests/aggregator/round_fixture.h"
#include "tests/aggregator/temporary_folder.h"

namespace coppice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

RoundPlan late_plan(std::uint64_t round, std::uint64_t parent, std::uint32_t goal = 2) {
  RoundPlan plan = small_plan(goal, 1);
  plan.round = RoundId{round};
  plan.parent = AdapterVersion{parent};
  plan.sum.max_staleness = 2;
  plan.protocol_version = plan.needed_version();
  return plan;
}

std::vector<std::uint32_t> elements_of(std::uint8_t client) {
  return {std::uint32_t{10} * client, 0xffffU, 1};
}

class LateUploadsTest : public RoundTest {
 protected:
  void begin_late(std::uint64_t round, std::uint64_t parent, const std::vector<std::uint8_t>& who,
                  std::uint32_t goal = 2) {
    std::vector<ClientId> ids;
    for (const std::uint8_t i : who) ids.push_back(client_number(i));
    round_.emplace(late_plan(round, parent, goal), ids, now_ + Millis{1000});
    round_->start();
    handle(PlanCommitted{});
    handle(late_.counts());
    for (const std::uint8_t i : who) accept(i);
  }
  // With that release; who still trains goes on.
  void release(std::uint64_t version) {
    EXPECT_EQ(then(CloseCommitted{}), "release");
    handle(ReleaseCommitted{AdapterVersion{version}});
    late_.released();
    late_.add(*round_);
    late_.advance(AdapterVersion{version}, AdapterVersion{}, now_);
    round_.reset();
  }
  // Round 1 of devices 1, 2 and 3 from release 0, released as 1 with the uploads of 1 and 2.
  void leave_the_third() {
    begin_late(1, 0, {1, 2, 3});
    upload(1);
    upload(2);
    EXPECT_EQ(then(SumCommitted{}), "ack, ack, commit close");
    release(1);
  }
  Result<LateUploads::Arrived> late(std::uint64_t round, std::uint64_t parent, std::uint8_t client,
                                    std::uint32_t goal = 2) {
    return late_.arrived(late_plan(round, parent, goal).hash(), client_number(client),
                         upload_name(client), elements_of(client));
  }
  void commit(std::uint64_t round, std::uint64_t parent) {
    late_.committed(late_plan(round, parent).hash());
  }

  LateUploads late_;
};

TEST_F(LateUploadsTest, ADeviceThatStillTrainsIsUnderWayAndItsUploadFillsTheNextRoundsGoal) {
  leave_the_third();
  EXPECT_THAT(late_.under_way(), ElementsAre(client_number(3)));
  begin_late(2, 1, {1, 2});
  EXPECT_EQ(late(1, 0, 3).value(), LateUploads::Arrived::kAdded);
  EXPECT_EQ(late_.counts().counted, 0U); // not committed yet
  EXPECT_THAT(late_.uncommitted(), SizeIs(1));
  const auto acknowledged = late_.committed(late_plan(1, 0).hash());
  ASSERT_THAT(acknowledged, SizeIs(1));
  EXPECT_EQ(acknowledged[0].client, client_number(3));
  EXPECT_EQ(then(late_.counts()), "");
  upload(1);
  EXPECT_EQ(then(SumCommitted{}), "ack, commit close"); // one late, one of its own
  const auto sums = late_.sums();
  ASSERT_THAT(sums, SizeIs(1));
  EXPECT_EQ(*sums[0].plan, late_plan(1, 0));
  EXPECT_EQ(sums[0].participants, 1U);
  EXPECT_THAT(sums[0].elements, ElementsAre(30, 0xffffU, 1));
  release(2);
  EXPECT_THAT(late_.sums(), IsEmpty());
  EXPECT_THAT(late_.under_way(), ElementsAre(client_number(2)));
}

TEST_F(LateUploadsTest, OneAloneCanCloseTheRoundThatRuns) {
  leave_the_third();
  begin_late(2, 1, {1, 2}, 1);
  EXPECT_TRUE(late(1, 0, 3).ok());
  commit(1, 0);
  EXPECT_EQ(then(late_.counts()), "commit close");
  EXPECT_THAT(round_->sum()->elements, ElementsAre(0, 0, 0));
}

TEST_F(LateUploadsTest, ARepeatCountsOnceAndOtherBytesAreRefused) {
  leave_the_third();
  EXPECT_TRUE(late(1, 0, 3).ok());
  EXPECT_EQ(late(1, 0, 3).value(), LateUploads::Arrived::kPending);
  commit(1, 0);
  EXPECT_EQ(late(1, 0, 3).value(), LateUploads::Arrived::kCounted);
  const auto other =
      late_.arrived(late_plan(1, 0).hash(), client_number(3), upload_name(99), elements_of(3));
  EXPECT_EQ(other.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(late_.sums()[0].elements, ElementsAre(30, 0xffffU, 1));
}

TEST_F(LateUploadsTest, WhoCountedInItsOwnRoundCountsInNoOther) {
  leave_the_third();
  EXPECT_EQ(late(1, 0, 1).error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(late(1, 0, 4).error().code, ErrorCode::kFailedPrecondition); // a stranger
  EXPECT_THAT(late_.uncommitted(), IsEmpty());
}

TEST_F(LateUploadsTest, AnUploadOfAnotherShapeIsRefusedAndItsDeviceFree) {
  leave_the_third();
  const auto refused =
      late_.arrived(late_plan(1, 0).hash(), client_number(3), upload_name(3), {{1, 2}});
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(late_.under_way(), IsEmpty());
}

TEST_F(LateUploadsTest, BeyondItsStalenessOrDeadlineOrARevertItIsRefusedAndTheDeviceFree) {
  for (const char* end : {"staleness", "deadline", "revert"}) {
    SCOPED_TRACE(end);
    late_.clear();
    now_ = Millis{0};
    leave_the_third();
    late_.advance(AdapterVersion{2}, AdapterVersion{}, Millis{999}); // just in time
    EXPECT_THAT(late_.under_way(), SizeIs(1));
    const bool stale = std::string_view(end) == "staleness";
    const bool reverted = std::string_view(end) == "revert";
    late_.advance(AdapterVersion{stale ? 3U : 2U}, AdapterVersion{reverted ? 2U : 0U},
                  Millis{stale || reverted ? 999 : 1000});
    EXPECT_THAT(late_.under_way(), IsEmpty());
    EXPECT_EQ(late(1, 0, 3).error().code, ErrorCode::kFailedPrecondition);
  }
}

TEST_F(LateUploadsTest, WhatIsCommittedSurvivesItsDeadlineAndAnAbandonedRound) {
  leave_the_third();
  EXPECT_TRUE(late(1, 0, 3).ok());
  commit(1, 0);
  begin_late(2, 1, {1});
  EXPECT_EQ(then(AbortRequested{"by hand"}), "abandon");
  late_.add(*round_); // whose devices hear that it is lost
  EXPECT_EQ(late_.rounds().size(), 1U);
  late_.advance(AdapterVersion{1}, AdapterVersion{}, Millis{5000});
  EXPECT_EQ(late_.counts().counted, 1U);
  EXPECT_EQ(late_.counts().under_way, 0U);
  EXPECT_THAT(late_.sums(), SizeIs(1));
}

TEST_F(LateUploadsTest, ADeviceThatComesBackIsOfferedItsPlanAgainAndMayDecline) {
  leave_the_third();
  late_.lost(client_number(3));
  EXPECT_THAT(late_.under_way(), IsEmpty());
  ASSERT_NE(late_.connected(client_number(3)), nullptr);
  EXPECT_THAT(late_.under_way(), SizeIs(1));
  late_.answered(late_plan(1, 0).hash(), client_number(3), false);
  EXPECT_EQ(late_.connected(client_number(3)), nullptr);
  EXPECT_THAT(late_.under_way(), IsEmpty());
  EXPECT_EQ(late_.connected(client_number(1)), nullptr); // counted
}

TEST_F(LateUploadsTest, ARoundWaitsForLateUploadsAsForItsOwn) {
  leave_the_third();
  begin_late(2, 1, {1}, 3);
  upload(1);
  EXPECT_EQ(then(SumCommitted{}), "ack"); // device 3 may still fill it
  late_.lost(client_number(3));
  EXPECT_EQ(then(late_.counts()), "commit close");
}

TEST_F(LateUploadsTest, AnUploadThatCameWhileTheRoundClosesIsNotRefused) {
  begin_late(1, 0, {1, 2, 3});
  upload(1);
  upload(2);
  EXPECT_EQ(then(SumCommitted{}), "ack, ack, commit close");
  EXPECT_EQ(upload(3), ""); // it is offered again
  release(1);
  EXPECT_TRUE(late(1, 0, 3).ok());
}

TEST_F(LateUploadsTest, PlansWithoutLateUploadsLeaveNobody) {
  begin(3, 1, 1);
  upload(1);
  then(SumCommitted{});
  then(CloseCommitted{});
  late_.add(*round_);
  EXPECT_THAT(late_.rounds(), IsEmpty());
}

// ---- on disk ----

class LateStoreTest : public ::testing::Test {
 protected:
  StateStore open() { return StateStore::open(folder_.path()).value(); }
  static void play_round(StateStore& store, std::uint64_t round, std::uint64_t version) {
    const RoundPlan plan = late_plan(round, version - 1);
    ASSERT_TRUE(store
                    .commit_plan({plan.encode(), {}}, plan,
                                 {client_number(1), client_number(2), client_number(3)}, Millis{5})
                    .ok());
    RunningSum sum{{7, 8, 9}, {}, {{client_number(1), upload_name(1)}}, {0}};
    ASSERT_TRUE(store.commit_sum(RoundId{round}, sum).ok());
    ASSERT_TRUE(store.commit_release(release(version), {.round = {round}, .wall = {9}}).ok());
  }
  static ReleaseContent release(std::uint64_t version) {
    ReleaseContent content;
    content.release.version = AdapterVersion{version};
    content.adapter.assign(10, static_cast<std::uint8_t>(version));
    content.release.adapter_hash = sha256(content.adapter);
    return content;
  }
  static RunningSum late_sum() {
    return {{30, 0xffffU, 1}, {}, {{client_number(3), upload_name(3)}}, {0}};
  }
  TemporaryFolder folder_;
};

TEST_F(LateStoreTest, EarlierRoundsAndWhatWaitsComeBackAfterARestart) {
  {
    StateStore store = open();
    play_round(store, 1, 1);
    ASSERT_TRUE(store.commit_late(RoundId{1}, late_sum()).ok());
    EXPECT_EQ(store.rounds(1)->at(0).counted, 1U); // it is in no release yet
  }
  StateStore store = open();
  const auto rounds = store.earlier_rounds().value();
  ASSERT_EQ(rounds.size(), 1U);
  EXPECT_EQ(rounds[0].plan, late_plan(1, 0));
  EXPECT_EQ(rounds[0].plan_hash, late_plan(1, 0).hash());
  EXPECT_EQ(rounds[0].deadline, Millis{1005}); // on the wall
  EXPECT_EQ(rounds[0].members.at(client_number(1)), MemberState::kCounted);
  EXPECT_EQ(rounds[0].members.at(client_number(2)), MemberState::kOffered);
  EXPECT_EQ(rounds[0].members.at(client_number(3)), MemberState::kCounted);
  EXPECT_THAT(rounds[0].sum.elements, ElementsAre(30, 0xffffU, 1));
  EXPECT_EQ(rounds[0].sum.counted.size(), 1U);
  LateUploads late;
  late.add(rounds[0]);
  EXPECT_EQ(late.counts().counted, 1U);
  EXPECT_THAT(late.under_way(), ElementsAre(client_number(2)));
}

TEST_F(LateStoreTest, AReleaseTakesWhatWaitsInItsOwnTransactionAndOnce) {
  StateStore store = open();
  play_round(store, 1, 1);
  ASSERT_TRUE(store.commit_late(RoundId{1}, late_sum()).ok());
  EXPECT_FALSE(store.commit_late(RoundId{1}, late_sum()).ok()); // the same upload again
  play_round(store, 2, 2);
  const auto rounds = store.earlier_rounds().value();
  ASSERT_EQ(rounds.size(), 2U);
  EXPECT_THAT(rounds[0].sum.elements, IsEmpty());
  EXPECT_EQ(store.counted(RoundId{1})->count(client_number(3)), 1U); // acknowledged for ever
  EXPECT_EQ(store.rounds(2)->at(0).counted, 2U);                     // one late, one of its own
  EXPECT_EQ(store.rounds(2)->at(1).counted, 1U);
  EXPECT_THAT(store.taking_part(RoundId{1}).value(), ElementsAre(client_number(1)));
  EXPECT_THAT(store.taking_part(RoundId{2}).value(),
              ElementsAre(client_number(1), client_number(3)));
  EXPECT_FALSE(store.commit_late(RoundId{1}, late_sum()).ok());
}

TEST_F(LateStoreTest, AnAbandonedRoundLeavesWhatWaitsAndARevertDropsIt) {
  StateStore store = open();
  play_round(store, 1, 1);
  ASSERT_TRUE(store.commit_late(RoundId{1}, late_sum()).ok());
  const RoundPlan next = late_plan(2, 1);
  ASSERT_TRUE(store.commit_plan({next.encode(), {}}, next, {client_number(2)}, Millis{9}).ok());
  ASSERT_TRUE(store.commit_abandon(RoundId{2}, "by hand", Millis{10}).ok());
  EXPECT_THAT(store.earlier_rounds()->at(0).sum.elements, SizeIs(3));
  ASSERT_TRUE(store.commit_revert(release(2)).ok());
  EXPECT_THAT(store.earlier_rounds()->at(0).sum.elements, IsEmpty());
}

TEST_F(LateStoreTest, AnotherProcessFencesLateUploadsToo) {
  StateStore first = open();
  play_round(first, 1, 1);
  StateStore second = open();
  EXPECT_THAT(first.commit_late(RoundId{1}, late_sum()).error().message,
              HasSubstr("another coppice process"));
  EXPECT_TRUE(second.commit_late(RoundId{1}, late_sum()).ok());
}

// Rounds with whatever comes between their start and their release, in any order.
class LateHistories : public LateUploadsTest {
 protected:
  using Counts = std::map<std::pair<std::uint64_t, ClientId>, int>; // by round and device

  void begin_round(std::uint64_t number, std::uint64_t parent) {
    std::vector<std::uint8_t> asked;
    const auto busy = late_.under_way();
    for (std::uint8_t i = 1; i <= 5; ++i) {
      if (!std::ranges::binary_search(busy, client_number(i))) asked.push_back(i);
    }
    begin_late(number, parent, asked);
  }
  void commit_late() { // as the service does before a release, and at the end of a turn
    for (const EarlierRound* due : late_.uncommitted()) {
      for (const auto& done : late_.committed(due->plan_hash)) {
        acknowledged_[{due->plan.round.value, done.client}] += 1;
      }
    }
  }
  void anything() {
    const auto client = static_cast<std::uint8_t>(1 + random_.below(5));
    switch (random_.below(5)) {
      case 0: then(SumCommitted{}); break;
      case 1:
        late_.lost(client_number(client));
        then(MemberLost{client_number(client)});
        break;
      case 2:
        commit_late();
        then(late_.counts());
        break;
      case 3:
        if (late_.rounds().empty()) break;
        (void)late_.arrived(late_.rounds().front().plan_hash, client_number(client),
                            upload_name(client), elements_of(client));
        break;
      default: upload(client); break;
    }
  }
  bool closes() const { return std::holds_alternative<Closing>(round_->phase()); }
  void count_release(std::uint64_t number) {
    for (const auto& [client, upload] : round_->sum()->counted) released_[{number, client}] += 1;
    for (const EarlierRound& earlier : late_.rounds()) {
      std::vector<std::uint32_t> expected(earlier.sum.elements.empty() ? 0 : 3);
      for (const auto& [client, upload] : earlier.sum.counted) {
        released_[{earlier.plan.round.value, client}] += 1;
        add_upload(earlier.plan.slots, expected, elements_of(client.bytes[0]));
        late_ones_ += 1;
      }
      ASSERT_EQ(earlier.sum.elements, expected);
    }
  }

  KeyedRandom random_{{.experiment = 5}};
  Counts acknowledged_, released_;
  int late_ones_ = 0;
};

TEST_F(LateHistories, NoUploadIsAcknowledgedTwiceOrInTwoReleases) {
  for (int history = 0; history < 10'000; ++history) {
    late_.clear();
    acknowledged_.clear();
    released_.clear();
    now_ = Millis{0};
    std::uint64_t version = 0;
    for (std::uint64_t number = 1; number <= 4; ++number) {
      begin_round(number, version);
      for (int i = 0; i < 8 && round_->sum() != nullptr && !closes(); ++i) anything();
      if (round_->sum() == nullptr) continue; // abandoned
      then(SumCommitted{});
      if (round_->sum() != nullptr && !closes()) {
        now_ = round_->deadline();
        then(Tick{});
      }
      if (!closes()) continue;
      commit_late();
      count_release(number);
      release(++version);
    }
    for (const auto& [upload, times] : released_) ASSERT_EQ(times, 1);
    for (const auto& [upload, times] : acknowledged_) ASSERT_EQ(times, 1);
  }
  EXPECT_GT(late_ones_, 1'000); // it proves something
}

} // namespace
} // namespace coppice
