// SPDX-License-Identifier: Apache-2.0
#include "sim/report_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/report_parts.h"
#include "tests/sim/recorded_run.h"
#include "tests/sim/well_formed.h"

namespace coppice {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

std::string page_of(const std::vector<RunRecord>& runs) { return report_page(runs); }

// Nothing that a browser would fetch, follow or run; the policy's own name is no address.
void expect_self_contained(std::string page) {
  const std::string policy = "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'";
  const std::size_t at = page.find(policy);
  ASSERT_NE(at, std::string::npos);
  page.erase(at, policy.size());
  for (const char* reach : {"http", "//", "href", "src=", "url(", "@import", "<script", "<link",
                            "<iframe", "<object", "<base"}) {
    EXPECT_THAT(page, Not(HasSubstr(reach)));
  }
}

TEST(ReportPage, IsOneWellFormedFileThatReachesForNothing) {
  const std::string page = page_of({read_recorded({})});
  EXPECT_TRUE(is_well_formed(page));
  expect_self_contained(page);
  for (const char* section : {"Key figures", "Losses", "Base, shared and centralized",
                              "What it takes to get there", "Clients", "Traffic, energy and time",
                              "Participation", "Privacy", "Updates", "What produced this"}) {
    EXPECT_THAT(page, HasSubstr(cat("<h2>", section, "</h2>")));
  }
}

TEST(ReportPage, IsTheSameForTheSameRun) {
  EXPECT_EQ(page_of({read_recorded({})}), page_of({read_recorded({})}));
}

TEST(ReportPage, SaysLoudlyWhatHoldsInASimulationOnly) {
  EXPECT_THAT(page_of({read_recorded({.noise_multiplier = 1})}),
              HasSubstr("SIMULATION ONLY.</strong> No real fleet"));
  EXPECT_THAT(page_of({read_recorded({})}), Not(HasSubstr("SIMULATION ONLY")));
}

TEST(ReportPage, ShowsPrivacyOnlyWhereThereWasNoise) {
  EXPECT_THAT(page_of({read_recorded({})}), HasSubstr("No noise was added"));
  EXPECT_THAT(page_of({read_recorded({.noise_multiplier = 1})}),
              HasSubstr("Loss against privacy spent"));
}

RunRecord read_from(const fs::path& folder, const RecordedRun& run) {
  RunRecord record = read_recorded(run);
  record.folder = folder;
  return record;
}

// Epsilon after 40 rounds is sqrt(40) over the multiplier here; a run without noise has none, and
// is a level.
TEST(ReportPage, DrawsLossAgainstEpsilonForEachNoiseMultiplier) {
  const std::string page =
      page_of({read_from("runs/z-0.5", {.noise_multiplier = 0.5}),
               read_from("runs/z-2/", {.noise_multiplier = 2}), read_from("runs/no-noise", {})});
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, ContainsRegex("multiplier 0.5: 1.9[0-9]* at 12.6"));
  EXPECT_THAT(page, ContainsRegex("multiplier 2: 1.9[0-9]* at 3.16"));
  EXPECT_THAT(page, ContainsRegex("quickstart, no-noise: 1.9[0-9]* at 12.6"));
  EXPECT_THAT(page, HasSubstr("base: 2.21 at 12.6"));
  EXPECT_THAT(page, ContainsRegex("quickstart, z-2</th><td>central</td>.*>3.16</td>.*>37</td>"
                                  ".*>2.214</td>.* of 60 "));
  // Of equal multipliers the runs' own names tell.
  EXPECT_THAT(page_of({read_from("runs/a", {.noise_multiplier = 2}),
                       read_from("runs/b", {.noise_multiplier = 2})}),
              ContainsRegex("quickstart, b: 1.9[0-9]* at 3.16"));
}

TEST(ReportPage, PutsRunsSideBySideUnderNamesThatDiffer) {
  const std::string page = page_of(
      {read_recorded({.noise_multiplier = 0.5}), read_recorded({.seed = 2, .noise_multiplier = 1}),
       read_recorded({.name = "plain", .everything = false}), read_recorded({.name = "plain"})});
  EXPECT_TRUE(is_well_formed(page));
  expect_self_contained(page);
  for (const char* name : {"quickstart, seed 1", "quickstart, seed 2", "plain #3", "plain #4"}) {
    EXPECT_THAT(page, HasSubstr(name));
  }
}

TEST(ReportPage, StaysWellFormedWhereRunsHaveLittleOrNothing) {
  EXPECT_TRUE(is_well_formed(page_of({RunRecord{}})));
  EXPECT_TRUE(is_well_formed(page_of({RunRecord{}, RunRecord{}})));
  EXPECT_TRUE(is_well_formed(page_of({read_recorded({.rounds = 1, .clients = 1})})));
  const std::string page = page_of({read_recorded({.everything = false, .ends = false})});
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, HasSubstr("has not ended"));
}

