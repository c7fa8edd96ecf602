// SPDX-License-Identifier: Apache-2.0
// What `coppice bench mask` and `secagg` tell; how long things take is no test's affair.
#include "cli/exit_codes.h"
#include "tests/cli/run_coppice.h"

namespace coppice {
namespace {

TEST(BenchMask, TellsMaskKeystreamAndTheirRatioForBothRings) {
  const Json told =
      run_coppice({"bench", "mask", "--elements", "4096", "--tries", "3", "--format", "json"})
          .json();
  ASSERT_EQ(told["rings"].size(), 2U);
  for (const Json& ring : told["rings"]) {
    EXPECT_EQ(ring["bytes"], 4096 * (ring["bits"] == 16 ? 2 : 4));
    EXPECT_GT(ring["mask_ms"].get<double>(), 0.0);
    EXPECT_GT(ring["keystream_ms"].get<double>(), 0.0);
    EXPECT_GT(ring["ratio"].get<double>(), 0.0);
  }
  EXPECT_EQ(told["mask_ms"], told["rings"][0]["mask_ms"]); // of 32 bits
}

TEST(BenchSecagg, RunsWholeRoundsAndCountsTheirMasksAndBytes) {
  const Ran ran = run_coppice({"bench", "secagg", "--clients", "40", "--elements", "64", "--vector",
                               "4096", "--quick", "--format", "json"});
  ASSERT_EQ(ran.exit, 0) << ran.error;
  const Json told = ran.json();
  ASSERT_EQ(told["rounds"].size(), 3U);
  const Json& round = told["rounds"][2];
  EXPECT_EQ(round["clients"], 40);
  EXPECT_EQ(round["uploads"], 36); // a tenth leaves after it has shared
  const auto degree = round["degree"].get<std::uint64_t>();
  EXPECT_EQ(told["device"]["masks"], degree + 1);
  // Each survivor's own, and at most `degree` of each device that is gone.
  EXPECT_GT(told["unmask"]["masks"], 36);
  EXPECT_LE(told["unmask"]["masks"], 36 + 4 * degree);
  // docs/protocol.md: 419 + 145 k bytes in four messages of 217 bytes around each.
  EXPECT_EQ(told["bytes_up"], 419 + 145 * degree + 4 * 217);
  EXPECT_EQ(told["demo"]["bytes_up"], 419 + 145 * 7 + 4 * 217);
  EXPECT_LE(told["demo"]["expansion"].get<double>(), 0.05);
}

TEST(BenchRound, SecureAggregationOfTwoDevicesIsRefused) {
  const Ran ran = run_coppice({"bench", "round", "--clients", "2", "--secure-aggregation"});
  EXPECT_EQ(ran.exit, static_cast<int>(ExitCode::kUsage));
  EXPECT_NE(ran.error.find("three devices"), std::string::npos) << ran.error;
}

} // namespace
} // namespace coppice
