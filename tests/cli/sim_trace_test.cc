// SPDX-License-Identifier: Apache-2.0
// `coppice sim trace`, as a user runs it.
#include "sim/availability.h"
#include "tests/cli/run_coppice.h"

namespace coppice {
namespace {

TEST(SimTrace, WritesTheTracesOfItsSeedAndShowsTheirShares) {
  const TestFolder folder;
  const std::string file = (folder / "phones.trace").string();
  const Ran ran = run_coppice(
      {"sim", "trace", "--out", file, "--devices", "300", "--seed", "9", "--format", "json"});
  ASSERT_EQ(ran.exit, 0) << ran.error;
  const Json said = ran.json();
  EXPECT_EQ(said["schema"], "coppice.sim_trace.v1");
  const Availability made = Availability::by_hours(9, 300);
  EXPECT_EQ(Availability::read(file)->text(), made.text());

  double sum = 0;
  for (std::uint32_t trace = 0; trace < made.traces(); ++trace) sum += made.share(trace);
  EXPECT_NEAR(said["share"].get<double>(), sum / 300, 1e-9);
  ASSERT_EQ(said["weekday_shares"].size(), 24U);
  double week = 0;
  for (std::size_t hour = 0; hour < 24; ++hour) {
    week += 5 * said["weekday_shares"][hour].get<double>() +
            2 * said["weekend_shares"][hour].get<double>();
  }
  EXPECT_NEAR(week / 168, sum / 300, 1e-9);
}

TEST(SimTrace, SaysWhatItTakes) {
  EXPECT_NE(run_coppice({"sim", "trace"}).exit, 0);
  EXPECT_NE(run_coppice({"sim", "trace", "--out", "x", "--devices", "0"}).exit, 0);
  EXPECT_NE(run_coppice({"sim", "trace", "--out", "x", "--kind", "moon"}).exit, 0);
}

} // namespace
} // namespace coppice
