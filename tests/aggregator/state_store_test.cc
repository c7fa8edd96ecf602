// SPDX-License-Identifier: Apache-2.0
#include "aggregator/state_store.h"

#include <sys/resource.h>

#include <csignal>

#include "tests/aggregator/round_fixture.h"
#include "tests/aggregator/temporary_folder.h"

namespace coppice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class StateStoreTest : public ::testing::Test {
 protected:
  StateStore open() { return StateStore::open(folder_.path()).value(); }
  static RoundPlan plan(std::uint64_t round) {
    RoundPlan made = small_plan(2, 1);
    made.round = RoundId{round};
    return made;
  }
  static Result<void> begin(StateStore& store, std::uint64_t round) {
    const RoundPlan made = plan(round);
    SignedPlan signed_plan{made.encode(), {}};
    signed_plan.signature.bytes.fill(7);
    return store.commit_plan(signed_plan, made, {client_number(1), client_number(2)}, Millis{5});
  }
  static RunningSum sum_of(std::vector<std::uint8_t> before, std::vector<std::uint8_t> fresh) {
    RunningSum sum{{1, 2, 0xffffffffU}, {}, {}, {0}};
    for (const std::uint8_t i : before) sum.counted.emplace(client_number(i), upload_name(i));
    for (const std::uint8_t i : fresh) sum.uncommitted.emplace(client_number(i), upload_name(i));
    return sum;
  }
  static ReleaseContent release(std::uint64_t version, std::size_t bytes = 100) {
    ReleaseContent content;
    content.release.version = AdapterVersion{version};
    content.adapter.assign(bytes, static_cast<std::uint8_t>(version));
    content.release.adapter_hash = sha256(content.adapter);
    if (version > 0) {
      content.step.assign(bytes / 2, static_cast<std::uint8_t>(version));
      content.release.step_hash = sha256(content.step);
    }
    content.signed_release.bytes = {static_cast<std::uint8_t>(version)};
    return content;
  }

  static StateStore::RoundEnd end_of(std::uint64_t round, const char* metrics) {
    return {.round = RoundId{round}, .metrics = metrics, .wall = Millis{11}};
  }

  TemporaryFolder folder_;
};

TEST_F(StateStoreTest, ARoundThatWasRunningComesBackWhole) {
  {
    StateStore store = open();
    ASSERT_TRUE(begin(store, 1).ok());
    ASSERT_TRUE(store.commit_sum(RoundId{1}, sum_of({}, {2})).ok());
  }
  StateStore store = open();
  StoredPlan signed_plan;
  const auto stored = store.running_round(&signed_plan).value();
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->plan, plan(1));
  EXPECT_EQ(signed_plan.plan.signature.bytes[0], 7);
  EXPECT_EQ(signed_plan.started_wall, Millis{5});
  EXPECT_THAT(stored->members, ElementsAre(client_number(1), client_number(2)));
  EXPECT_THAT(stored->sum, ElementsAre(1, 2, 0xffffffffU));
  EXPECT_THAT(stored->counted, ElementsAre(Pair(client_number(2), upload_name(2))));
  EXPECT_FALSE(stored->closed);
}

TEST_F(StateStoreTest, ACloseIsRememberedAndMayBeCommittedTwice) {
  {
    StateStore store = open();
    ASSERT_TRUE(begin(store, 1).ok());
    ASSERT_TRUE(store.commit_sum(RoundId{1}, sum_of({}, {1})).ok());
    ASSERT_TRUE(store.commit_close(RoundId{1}, sum_of({1}, {})).ok());
  }
  StateStore store = open();
  StoredPlan ignored;
  EXPECT_TRUE(store.running_round(&ignored).value()->closed);
  EXPECT_TRUE(store.commit_close(RoundId{1}, sum_of({1}, {})).ok());
}

TEST_F(StateStoreTest, ASumForEachGroupComesBackAndGroupsWithoutOneAreZero) {
  const auto begin_in_groups = [](StateStore& store) {
    RoundPlan made = plan(1);
    made.sum.groups = 3;
    made.protocol_version = made.needed_version();
    return store.commit_plan({made.encode(), {}}, made, {client_number(1)}, Millis{5});
  };
  {
    StateStore store = open();
    ASSERT_TRUE(begin_in_groups(store).ok());
    RunningSum sum{{0, 0, 1, 2, 3, 4}, {}, {{client_number(1), upload_name(1)}}, {2}, 3};
    ASSERT_TRUE(store.commit_sum(RoundId{1}, sum).ok());
    sum.elements = {7, 7, 1, 2, 3, 4}; // group 0 isn't touched: nothing of it is written
    sum.uncommitted = {{client_number(2), upload_name(2)}};
    sum.touched = {1};
    ASSERT_TRUE(store.commit_sum(RoundId{1}, sum).ok());
  }
  StateStore store = open();
  StoredPlan ignored;
  EXPECT_THAT(store.running_round(&ignored).value()->sum, ElementsAre(0, 0, 1, 2, 3, 4));
}

