// SPDX-License-Identifier: Apache-2.0
// What scenarios come to against one another, on runs small enough to compute by hand.
#include "sim/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/comparison_page.h"
#include "sim/comparison_tables.h"
#include "sim/reference.h"
#include "tests/sim/recorded_run.h"
#include "tests/sim/well_formed.h"

namespace coppice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Evaluated {
  std::uint64_t round;
  double bytes; // half up, half down
  double bits;
};

// A run that moves as much as its last evaluation says.
RunRecord run_of(std::uint64_t seed, const std::vector<Evaluated>& evaluations) {
  RunRecord run;
  run.folder = cat("seed-", seed);
  run.manifest.seed = seed;
  run.manifest.scenario = {{"name", "\"x\"", "default"},
                           {"seed", cat(seed), "flag --set"},
                           {"round.strategy", "\"fedavg\"", "default"},
                           {"training.learning_rate", "0.002", "default"}};
  for (const Evaluated& at : evaluations) {
    run.evaluations.push_back({.round = at.round,
                               .bytes_up = at.bytes / 2,
                               .bytes_down = at.bytes / 2,
                               .set = "global",
                               .adapter = "shared",
                               .bits_per_byte = at.bits});
  }
  run.ended = true;
  run.end.rounds = evaluations.back().round;
  run.end.bytes_up = run.end.bytes_down = evaluations.back().bytes / 2;
  return run;
}

// "cheap" moves half as much as "dear", which learns more a round, and stops two rounds later.
std::vector<ComparedScenario> two_scenarios() {
  std::vector<ComparedScenario> scenarios{
      {.name = "dear",
       .runs = {run_of(1, {{0, 0, 3.0}, {2, 200, 2.5}, {4, 400, 2.25}}),
                run_of(2, {{0, 0, 3.5}, {2, 210, 3.0}, {4, 420, 2.5}})}},
      {.name = "cheap",
       .runs = {run_of(1, {{0, 0, 3.0}, {2, 100, 2.75}, {4, 200, 2.5}, {6, 300, 2.375}}),
                run_of(2, {{0, 0, 3.5}, {2, 100, 3.25}, {4, 200, 3.0}, {6, 310, 2.75}})}}};
  for (RunRecord& run : scenarios[1].runs) run.manifest.scenario[3].value = "0.004";
  return scenarios;
}

TEST(Comparison, EqualRoundsAreTheLastThatEveryRunHas) {
  const Comparison compared = compare(two_scenarios());
  EXPECT_EQ(compared.equal_round, 4U);
  const ComparedMeasure* const bits =
      compared.find("bits_per_byte.global", ComparedAt::kEqualRounds);
  ASSERT_NE(bits, nullptr);
  EXPECT_THAT(bits->figures[0].by_seed, ElementsAre(2.25, 2.5));
  EXPECT_THAT(bits->figures[1].by_seed, ElementsAre(2.5, 3.0));
  EXPECT_EQ(bits->best, 0U);
  EXPECT_DOUBLE_EQ(bits->figures[1].to_first.mean, 0.375); // of 0.25 and 0.5
  EXPECT_DOUBLE_EQ(bits->figures[1].to_best.mean, 0.375);
  // s = 0.25 / sqrt(2), so t(0.975, 1) * 0.25 / 2.
  EXPECT_NEAR(bits->figures[1].to_first.half_width, 12.706204736 * 0.125, 1e-8);
}

// With seed 1 the cheap one moves 300 in all, with seed 2 310: the dear one gets as far as round 2.
TEST(Comparison, EqualBytesAreWhatTheCheapestMovedWithThatSeed) {
  const Comparison compared = compare(two_scenarios());
  EXPECT_THAT(compared.equal_bytes, ElementsAre(300, 310));
  const ComparedMeasure* const bits =
      compared.find("bits_per_byte.global", ComparedAt::kEqualBytes);
  ASSERT_NE(bits, nullptr);
  EXPECT_THAT(bits->figures[0].by_seed, ElementsAre(2.5, 3.0));
  EXPECT_THAT(bits->figures[1].by_seed, ElementsAre(2.375, 2.75));
  EXPECT_EQ(bits->best, 1U);
  EXPECT_DOUBLE_EQ(bits->figures[1].to_first.mean, -0.1875);
  EXPECT_DOUBLE_EQ(bits->figures[0].to_best.mean, 0.1875);
  const ComparedMeasure* const round = compared.find("round", ComparedAt::kEqualBytes);
  EXPECT_THAT(round->figures[0].by_seed, ElementsAre(2, 2));
  EXPECT_THAT(round->figures[1].by_seed, ElementsAre(6, 6));
}

