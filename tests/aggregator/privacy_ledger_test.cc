// SPDX-License-Identifier: Apache-2.0
#include "aggregator/privacy_ledger.h"

#include <gmock/gmock.h>

#include "aggregator/state_store.h"
#include "privacy/gaussian_curve.h"
#include "tests/aggregator/temporary_folder.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

constexpr double kDelta = 1e-6;

// One vector of 1,000 integers with sensitivity 1,000, noise `multiplier` times that.
Mechanism central(double multiplier, double sampling_rate = 1) {
  Mechanism mechanism;
  mechanism.kind = MechanismKind::kDiscreteGaussian;
  mechanism.adversary = Adversary::kRelease;
  mechanism.sampling_rate = sampling_rate;
  mechanism.slots = {{.variance = multiplier * multiplier * 1e6,
                      .l2_sensitivity = 1000,
                      .l1_sensitivity = l1_sensitivity_bound(1000, 1000),
                      .dimension = 1000}};
  return mechanism;
}

SpendRecord spend(std::uint64_t round, const Mechanism& mechanism, std::uint64_t series = 0) {
  SpendRecord record;
  record.round = RoundId{round};
  record.mechanism = mechanism_text(mechanism);
  record.series = RoundId{series};
  return record;
}

TEST(PrivacyLedger, WhatIsWrittenDownIsReadBackToTheLastDigit) {
  const Mechanism mechanism = central(0.123456789012345, 1.0 / 3);
  const std::string text = mechanism_text(mechanism);
  EXPECT_EQ(mechanism_text(parse_mechanism(text).value()), text);
  EXPECT_EQ(parse_mechanism(text)->slots.at(0).variance, mechanism.slots.at(0).variance);
}

TEST(PrivacyLedger, NothingSpentIsNothing) {
  EXPECT_EQ(PrivacyLedger::of({})->epsilon(kDelta).value(), 0);
}

TEST(PrivacyLedger, EachRoundCostsMoreAndTheNextIsForetold) {
  const auto one = PrivacyLedger::of({spend(1, central(1))}).value();
  const auto two = PrivacyLedger::of({spend(1, central(1)), spend(2, central(1))}).value();
  EXPECT_GT(two.epsilon(kDelta).value(), one.epsilon(kDelta).value());
  EXPECT_EQ(one.epsilon_with(central(1), RoundId{0}, kDelta).value(), two.epsilon(kDelta).value());
}

TEST(PrivacyLedger, RowsThatCountForManyRoundsAreAsManyRows) {
  SpendRecord many = spend(9, central(2));
  many.times = 3;
  const auto together = PrivacyLedger::of({many}).value();
  const auto apart =
      PrivacyLedger::of({spend(1, central(2)), spend(2, central(2)), spend(3, central(2))}).value();
  EXPECT_EQ(together.epsilon(kDelta).value(), apart.epsilon(kDelta).value());
}

TEST(PrivacyLedger, ASeriesIsPaidOnce) {
  Mechanism banded = central(4);
  banded.kind = MechanismKind::kBanded;
  const auto one = PrivacyLedger::of({spend(1, banded, 1)}).value();
  const auto three =
      PrivacyLedger::of({spend(1, banded, 1), spend(2, banded, 1), spend(3, banded, 1)}).value();
  EXPECT_EQ(three.epsilon(kDelta).value(), one.epsilon(kDelta).value());
  EXPECT_GT(three.epsilon_with(banded, RoundId{4}, kDelta).value(), one.epsilon(kDelta).value());
}

TEST(PrivacyLedger, ARowThatCannotBeReadStopsEverything) {
  SpendRecord damaged = spend(5, central(1));
  damaged.mechanism = "{}";
  const auto refused = PrivacyLedger::of({damaged});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("round 5"));
}

TEST(SpendStore, ChargesAreKeptAndARoundIsChargedOnce) {
  const TemporaryFolder folder;
  {
    StateStore store = StateStore::open(folder.path()).value();
    ASSERT_TRUE(store.commit_charge(spend(1, central(1))).ok());
    SpendRecord again = spend(1, central(1));
    again.epsilon = 2.5;
    again.proven = false;
    ASSERT_TRUE(store.commit_charge(again).ok());
  }
  StateStore store = StateStore::open(folder.path()).value();
  const auto rows = store.spends().value();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].epsilon, 2.5);
  EXPECT_FALSE(rows[0].proven);
}

// As version 0.1 left it: without the tables of secure aggregation and privacy.
TEST(SpendStore, AStateOfSchemaOneIsCopiedAndMigrated) {
  const TemporaryFolder folder;
  {
    StateStore store = StateStore::open(folder.path()).value();
    ASSERT_TRUE(store.set("paused", "1").ok());
    ASSERT_TRUE(store.database()
                    .execute("DROP TABLE secagg; DROP TABLE spends; DROP TABLE noise; "
                             "DROP TABLE strategy; DROP TABLE sums; "
                             "CREATE TABLE sums (round INTEGER PRIMARY KEY REFERENCES rounds "
                             "ON DELETE CASCADE, sum BLOB NOT NULL, epoch INTEGER NOT NULL);"
                             "DROP TABLE late_sums; DROP INDEX late_uploads; "
                             "ALTER TABLE uploads DROP COLUMN counted_in; "
                             "PRAGMA user_version = 1")
                    .ok());
  }
  StateStore store = StateStore::open(folder.path()).value();
  EXPECT_EQ(store.get("paused").value(), "1");
  EXPECT_TRUE(store.commit_charge(spend(1, central(1))).ok());
  EXPECT_TRUE(fs::exists(folder.path() / "state.schema-1.sqlite"));
}

} // namespace
} // namespace coppice