TEST_F(StateStoreTest, AnUploadIsCountedOnceOrTheWholeCommitFails) {
  StateStore store = open();
  ASSERT_TRUE(begin(store, 1).ok());
  ASSERT_TRUE(store.commit_sum(RoundId{1}, sum_of({}, {1})).ok());
  RunningSum again = sum_of({}, {1, 2});
  again.elements = {9, 9, 9};
  EXPECT_FALSE(store.commit_sum(RoundId{1}, again).ok());
  StoredPlan ignored;
  const auto stored = store.running_round(&ignored).value();
  EXPECT_THAT(stored->sum, ElementsAre(1, 2, 0xffffffffU)); // nothing of it was written
  EXPECT_EQ(stored->counted.size(), 1U);
}

TEST_F(StateStoreTest, EndedRoundsDoNotRunAgain) {
  StateStore store = open();
  ASSERT_TRUE(begin(store, 1).ok());
  ASSERT_TRUE(store.commit_abandon(RoundId{1}, "too few", Millis{9}).ok());
  ASSERT_TRUE(begin(store, 2).ok());
  ASSERT_TRUE(store.commit_sum(RoundId{2}, sum_of({}, {1})).ok());
  ASSERT_TRUE(store.commit_release(release(1), end_of(2, "{}")).ok());
  StoredPlan ignored;
  EXPECT_FALSE(store.running_round(&ignored).value());
  const auto rounds = store.rounds(10).value();
  ASSERT_EQ(rounds.size(), 2U);
  EXPECT_EQ(rounds[0].status, RoundStatus::kReleased);
  EXPECT_EQ(rounds[0].version, AdapterVersion{1});
  EXPECT_EQ(rounds[0].members, 2U);
  EXPECT_EQ(rounds[0].counted, 1U);
  EXPECT_EQ(rounds[1].status, RoundStatus::kAbandoned);
  EXPECT_EQ(rounds[1].reason, "too few");
}

TEST_F(StateStoreTest, ASecondOpenerFencesTheFirst) {
  StateStore first = open();
  ASSERT_TRUE(begin(first, 1).ok());
  StateStore second = open();
  EXPECT_EQ(second.epoch(), first.epoch().next());
  for (const auto& refused :
       {first.commit_sum(RoundId{1}, sum_of({}, {1})),
        first.commit_close(RoundId{1}, sum_of({}, {})), first.commit_abandon(RoundId{1}, "", {}),
        first.commit_release(release(1), end_of(1, "")), first.commit_initial(release(1)),
        begin(first, 2)}) {
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_THAT(refused.error().message, HasSubstr("another coppice process"));
  }
  EXPECT_TRUE(second.commit_sum(RoundId{1}, sum_of({}, {1})).ok());
  EXPECT_EQ(second.counted(RoundId{1})->size(), 1U);
}

TEST_F(StateStoreTest, AnObserverTakesNoEpochAndNeedsAState) {
  EXPECT_EQ(StateStore::observe(folder_.path()).error().code, ErrorCode::kNotFound);
  StateStore store = open();
  const auto observer = StateStore::observe(folder_.path());
  ASSERT_TRUE(observer.ok());
  EXPECT_EQ(observer->epoch(), store.epoch());
  EXPECT_TRUE(begin(store, 1).ok());
}

TEST_F(StateStoreTest, RestoredFromABackupNumbersGoOnlyUp) {
  StateStore store = open();
  ASSERT_TRUE(begin(store, 1).ok());
  EXPECT_EQ(store.next_round().value(), RoundId{2});
  ASSERT_TRUE(store.set("highest_round", "40").ok());
  EXPECT_EQ(store.next_round().value(), RoundId{41});
  ASSERT_TRUE(store.raise_epoch(Epoch{9}).ok());
  EXPECT_EQ(store.epoch(), Epoch{10});
  ASSERT_TRUE(store.raise_epoch(Epoch{3}).ok()); // what devices know is no more than this
  EXPECT_EQ(store.epoch(), Epoch{10});
  EXPECT_EQ(open().epoch(), Epoch{11});
}

TEST_F(StateStoreTest, ANewerSchemaIsRefusedAndLeftAlone) {
  { ASSERT_TRUE(open().database().execute("PRAGMA user_version = 99").ok()); }
  const auto refused = StateStore::open(folder_.path());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("update coppice"));
}

