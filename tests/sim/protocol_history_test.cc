// SPDX-License-Identifier: Apache-2.0
#include "sim/protocol_history.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "protocol/limits.h"

namespace coppice {
namespace {

template <typename SettingsOf>
HistoryCounts all_hold(std::uint64_t first_seed, std::uint64_t histories, SettingsOf settings_of) {
  HistoryCounts seen;
  for (std::uint64_t seed = first_seed; seed < first_seed + histories; ++seed) {
    const HistoryOutcome outcome = run_history(seed, settings_of(seed));
    seen += outcome.counts;
    if (outcome.broken) {
      ADD_FAILURE() << "seed " << seed << ": " << *outcome.broken;
      break;
    }
  }
  return seen;
}

HistoryCounts all_hold(std::uint64_t first_seed, std::uint64_t histories,
                       const HistorySettings& settings) {
  return all_hold(first_seed, histories, [&](std::uint64_t) { return settings; });
}

TEST(FleetHistories, UnderLossRepeatsDelayAndCrashesEveryPromiseHolds) {
  const HistoryCounts seen = all_hold(1, 20'000, HistorySettings{});
  // Each kind of fault happened, and most rounds were made all the same.
  EXPECT_GT(seen.aggregator_crashes, 10'000U);
  EXPECT_GT(seen.device_crashes, 10'000U);
  EXPECT_GT(seen.sat_out, 100U);
  EXPECT_GT(seen.acknowledged, 60'000U);
  EXPECT_GT(seen.released, 30'000U);
  EXPECT_GT(seen.abandoned, 100U);
}

TEST(FleetHistories, UploadsOfSeveralChunksHoldTheSamePromises) {
  const HistorySettings settings{.devices = 3,
                                 .rounds = 1,
                                 .upload_bytes = 2 * limits::kChunkBytes + 100,
                                 .drop_per_mille = 250};
  const HistoryCounts seen = all_hold(1'000'000, 100, settings);
  EXPECT_GT(seen.acknowledged, 150U);
}

TEST(FleetHistories, AFullDiskDelaysRoundsAndLosesNothing) {
  const HistoryCounts seen = all_hold(3'000'000, 5'000, HistorySettings{.full_per_mille = 400});
  EXPECT_GT(seen.full_disks, 10'000U);
  EXPECT_GT(seen.released, 7'500U);
  // Alone it costs no round and no upload: as many are made as without.
  const HistorySettings full{
      .drop_per_mille = 0, .repeat_per_mille = 0, .crash_per_mille = 0, .full_per_mille = 500};
  const HistoryCounts delayed = all_hold(4'000'000, 500, full);
  EXPECT_GT(delayed.full_disks, 1'000U);
  EXPECT_GT(delayed.released, 950U);
}

TEST(FleetHistories, TrainingThatPausesGoesOnAndCostsNoRound) {
  const HistoryCounts seen = all_hold(5'000'000, 5'000, HistorySettings{.pause_per_mille = 200});
  EXPECT_GT(seen.pauses, 1'000U);
  EXPECT_GT(seen.released, 7'500U);
  const HistorySettings paused{
      .drop_per_mille = 0, .repeat_per_mille = 0, .crash_per_mille = 0, .pause_per_mille = 500};
  const HistoryCounts calm = all_hold(6'000'000, 500, paused);
  EXPECT_GT(calm.pauses, 200U);
  EXPECT_GT(calm.released, 950U);
}

TEST(FleetHistories, WithoutFaultsEveryDeviceThatAcceptsCounts) {
  const HistorySettings settings{.drop_per_mille = 0, .repeat_per_mille = 0, .crash_per_mille = 0};
  const HistoryCounts seen = all_hold(2'000'000, 500, settings);
  EXPECT_EQ(seen.aggregator_crashes + seen.device_crashes, 0U);
  EXPECT_GT(seen.released, 950U); // the rest: two of three devices happened to decline
}

// In parts, so that they can run side by side.
class SecureHistories : public testing::TestWithParam<std::uint64_t> {};

TEST_P(SecureHistories, UnderFaultsAndLiarsHoldEveryPromise) {
  const HistoryCounts seen = all_hold(1 + 20'000 * GetParam(), 20'000, [](std::uint64_t seed) {
    HistorySettings settings = random_history(seed);
    settings.secure_aggregation = true;
    settings.real_primitives = false;
    return settings;
  });
  EXPECT_GT(seen.released, 8'000U);
  EXPECT_GT(seen.abandoned, 5'000U);
  EXPECT_GT(seen.device_crashes, 10'000U);
  EXPECT_GT(seen.aggregator_crashes, 5'000U);
  EXPECT_GT(seen.acknowledged, 30'000U);
  EXPECT_GT(seen.sat_out, 1'000U);
  EXPECT_GT(seen.left, 1'000U);
  EXPECT_GT(seen.recovered, 500U);
  EXPECT_GT(seen.lies, 5'000U);
  EXPECT_GT(seen.refusals, 10'000U);
}

INSTANTIATE_TEST_SUITE_P(OfOneHundredThousand, SecureHistories,
                         testing::Range<std::uint64_t>(0, 5));

class RealHistories : public testing::TestWithParam<std::uint64_t> {};

TEST_P(RealHistories, WithTheProgramsOwnCryptographyHoldEveryPromise) {
  const HistoryCounts seen =
      all_hold(4'000'000 + 2'500 * GetParam(), 2'500, [](std::uint64_t seed) {
        HistorySettings settings = random_history(seed);
        settings.devices = std::min(settings.devices, 4U); // agreeing on keys takes their square
        settings.min_survivors = std::min(settings.min_survivors, settings.devices);
        settings.plan = settings.owner = {};
        settings.secure_aggregation = settings.real_primitives = true;
        return settings;
      });
  EXPECT_GT(seen.released, 1'000U);
  EXPECT_GT(seen.recovered, 50U);
  EXPECT_GT(seen.refusals, 1'000U);
}

INSTANTIATE_TEST_SUITE_P(OfFiveThousand, RealHistories, testing::Range<std::uint64_t>(0, 2));

// Whoever leaves, and whenever: as many as the threshold allows.
TEST(CalmHistories, CompleteAsLongAsFewEnoughLeave) {
  const HistoryCounts seen = all_hold(5'000'000, 6'000, [](std::uint64_t seed) {
    HistorySettings settings = random_history(seed);
    settings.devices = 4 + static_cast<std::uint32_t>(seed % 3);
    const bool two = settings.devices == 6 && seed % 2 == 0;
    settings.leaving = two ? 2 : 1;
    settings.rounds = 1;
    settings.min_survivors = settings.owner_floor = settings.devices - settings.leaving;
    settings.plan.dropout = settings.owner.dropout = two ? 0.34 : 0.1;
    settings.storm_percent = 0;
    settings.decline_per_mille = 0;
    settings.secure_aggregation = true;
    settings.real_primitives = settings.lying_aggregator = false;
    settings.lying_devices = 0;
    settings.must_release = true;
    return settings;
  });
  EXPECT_EQ(seen.released, 6'000U);
  EXPECT_GT(seen.left, 3'000U);
  EXPECT_GT(seen.recovered, 500U);
}

TEST(Histories, FollowFromTheirSeeds) {
  for (std::uint64_t seed = 6'000'000; seed < 6'000'100; ++seed) {
    HistorySettings settings = random_history(seed);
    settings.real_primitives = false;
    settings.bug = PlantedBug::kAggregatorUnmasksOlderSum;
    const HistoryOutcome first = run_history(seed, settings);
    const HistoryOutcome second = run_history(seed, settings);
    EXPECT_EQ(first.broken, second.broken);
    EXPECT_EQ(first.counts.device_crashes, second.counts.device_crashes);
    EXPECT_EQ(first.counts.refusals, second.counts.refusals);
  }
}

} // namespace
} // namespace coppice