TEST(Comparison, LooksAtClientsAtTheEndByWhatServesThem) {
  auto scenarios = two_scenarios();
  for (ComparedScenario& scenario : scenarios) {
    for (RunRecord& run : scenario.runs) {
      run.clients = {{.base = 2, .shared = 1.5, .served = "shared"},
                     {.base = 3, .shared = 3.5, .served = "shared", .harmed = true}};
    }
  }
  scenarios[1].runs[0].clients[1].served = "base";
  scenarios[1].runs[0].clients[1].harmed = false;
  const Comparison compared = compare(scenarios);
  const auto of_cheap = [&compared](const char* measure) {
    return compared.find(measure, ComparedAt::kEnd)->figures[1].by_seed;
  };
  EXPECT_THAT(of_cheap("clients.served"), ElementsAre(2.25, 2.5));
  EXPECT_THAT(of_cheap("clients.worst_decile"), ElementsAre(3, 3.5));
  EXPECT_THAT(of_cheap("clients.harmed"), ElementsAre(0, 0.5));
}

// "dear" has measured both references beside its rounds; the client without text keeps the base.
std::vector<ComparedScenario> with_references() {
  auto scenarios = two_scenarios();
  for (RunRecord& run : scenarios[0].runs) {
    run.evaluations.push_back(
        {.round = 4, .set = "global", .adapter = "centralized", .bits_per_byte = 1.5});
  }
  for (ComparedScenario& scenario : scenarios) {
    for (RunRecord& run : scenario.runs) {
      run.clients = {{.train_bytes = 9, .base = 2, .shared = 1.5, .served = "shared"},
                     {.train_bytes = 9, .base = 3, .shared = 2.5, .served = "shared"},
                     {.train_bytes = 0, .base = 4, .shared = 3.5, .served = "shared"}};
    }
  }
  for (RunRecord& run : scenarios[0].runs) {
    const double local[] = {2.25, 2.75, NAN};
    for (std::size_t i = 0; i < 3; ++i) {
      run.clients[i].local = local[i];
      run.clients[i].centralized = 1;
    }
  }
  scenarios.push_back(reference_scenario(scenarios[0], Reference::kLocalOnly, "local-only"));
  scenarios.push_back(reference_scenario(scenarios[0], Reference::kCentralized, "centralized"));
  return scenarios;
}

TEST(Comparison, ReferencesAreRowsOfTheRunThatMeasuredThem) {
  const Comparison compared = compare(with_references());
  EXPECT_THAT(compared.strategies, ElementsAre("fedavg", "fedavg", "local-only", "centralized"));
  const ComparedMeasure& served = *compared.find("clients.served", ComparedAt::kEnd);
  EXPECT_THAT(served.figures[0].by_seed, ElementsAre(2.5, 2.5)); // (1.5 + 2.5 + 3.5) / 3
  EXPECT_THAT(served.figures[2].by_seed, ElementsAre(3, 3));     // (2.25 + 2.75 + 4) / 3
  EXPECT_THAT(served.figures[3].by_seed, ElementsAre(1, 1));
  EXPECT_DOUBLE_EQ(served.figures[2].to_first.mean, 0.5);
  EXPECT_DOUBLE_EQ(served.figures[3].to_first.mean, -1.5);
  const ComparedMeasure& shared = *compared.find("clients.shared", ComparedAt::kEnd);
  EXPECT_EQ(shared.figures[2].value.count, 0U);
  EXPECT_DOUBLE_EQ(shared.figures[3].value.mean, 1);
  EXPECT_EQ(served.best, 0U); // of those that an aggregator can make rounds of
  // One of three is worse than with the base: 2.25 against 2.
  const ComparedMeasure& harmed = *compared.find("clients.harmed", ComparedAt::kEnd);
  EXPECT_DOUBLE_EQ(harmed.figures[2].value.mean, 1.0 / 3);
  EXPECT_DOUBLE_EQ(harmed.figures[3].value.mean, 0);
  const ComparedMeasure& bits = *compared.find("bits_per_byte.global", ComparedAt::kEqualRounds);
  EXPECT_EQ(bits.figures[2].value.count, 0U); // every client's is another adapter
  EXPECT_THAT(bits.figures[3].by_seed, ElementsAre(1.5, 1.5));
  EXPECT_EQ(bits.best, 0U);
}