TEST_F(StateStoreTest, ADamagedFileIsCalledDamaged) {
  ASSERT_TRUE(write_file_atomically(folder_ / "state.sqlite", Bytes(4096, 0x5a)).ok());
  EXPECT_EQ(StateStore::open(folder_.path()).error().code, ErrorCode::kCorrupt);
}

// PRAGMA max_page_count gives the same SQLITE_FULL as a full disk.
TEST_F(StateStoreTest, AFullDiskLeavesTheStateAsItWas) {
  StateStore store = open();
  ASSERT_TRUE(begin(store, 1).ok());
  ASSERT_TRUE(store.commit_sum(RoundId{1}, sum_of({}, {1})).ok());
  ASSERT_TRUE(store.database().execute("PRAGMA max_page_count = 1").ok()); // no growth at all
  const auto full = store.commit_release(release(1, 200'000), end_of(1, "{}"));
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(full.error().message, HasSubstr("free some space"));
  ASSERT_TRUE(store.database().execute("PRAGMA max_page_count = 1073741823").ok());
  StoredPlan ignored;
  EXPECT_EQ(store.running_round(&ignored).value()->counted.size(), 1U);
  EXPECT_TRUE(store.commit_release(release(1, 200'000), end_of(1, "{}")).ok());
}

// Beyond this limit the kernel refuses a write, as a quota does.
TEST_F(StateStoreTest, ALimitOnTheSizeOfFilesIsAFullDisk) {
  StateStore store = open();
  ASSERT_TRUE(begin(store, 1).ok());
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN); // else it ends the process
  const rlimit nothing{0, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &nothing), 0);
  const auto full = store.commit_sum(RoundId{1}, sum_of({}, {1}));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(full.ok());
  EXPECT_EQ(full.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(store.counted(RoundId{1})->empty());
  EXPECT_TRUE(store.commit_sum(RoundId{1}, sum_of({}, {1})).ok());
  EXPECT_EQ(store.counted(RoundId{1})->size(), 1U);
}

TEST_F(StateStoreTest, PruningKeepsVersionZeroTheNewestAndARunningRound) {
  StateStore store = open();
  ASSERT_TRUE(store.commit_initial(release(0)).ok());
  for (std::uint64_t i = 1; i <= 6; ++i) {
    ASSERT_TRUE(begin(store, i).ok());
    if (i == 6) break; // still runs
    ASSERT_TRUE(store.commit_release(release(i), end_of(i, "{}")).ok());
  }
  ASSERT_TRUE(store.prune(2, 1).ok());
  EXPECT_TRUE(store.release(AdapterVersion{0}).ok());
  EXPECT_FALSE(store.release(AdapterVersion{3}).ok());
  EXPECT_TRUE(store.release(AdapterVersion{4}).ok());
  EXPECT_TRUE(store.release(AdapterVersion{5}).ok());
  EXPECT_FALSE(store.content(release(3).release.step_hash).ok());
  EXPECT_TRUE(store.content(release(5).release.step_hash).ok());
  EXPECT_EQ(store.releases(100)->size(), 6U); // their signed facts stay
  StoredPlan ignored;
  EXPECT_TRUE(store.running_round(&ignored).value());
  EXPECT_EQ(store.rounds(100)->size(), 1U);
}

TEST_F(StateStoreTest, PruningGivesTheDiskBack) {
  StateStore store = open();
  ASSERT_TRUE(store.commit_initial(release(0)).ok());
  std::int64_t highest = 0;
  const auto pages = [&] {
    auto read = store.database().prepare("PRAGMA page_count").value();
    EXPECT_TRUE(read.step().value());
    return read.integer(0);
  };
  for (std::uint64_t i = 1; i <= 40; ++i) {
    ASSERT_TRUE(begin(store, i).ok());
    ASSERT_TRUE(store.commit_release(release(i, 100'000), end_of(i, "{}")).ok());
    if (i == 20) highest = pages();
  }
  ASSERT_TRUE(store.prune(2, 2).ok());
  EXPECT_LT(pages(), highest / 2);
}

TEST_F(StateStoreTest, ABackupIsAWholeStateOfItsOwn) {
  StateStore store = open();
  ASSERT_TRUE(begin(store, 1).ok());
  const TemporaryFolder other;
  ASSERT_TRUE(store.database().backup_to(other / "state.sqlite").ok());
  StateStore copy = StateStore::open(other.path()).value();
  StoredPlan ignored;
  EXPECT_TRUE(copy.running_round(&ignored).value());
}

} // namespace
} // namespace coppice
