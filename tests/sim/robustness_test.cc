// SPDX-License-Identifier: Apache-2.0
// What attacks cost, on runs small enough to compute by hand: four clients, the last of them
// hostile, two seeds.
#include "sim/robustness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "sim/comparison_page.h"
#include "tests/sim/well_formed.h"

namespace coppice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Bits per byte with the shared adapter; the base has 3 everywhere, and the gate takes the better.
RunRecord run_of(std::uint64_t seed, const std::vector<double>& shared) {
  RunRecord run;
  run.manifest.seed = seed;
  run.manifest.scenario = {{"round.strategy", "\"fedavg\"", "default"}};
  for (std::size_t i = 0; i < shared.size(); ++i) {
    run.clients.push_back({.round = 8,
                           .client = i,
                           .base = 3,
                           .shared = shared[i],
                           .served = shared[i] < 3 ? "shared" : "base"});
  }
  run.ended = true;
  run.end.released = 8;
  return run;
}

RunRecord attacked_run_of(std::uint64_t seed, const std::vector<double>& shared) {
  RunRecord run = run_of(seed, shared);
  run.clients.back().hostile = true;
  run.end.hostile = 1;
  return run;
}

PlayedRoundEvent abandoned_round(const char* reason) {
  PlayedRoundEvent round;
  round.round = 8;
  round.reason = reason;
  return round;
}

std::vector<ComparedScenario> clean() {
  return {{.name = "mean", .runs = {run_of(1, {1, 2, 3, 9}), run_of(2, {2, 2, 2, 9})}},
          {.name = "robust", .runs = {run_of(1, {1, 2, 6, 9}), run_of(2, {2, 3, 4, 9})}}};
}

std::vector<AttackedScenario> attacked() {
  return {{.scenario = 0,
           .attack = "scale",
           .fraction = 0.25,
           .strength = 10,
           .runs = {attacked_run_of(1, {4, 5, 6, 0}), attacked_run_of(2, {4, 2, 3, 0})}},
          {.scenario = 1,
           .attack = "scale",
           .fraction = 0.25,
           .strength = 10,
           .runs = {attacked_run_of(1, {1, 2, 6, 0}), attacked_run_of(2, {2, 3, 5.5, 0})}}};
}

// Clean means over the three honest: 2 and 2; attacked: 5 and 3. Losses of 3 and 1.
TEST(Robustness, LossesAreTheHonestClientsAloneInPairs) {
  const Robustness robust = robustness(clean(), attacked());
  const RobustRow& row = *robust.find(0, "scale");
  EXPECT_THAT(row.shared.clean_by_seed, ElementsAre(2, 2));
  EXPECT_THAT(row.shared.by_seed, ElementsAre(5, 3));
  EXPECT_DOUBLE_EQ(row.shared.value.mean, 4);
  EXPECT_DOUBLE_EQ(row.shared.loss.mean, 2);
  // s = sqrt(2), so t(0.975, 1) * sqrt(2) / sqrt(2).
  EXPECT_NEAR(row.shared.loss.half_width, 12.706204736, 1e-8);
  // The gate gives base 3 where the shared adapter is worse: 3, 3, 3 and 3, 2, 3 (of a shared 3).
  EXPECT_THAT(row.served.clean_by_seed, ElementsAre(2, 2));
  EXPECT_THAT(row.served.by_seed, ElementsAre(3, 8.0 / 3));
  EXPECT_THAT(row.honest, ElementsAre(3, 3));
  EXPECT_THAT(row.evaluated, ElementsAre(4, 4));
  EXPECT_THAT(row.hostile, ElementsAre(1, 1));
  EXPECT_EQ(row.refused, "");
  const RobustRow& other = *robust.find(1, "scale");
  EXPECT_THAT(other.shared.clean_by_seed, ElementsAre(3, 3));
  EXPECT_DOUBLE_EQ(other.shared.loss.mean, 0.25); // of 0 and 0.5
}