TEST(ReportPage, DrawsARunThatDivergedAndClientsAllAlike) {
  RunRecord run = read_recorded({});
  for (EvaluationEvent& evaluation : run.evaluations) evaluation.bits_per_byte = NAN;
  for (ClientEvent& client : run.clients) client.base = client.shared = client.personal = 2;
  const std::string page = page_of({run});
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, Not(HasSubstr("=\"nan\"")));
  EXPECT_THAT(page, Not(HasSubstr("nan,")));
  EXPECT_THAT(page, Not(HasSubstr("inf")));
}

TEST(ReportPage, EscapesWhateverARunHolds) {
  RunRecord run = read_recorded({});
  const std::string attack = "\"><script>alert(1)</script>&\x01";
  run.manifest.name = run.manifest.host = attack;
  run.manifest.simulation_only = {attack};
  run.clients.front().name = run.clients.front().device_class = attack;
  run.clients.front().harmed = true;
  for (PlayedRoundEvent& round : run.rounds) {
    round.release_sha256 = round.reason = attack;
    round.metrics = {{attack, 1}};
  }
  const std::string page = page_of({run});
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_EQ(page.find('\x01'), std::string::npos);
}

// 3,000 rounds and clients: bars and lines are means of neighbours, so the page stays small.
TEST(ReportPage, StaysSmallForLongRuns) {
  EXPECT_LT(page_of({read_recorded({.rounds = 3000, .clients = 3000})}).size(), 600'000U);
}

TEST(ReportParts, ThinsPointsToMeansOfNeighbours) {
  std::vector<ChartPoint> points;
  for (int i = 0; i < 10; ++i) points.push_back({1.0 * i, i % 2 == 0 ? 0.0 : 1.0});
  points.push_back({10, NAN});
  const std::vector<ChartPoint> means{{0.5, 0.5}, {2.5, 0.5}, {4.5, 0.5}, {6.5, 0.5}, {8.5, 0.5}};
  EXPECT_EQ(thinned(points, 5), means);
  EXPECT_EQ(thinned(points, 10).size(), 10U);
}

TEST(ReportParts, SaysChangesWithTheirSign) {
  EXPECT_EQ(change_text(2, 1.9), "\u22125.0 %");
  EXPECT_EQ(change_text(2, 2.1), "+5.0 %");
  EXPECT_EQ(change_text(2, 2.00001), "0.0 %");
  EXPECT_EQ(change_text(NAN, 2), "\u2013");
  EXPECT_EQ(part_text(1, 50), "1 of 50 (2.0 %)");
}

TEST(ChartAxis, WritesTicksWithTheDecimalsOfTheirStep) {
  EXPECT_EQ(tick_texts({1.9, 1.95, 2}), (std::vector<std::string>{"1.90", "1.95", "2.00"}));
  EXPECT_EQ(tick_texts({-0.5, 0, 0.5}), (std::vector<std::string>{"-0.5", "0.0", "0.5"}));
  EXPECT_EQ(tick_texts({0, 50'000, 100'000}), (std::vector<std::string>{"0", "50k", "100k"}));
}

// Ten or fewer, always two that differ, and never a walk that doesn't end.
TEST(ChartAxis, HasTicksWhateverTheValues) {
  for (const auto& [least, most] : {std::pair{-1e308, 1e308},
                                    {1e16, 1e16 + 2},
                                    {0.0, 5e-324},
                                    {3.0, 3.0},
                                    {0.0, 0.0},
                                    {NAN, 1.0},
                                    {-INFINITY, INFINITY},
                                    {1e-300, 1e300},
                                    {-7.0, 12.0}}) {
    const std::vector<double> ticks = ticks_between(least, most);
    EXPECT_GE(ticks.size(), 2U);
    EXPECT_LE(ticks.size(), 10U);
    EXPECT_LT(ticks.front(), ticks.back());
  }
  EXPECT_EQ(value_text(AxisUnit::kPlain, 1e300), "1e+288T");
}

TEST(ChartAxis, SaysValuesInTheUnitThatFits) {
  EXPECT_EQ(value_text(AxisUnit::kBytes, 1'234'567), "1.23 MB");
  EXPECT_EQ(value_text(AxisUnit::kSeconds, 5400), "90 min");
  EXPECT_EQ(value_text(AxisUnit::kSeconds, 86400 * 7), "7 days");
  EXPECT_EQ(value_text(AxisUnit::kShare, 0.1234), "12.3 %");
  EXPECT_EQ(value_text(AxisUnit::kJoules, 999), "999 J");
  EXPECT_EQ(value_text(AxisUnit::kPlain, 9999), "9999");
  EXPECT_EQ(value_text(AxisUnit::kPlain, 12'345), "12.3k");
  EXPECT_EQ(value_text(AxisUnit::kPlain, NAN), "\u2013");
}

} // namespace
} // namespace coppice