TEST(Comparison, ReferencesDecideNeitherEqualRoundsNorEqualBytes) {
  const Comparison alone = compare(two_scenarios());
  auto scenarios = with_references();
  const Comparison compared = compare(scenarios);
  EXPECT_EQ(compared.equal_round, alone.equal_round);
  EXPECT_EQ(compared.equal_bytes, alone.equal_bytes);
  for (const ComparedFigure& figure :
       std::span(compared.find("bytes_up", ComparedAt::kEnd)->figures).subspan(2)) {
    EXPECT_EQ(figure.value.count, 0U);
  }
  EXPECT_TRUE(compared.curves[0].scenarios[3].empty());
  EXPECT_TRUE(check_comparable(scenarios).ok());
  EXPECT_THAT(compared.settings[0].values,
              ElementsAre("\"fedavg\"", "\"fedavg\"", "\"local-only\"", "\"centralized\""));
  const std::string page = comparison_page(scenarios, compared);
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, HasSubstr("a reference"));
  // First, it is what differences are to.
  std::rotate(scenarios.begin(), scenarios.begin() + 2, scenarios.end());
  const Comparison to_local = compare(scenarios);
  const ComparedMeasure& served = *to_local.find("clients.served", ComparedAt::kEnd);
  EXPECT_EQ(served.best, 2U);
  EXPECT_DOUBLE_EQ(served.figures[2].to_first.mean, -0.5);
}

TEST(Comparison, WhatNoRunMeasuredIsNoRow) {
  auto scenarios = two_scenarios();
  scenarios.push_back(reference_scenario(scenarios[0], Reference::kLocalOnly, "local-only"));
  EXPECT_EQ(compare(scenarios).find("clients.served", ComparedAt::kEnd), nullptr);
  EXPECT_EQ(reference_named("local-only"), Reference::kLocalOnly);
  EXPECT_EQ(reference_named("fedavg"), std::nullopt);
}

// A diverged run has no figure, and its scenario isn't the best for it.
TEST(Comparison, ASeedThatDivergedMakesNobodyTheBest) {
  auto scenarios = two_scenarios();
  scenarios[1].runs[1].evaluations[2].bits_per_byte = NAN;
  scenarios[1].runs[0].evaluations[2].bits_per_byte = 1;
  const Comparison compared = compare(scenarios);
  const ComparedMeasure* const bits =
      compared.find("bits_per_byte.global", ComparedAt::kEqualRounds);
  EXPECT_EQ(bits->best, 0U);
  EXPECT_EQ(bits->figures[1].value.count, 1U);
  EXPECT_EQ(interval_text(MeasureUnit::kBits, bits->figures[1].value, 2), "1.0000 (1 of 2 seeds)");
}

TEST(Comparison, NamesTheSettingsThatDifferAndNoSeeds) {
  const Comparison compared = compare(two_scenarios());
  ASSERT_EQ(compared.settings.size(), 1U);
  EXPECT_EQ(compared.settings[0].name, "training.learning_rate");
  EXPECT_THAT(compared.settings[0].values, ElementsAre("0.002", "0.004"));
  EXPECT_THAT(compared.strategies, ElementsAre("fedavg", "fedavg"));
}

TEST(Comparison, CurvesPairEachRoundWithTheFirstScenarios) {
  const Comparison compared = compare(two_scenarios());
  ASSERT_EQ(compared.curves.size(), 1U);
  const auto& cheap = compared.curves[0].scenarios[1];
  ASSERT_EQ(cheap.size(), 4U);
  EXPECT_EQ(cheap[1].round, 2);
  EXPECT_EQ(cheap[1].bytes, 100);
  EXPECT_DOUBLE_EQ(cheap[1].bits.mean, 3.0);
  EXPECT_DOUBLE_EQ(cheap[1].to_first.mean, 0.25);
  EXPECT_EQ(cheap[3].to_first.count, 0U); // the dear one has no round 6
}

TEST(Comparison, RefusesRunsThatSayNothingOfOneAnother) {
  auto scenarios = two_scenarios();
  EXPECT_TRUE(check_comparable(scenarios).ok());
  scenarios[1].runs[1].manifest.data_sha256 = "other";
  const auto texts = check_comparable(scenarios);
  ASSERT_FALSE(texts.ok());
  EXPECT_THAT(texts.error().message, HasSubstr("seed-2 and seed-2 differ in their clients' texts"));
  scenarios = two_scenarios();
  scenarios[0].runs[0].manifest.program_version = "0.2.0";
  EXPECT_FALSE(check_comparable(scenarios).ok());
  // The same base on the same text has the same figure.
  scenarios = two_scenarios();
  for (ComparedScenario& scenario : scenarios) {
    scenario.runs[0].evaluations.push_back(
        {.set = "global", .adapter = "base", .bits_per_byte = scenario.name == "dear" ? 3.0 : 3.1});
  }
  EXPECT_FALSE(check_comparable(scenarios).ok());
}

TEST(ComparisonTables, SayDifferencesWithTheirSignAndWhetherTheyAreSure) {
  const MeanInterval sure{.count = 3, .mean = -0.0123, .half_width = 0.004};
  EXPECT_EQ(difference_text(MeasureUnit::kBits, sure), "\u22120.0123 \u00b1 0.0040 *");
  const MeanInterval unsure{.count = 3, .mean = 0.02, .half_width = 0.03};
  EXPECT_EQ(difference_text(MeasureUnit::kShare, unsure), "+2.0 % \u00b1 3.0 %");
  EXPECT_EQ(difference_text(MeasureUnit::kBits, {.count = 1, .mean = -0.5}), "\u22120.5000");
  EXPECT_EQ(difference_text(MeasureUnit::kBits, {}), "\u2013");
}

