// SPDX-License-Identifier: Apache-2.0
#include "tests/system/history.h"

#include <gtest/gtest.h>

namespace coppice {
namespace {

HistoryCounts operator+(const HistoryCounts& a, const HistoryCounts& b) {
  return {a.released + b.released,
          a.abandoned + b.abandoned,
          a.device_crashes + b.device_crashes,
          a.aggregator_crashes + b.aggregator_crashes,
          a.acknowledged + b.acknowledged,
          a.sat_out + b.sat_out};
}

HistoryCounts all_hold(std::uint64_t first_seed, std::uint64_t histories,
                       const HistorySettings& settings) {
  HistoryCounts seen;
  for (std::uint64_t seed = first_seed; seed < first_seed + histories; ++seed) {
    History history(seed, settings);
    const auto broken = history.run();
    seen = seen + history.counts();
    if (broken) {
      ADD_FAILURE() << "seed " << seed << ": " << *broken;
      break;
    }
  }
  return seen;
}

TEST(FleetHistories, UnderLossRepeatsDelayAndCrashesEveryPromiseHolds) {
  const HistoryCounts seen = all_hold(1, 20'000, {});
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

TEST(FleetHistories, WithoutFaultsEveryDeviceThatAcceptsCounts) {
  const HistorySettings settings{.drop_per_mille = 0, .repeat_per_mille = 0, .crash_per_mille = 0};
  const HistoryCounts seen = all_hold(2'000'000, 500, settings);
  EXPECT_EQ(seen.aggregator_crashes + seen.device_crashes, 0U);
  EXPECT_GT(seen.released, 950U); // the rest: two of three devices happened to decline
}

} // namespace
} // namespace coppice