TEST(Robustness, NamesWhatHasNoFigureAndWhy) {
  auto runs = attacked();
  runs[0].runs[1].end.released = 0;
  runs[0].runs[1].rounds = {abandoned_round("too few updates")};
  runs[1].runs[0].end.hostile = 0;
  runs.push_back({.scenario = 0, .attack = "backdoor", .refused = "it needs a phrase"});
  const Robustness robust = robustness(clean(), runs);
  const RobustRow& abandoned = *robust.find(0, "scale");
  EXPECT_EQ(abandoned.shared.value.count, 1U);
  EXPECT_DOUBLE_EQ(abandoned.shared.loss.mean, 3);
  EXPECT_EQ(abandoned.refused, "seed 2: no round made a release: too few updates");
  EXPECT_THAT(robust.find(1, "scale")->refused, HasSubstr("seed 1: the attack drew no device"));
  EXPECT_EQ(robust.find(0, "backdoor")->shared.value.count, 0U);
  EXPECT_EQ(robust.find(1, "backdoor"), nullptr);
  EXPECT_THAT(robust.attacks, ElementsAre("scale", "backdoor"));
  const ReportTable why = refused_table(robust);
  ASSERT_EQ(why.rows.size(), 3U);
  EXPECT_THAT(why.rows[2], ElementsAre("mean", "backdoor", "it needs a phrase"));
  // Why two scenarios have none is said once, where it is the same.
  runs.push_back({.scenario = 1, .attack = "backdoor", .refused = "it needs a phrase"});
  EXPECT_THAT(refused_table(robustness(clean(), runs)).rows[2],
              ElementsAre("mean, robust", "backdoor", "it needs a phrase"));
  // A dash where nobody asked, a word where it was refused.
  const ReportTable losses = robust_loss_table(robust, RobustMeasure::kShared);
  EXPECT_THAT(losses.rows[0], ElementsAre("mean", "+3.0000", "refused"));
  EXPECT_THAT(losses.rows[1], ElementsAre("robust", "+0.5000", "\u2013"));
}

// A rule whose rounds come to nothing is no robust one.
TEST(Robustness, ARuleThatNeverReleasesHasNoLoss) {
  auto scenarios = clean();
  for (RunRecord& run : scenarios[0].runs) {
    run.end.released = 0;
    run.rounds = {abandoned_round("it wants 4 f + 3 devices")};
  }
  const RobustRow row = *robustness(scenarios, attacked()).find(0, "scale");
  EXPECT_EQ(row.shared.loss.count, 0U);
  EXPECT_THAT(row.refused, HasSubstr("without an attack either: it wants 4 f + 3 devices"));
}

TEST(Robustness, OneDivergedHonestClientIsNoFigure) {
  auto runs = attacked();
  runs[0].runs[0].clients[1].shared = NAN;
  runs[0].runs[1].clients[3].shared = NAN; // a hostile one's: nobody's matter
  const RobustRow row = *robustness(clean(), runs).find(0, "scale");
  EXPECT_EQ(row.shared.value.count, 1U);
  EXPECT_DOUBLE_EQ(row.shared.value.mean, 3);
}

TEST(RobustnessTables, HaveARowAScenarioAndAColumnAnAttack) {
  const ReportTable table =
      robust_bits_table(robustness(clean(), attacked()), RobustMeasure::kShared);
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(table.columns[1].title, "no attack");
  EXPECT_EQ(table.columns[2].title, "scale");
  EXPECT_THAT(table.rows[0], ElementsAre("mean", "2.0000 \u00b1 0.0000", "4.0000 \u00b1 12.7062"));
  EXPECT_THAT(attacks_table(robustness(clean(), attacked())).rows,
              ElementsAre(ElementsAre("mean, robust", "scale", "25 %", "10", "1", "4", "3")));
  const std::string csv = robustness_csv(robustness(clean(), attacked()));
  EXPECT_THAT(csv, HasSubstr("scenario,strategy,attack,fraction,strength,measure,seeds,mean,"
                             "ci95_low,ci95_high,clean.mean,clean.ci95_low,clean.ci95_high,"
                             "loss.mean,loss.ci95_low,loss.ci95_high,refused,seed.1,clean.seed.1,"
                             "honest.seed.1,seed.2,clean.seed.2,honest.seed.2\r\n"));
  EXPECT_THAT(csv, HasSubstr("mean,fedavg,scale,0.25,10,shared,2,4,"));
  EXPECT_THAT(csv, HasSubstr(",5,2,3,3,2,3\r\n"));
}

TEST(RobustnessPage, SaysNothingWhereNothingWasAttacked) {
  const auto scenarios = clean();
  EXPECT_THAT(comparison_page(scenarios, compare(scenarios)), Not(HasSubstr("Robustness")));
  const std::string page = comparison_page(scenarios, compare(scenarios), attacked());
  EXPECT_TRUE(is_well_formed(page));
  EXPECT_THAT(page, HasSubstr("<h2>Robustness</h2>"));
  EXPECT_THAT(page, HasSubstr("mean under scale"));
}

} // namespace
} // namespace coppice