TEST(ComparisonTables, ACsvRowHasTheValuesOfEachSeed) {
  const std::string csv = comparison_csv(compare(two_scenarios()));
  EXPECT_THAT(csv, HasSubstr("scenario,strategy,at,measure,seeds,mean,ci95_low,ci95_high,"
                             "to_first.mean,to_first.ci95_low,to_first.ci95_high,to_best.mean,"
                             "to_best.ci95_low,to_best.ci95_high,seed.1,seed.2\r\n"));
  EXPECT_THAT(csv, HasSubstr("cheap,fedavg,equal rounds,bits_per_byte.global,2,2.75,"));
  EXPECT_THAT(csv, HasSubstr(",2.5,3\r\n"));
}

// As many cells as columns in each row, and nothing that LaTeX would take for its own.
TEST(ComparisonTables, TheTabularIsWhole) {
  auto scenarios = two_scenarios();
  scenarios[1].name = "50%_cheap & {odd}";
  const std::string tex = comparison_tex(compare(scenarios));
  EXPECT_THAT(tex, HasSubstr("\\begin{tabular}{lrrrrrrrr}\n"));
  EXPECT_THAT(tex, HasSubstr("50\\%\\_cheap \\& \\{odd\\} & "));
  EXPECT_THAT(tex, HasSubstr(" & $+0.3750 \\pm 1.5883$ & "));
  std::size_t rows = 0;
  for (std::string line : split(tex, '\n')) {
    if (!line.ends_with("\\\\")) continue;
    ++rows;
    for (std::size_t at = line.find("\\&"); at != std::string::npos; at = line.find("\\&")) {
      line.erase(at, 2);
    }
    EXPECT_EQ(std::ranges::count(line, '&'), 8) << line;
  }
  EXPECT_EQ(rows, 4U);
}

RunRecord recorded(const RecordedRun& run) {
  auto read = parse_run(recorded_events(run), recorded_manifest(run));
  EXPECT_TRUE(read.ok()) << read.error().message;
  return std::move(read).value();
}

std::vector<ComparedScenario> recorded_scenarios(std::size_t count) {
  std::vector<ComparedScenario> scenarios;
  for (std::size_t i = 0; i < count; ++i) {
    ComparedScenario scenario{.name = cat("method-", i), .runs = {}};
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      scenario.runs.push_back(recorded({.seed = seed, .learns = 1 + 0.1 * static_cast<double>(i)}));
    }
    scenarios.push_back(std::move(scenario));
  }
  return scenarios;
}

std::string page_of(const std::vector<ComparedScenario>& scenarios) {
  return comparison_page(scenarios, compare(scenarios));
}

TEST(ComparisonPage, IsOneWellFormedFileWithEverySection) {
  const std::string page = page_of(recorded_scenarios(3));
  EXPECT_TRUE(is_well_formed(page));
  for (const char* section : {"At equal rounds", "At equal bytes", "Curves", "Clients",
                              "Budget and settings", "What produced this"}) {
    EXPECT_THAT(page, HasSubstr(cat("<h2>", section, "</h2>")));
  }
  EXPECT_THAT(page, HasSubstr("<polygon class=\"band f2\""));
  for (const char* reach : {"href", "src=", "url(", "<script"}) {
    EXPECT_THAT(page, Not(HasSubstr(reach)));
  }
}

TEST(ComparisonPage, HoldsFromOneScenarioToTheMost) {
  EXPECT_TRUE(is_well_formed(page_of(recorded_scenarios(1))));
  EXPECT_TRUE(is_well_formed(page_of(recorded_scenarios(kMostCompared))));
  const std::string nothing = page_of({{.name = "empty", .runs = {RunRecord{}}}});
  EXPECT_TRUE(is_well_formed(nothing));
  EXPECT_THAT(nothing, Not(HasSubstr("nan")));
}

TEST(ComparisonPage, EscapesWhateverRunsHold) {
  auto scenarios = recorded_scenarios(2);
  const std::string attack = "\"><script>alert(1)</script>&";
  scenarios[1].name = attack;
  for (RunRecord& run : scenarios[1].runs) {
    run.manifest.engine = run.end.reason = attack;
    run.manifest.simulation_only = {attack};
    for (RecordedSetting& setting : run.manifest.scenario) setting.value = attack;
  }
  const std::string page = page_of(scenarios);
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
}

} // namespace
} // namespace coppice
