// SPDX-License-Identifier: Apache-2.0
// The same bits every time: for any number of workers, after a stop at any round, with secure
// aggregation in full or as its exact sum.
#include "sim/simulation.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/text.h"
#include "crypto/hash.h"
#include "formats/json.h"
#include "model/native/native_engine.h"
#include "tests/aggregator/temporary_folder.h"
#include "tests/sim/small_simulation.h"

namespace coppice {
namespace {

SimulationParts parts_of(Scenario scenario) {
  return parts_of(std::move(scenario), [](std::shared_ptr<const BaseModel> base) {
    return open_native_engine(std::move(base), EngineOptions{});
  });
}

Played play(const fs::path& out, Scenario scenario) {
  return play(out, parts_of(std::move(scenario)));
}

TEST(Simulation, AnyNumberOfWorkersGivesTheSameReleasesAndEvents) {
  const TemporaryFolder folder;
  const Played one = play(folder.path() / "1", scenario_with({{"workers", "1", ""}}));
  ASSERT_EQ(one.releases.size(), 3U);
  EXPECT_NE(one.releases[0], one.releases[1]);
  for (const char* workers : {"2", "3"}) {
    const Played other = play(folder.path() / workers, scenario_with({{"workers", workers, ""}}));
    EXPECT_EQ(other.releases, one.releases);
    EXPECT_EQ(other.events, one.events);
  }
}

TEST(Simulation, AnyPackGivesTheSameReleasesAndEvents) {
  const TemporaryFolder folder;
  const std::vector<Override> short_run{{"rounds", "2", ""}, {"workers", "2", ""}};
  std::vector<Played> runs;
  for (const char* pack : {"1", "4", "16"}) {
    auto set = short_run;
    set.push_back({"pack", pack, ""});
    runs.push_back(play(folder.path() / pack, scenario_with(set)));
  }
  for (const Played& run : runs) {
    EXPECT_EQ(run.releases, runs[0].releases);
    EXPECT_EQ(run.events, runs[0].events);
  }
}

TEST(Simulation, EachRoundsTimeOnTheWallIsWrittenBesideTheEvents) {
  const TemporaryFolder folder;
  play(folder.path() / "run", scenario_with({{"rounds", "2", ""}}));
  const Bytes written = read_file(folder.path() / "run" / kTimingFile, 1 << 20).value();
  std::istringstream lines{std::string(as_text(written))};
  std::uint64_t rounds = 0;
  for (std::string line; std::getline(lines, line);) {
    const Json timing = parse_json(line).value();
    EXPECT_EQ(timing.at("round"), ++rounds);
    EXPECT_GT(timing.at("seconds"), 0.0);
    EXPECT_GT(timing.at("trained"), 0);
    EXPECT_GT(timing.at("tokens"), 0);
  }
  EXPECT_EQ(rounds, 2U);
}

TEST(Simulation, AnotherSeedGivesOtherReleases) {
  const TemporaryFolder folder;
  const Played one = play(folder.path() / "1", scenario_with({{"rounds", "1", ""}}));
  const Played two =
      play(folder.path() / "2", scenario_with({{"rounds", "1", ""}, {"seed", "2", ""}}));
  EXPECT_NE(one.releases, two.releases);
}

// Rounds with every mask, and with the sums that masks leave.
void expect_full_gives_the_exact_sums(const std::vector<Override>& set, std::size_t releases) {
  const TemporaryFolder folder;
  const Played exact = play(folder.path() / "exact", scenario_with(set));
  auto with_masks = set;
  with_masks.push_back({"secure_sum", "full", ""});
  const Played full = play(folder.path() / "full", scenario_with(with_masks));
  ASSERT_EQ(exact.releases.size(), releases);
  EXPECT_EQ(full.releases, exact.releases);
}

// Keys, shares and masks are drawn anew each time, and cancel; devices are always there, so that
// the machines' different timing decides nothing.
TEST(Simulation, SecureAggregationInFullGivesTheBitsOfItsExactSum) {
  expect_full_gives_the_exact_sums({{"population.drop_after_masking", "0.15", ""},
                                    {"round.max_train_nodes", "8", ""},
                                    {"rounds", "2", ""}},
                                   2);
}

// A robust rule over buckets of devices, each masked by itself.
TEST(Simulation, SecureAggregationByGroupsGivesTheBitsOfItsExactSums) {
  expect_full_gives_the_exact_sums({{"round.strategy", "median", ""},
                                    {"strategy.bucket", "4", ""},
                                    {"round.max_train_nodes", "12", ""},
                                    {"population.drop_while_training", "0", ""},
                                    {"rounds", "1", ""}},
                                   1);
}

// Fewer bits, and fewer values: what devices round and choose is summed as exactly.
TEST(Simulation, SecureAggregationOfSmallerUploadsGivesTheBitsOfItsExactSum) {
  for (const char* codec : {"int8", "int4", "top-k"}) {
    SCOPED_TRACE(codec);
    expect_full_gives_the_exact_sums(
        {{"round.codec", codec, ""}, {"round.max_train_nodes", "6", ""}, {"rounds", "2", ""}}, 2);
  }
}

TEST(Simulation, SecureAggregationOfClustersAndCoresGivesTheBitsOfItsExactSum) {
  for (const char* strategy : {"ifca", "fedsb"}) {
    SCOPED_TRACE(strategy);
    expect_full_gives_the_exact_sums({{"round.strategy", strategy, ""},
                                      {"strategy.warmup_rounds", "1", ""},
                                      {"round.max_train_nodes", "6", ""},
                                      {"rounds", "2", ""}},
                                     2);
  }
}

std::vector<Sha256> play_in_parts(const fs::path& out, const std::vector<Override>& more,
                                  const std::function<void()>& between = {}) {
  return coppice::play_in_parts(
      out, [&] { return parts_of(scenario_with(more)); }, between);
}

TEST(Simulation, AStoppedRunGoesOnToTheSameBits) {
  const TemporaryFolder folder;
  const Played whole = play(folder.path() / "whole", scenario_with({}));
  EXPECT_EQ(play_in_parts(folder.path() / "parts", {}), whole.releases);
  EXPECT_EQ(sha256_file(folder.path() / "parts" / kEventsFile).value(), whole.events);
}

// Corrections and factors that devices keep between rounds are part of what a run goes on from.
class WhatDevicesKeep : public ::testing::TestWithParam<const char*> {};

TEST_P(WhatDevicesKeep, IsGoneOnWithAndForAnyNumberOfWorkers) {
  const TemporaryFolder folder;
  const std::string strategy = GetParam();
  const std::vector<Override> set{{"round.strategy", strategy, ""},
                                  {"round.codec", strategy == "fedavg" ? "int4" : "none", ""},
                                  {"training.optimizer", "sgd", ""},
                                  {"training.learning_rate", "0.1", ""},
                                  // A correction that no rounding hides, of two devices twice.
                                  {"training.proximal_mu", "5", ""},
                                  {"workers", "1", ""}};
  const Played whole = play(folder.path() / "whole", scenario_with(set));
  auto more_workers = set;
  more_workers.push_back({"workers", "3", ""});
  const fs::path parts = folder.path() / "parts";
  EXPECT_EQ(play_in_parts(parts, more_workers), whole.releases);
  EXPECT_EQ(sha256_file(parts / kEventsFile).value(), whole.events);
  const fs::path losing = folder.path() / "losing";
  EXPECT_NE(play_in_parts(losing, set, [&] { fs::remove_all(losing / "kept"); }), whole.releases)
      << "what devices keep changes nothing";
}

INSTANTIATE_TEST_SUITE_P(Strategies, WhatDevicesKeep,
                         ::testing::Values("feddyn", "fedsa", "scaffold", "fedavg"));

class TwoRanks final : public Ranks {
 public:
  RankPlace place() const override { return {.rank = 0, .size = 2, .local_rank = 0}; }
  Result<void> sum(std::span<std::uint32_t>) override { return none(); }
  Result<void> broadcast(Bytes&, std::uint32_t) override { return none(); }
  Result<std::vector<Bytes>> gather(ByteSpan, std::uint32_t) override { return none(); }
  Result<std::vector<Bytes>> all_gather(ByteSpan) override { return none(); }
  Result<void> barrier() override { return none(); }

 private:
  static Error none() { return {ErrorCode::kUnavailable, "there is no other"}; }
};

TEST(Simulation, WhatDevicesKeepIsRefusedInSeveralProcesses) {
  TwoRanks two;
  const auto refused = [&](const char* strategy, const char* codec = "none") {
    return Simulation::open(parts_of(scenario_with(
                                {{"round.strategy", strategy, ""}, {"round.codec", codec, ""}})),
                            two, {})
        .error();
  };
  EXPECT_NE(refused("fedavg", "int8").message.find("round.error_feedback"), std::string::npos);
  EXPECT_EQ(refused("share-b").code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused("share-b").message.find("keep something"), std::string::npos);
  EXPECT_EQ(refused("fedavg").code, ErrorCode::kUnavailable); // goes further
}

// B stays where it was trained: the release's is zero, as version 0's, and does nothing alone.
TEST(Simulation, AClientIsJudgedWithItsOwnFactorAndTheSetsWithTheRelease) {
  const TemporaryFolder folder;
  const fs::path out = folder.path() / "run";
  play(out, scenario_with({{"round.strategy", "fedsa", ""},
                           {"report.clients", "0", ""},
                           {"personal.max_steps", "1", ""}}));
  double base = 0, shared = 0;
  std::size_t changed = 0;
  std::ifstream events(out / kEventsFile);
  for (std::string line; std::getline(events, line);) {
    const Json event = parse_json(line).value();
    if (event["event"] == "evaluation" && event["set"] == "global") {
      (event["adapter"] == "base" ? base : shared) = event["bits_per_byte"].get<double>();
    }
    if (event["event"] == "client" && event["shared"] != event["base"]) changed += 1;
  }
  EXPECT_GT(base, 0);
  EXPECT_EQ(shared, base);
  EXPECT_GT(changed, 0U);
}

TEST(Simulation, ARunIsNotGoneOnWithUnderOtherConditions) {
  const TemporaryFolder folder;
  const fs::path out = folder.path() / "run";
  { play(out, scenario_with({{"rounds", "1", ""}})); }
  auto opened = RunFolder::open(out);
  const auto other = Simulation::open(parts_of(scenario_with({{"data.bytes_each", "5kB", ""}})),
                                      alone(), std::move(opened).value());
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(other.error().message.find("data_sha256"), std::string::npos) << other.error().message;
}

// Rows of instructions of twelve users; every other one of each has choices.
void write_rows(const fs::path& path) {
  std::string lines;
  for (int i = 0; i < 240; ++i) {
    Json row{{"user", cat("user ", i % 12)},
             {"prompt", cat("How many are ", i, " and ", i % 7, "?")},
             {"response", cat(i + i % 7)}};
    if (i / 12 % 2 == 0) row["choices"] = {cat(i + i % 7), cat(i + i % 7 + 1)};
    lines += row.dump() + '\n';
  }
  ASSERT_TRUE(write_file_atomically(path, as_bytes(lines)).ok());
}

TEST(Simulation, InstructionRowsAreAnsweredAlikeByAnyNumberOfWorkers) {
  const TemporaryFolder folder;
  const fs::path rows = folder.path() / "rows.jsonl";
  write_rows(rows);
  std::vector<Override> set{{"data.source", "jsonl", ""},
                            {"data.path", rows.string(), ""},
                            {"data.user_column", "user", ""},
                            {"population.devices", "0", ""},
                            {"report.clients", "1", ""},
                            {"report.answers", "4", ""},
                            {"rounds", "1", ""}};
  const Played one = play(folder.path() / "1", scenario_with(set));
  set.push_back({"workers", "2", ""});
  const Played two = play(folder.path() / "2", scenario_with(set));
  EXPECT_EQ(one.events, two.events);
  const Bytes events = read_file(folder.path() / "1" / kEventsFile, 1U << 20U).value();
  std::size_t evaluations = 0;
  for (const std::string& line : split(as_text(events), '\n')) {
    if (line.empty()) continue;
    const Json event = parse_json(line).value();
    if (event["event"] != "evaluation") continue;
    ++evaluations;
    for (const char* share : {"token_accuracy", "choice_accuracy", "choice_accuracy_by_byte",
                              "exact_match", "rouge_l"}) {
      ASSERT_TRUE(event.contains(share)) << share;
      EXPECT_GE(event[share], 0.0) << share;
      EXPECT_LE(event[share], 1.0) << share;
    }
  }
  EXPECT_EQ(evaluations, 3U); // of the base, and of the shared adapter before and after the round
}

// A set of its own, beside report text: nothing else in the events changes by it.
TEST(Simulation, GateTextIsEvaluatedWhereSettingsAreToBeChosen) {
  const TemporaryFolder folder;
  const auto events_with = [&folder](const char* gate_bytes) {
    const fs::path out = folder.path() / gate_bytes;
    play(out, scenario_with({{"rounds", "1", ""},
                             {"data.bytes_each", "8kB", ""},
                             {"report.gate_bytes", gate_bytes, ""}}));
    const Bytes events = read_file(out / kEventsFile, 1U << 20U).value();
    return split(as_text(events), '\n');
  };
  const std::vector<std::string> plain = events_with("0");
  std::vector<std::string> with_gate = events_with("2kB");
  std::vector<double> bits; // of the base, and of the shared adapter before and after the round
  std::erase_if(with_gate, [&bits](const std::string& line) {
    if (line.find("\"set\":\"gate\"") == std::string::npos) return false;
    bits.push_back(parse_json(line).value()["bits_per_byte"]);
    return true;
  });
  EXPECT_EQ(with_gate, plain);
  ASSERT_EQ(bits.size(), 3U);
  EXPECT_GT(bits[0], 0.5);
  EXPECT_EQ(bits[1], bits[0]); // a new adapter adds nothing
  EXPECT_LT(bits[2], bits[1]);
}

// Noise follows from the seed here, so that a run can be repeated; it is priced as in a fleet, and
// the run ends where the budget does.
TEST(Simulation, TheBudgetEndsTheRun) {
  const TemporaryFolder folder;
  const auto noisy = scenario_with({{"rounds", "50", ""},
                                    {"privacy.noise", "central", ""},
                                    {"privacy.epsilon", "2", ""},
                                    {"privacy.noise_multiplier", "4", ""},
                                    {"round.weighted_by", "uniform", ""},
                                    {"round.ring_bits", "32", ""},
                                    {"round.clip_norm", "0.5", ""},
                                    {"report.every", "50", ""}});
  auto made = RunFolder::create(folder.path() / "run", Json::object());
  auto simulation = Simulation::open(parts_of(noisy), alone(), std::move(made).value());
  ASSERT_TRUE(simulation.ok()) << simulation.error().message;
  const auto end = (*simulation)->run(nullptr, {});
  ASSERT_TRUE(end.ok()) << end.error().message;
  EXPECT_LT(end->rounds, 50U);
  EXPECT_GT(end->rounds, 0U);
  EXPECT_LE(end->epsilon, 2.0);
  EXPECT_GT(end->epsilon, 0.5);
  EXPECT_NE(end->reason.find("budget"), std::string::npos) << end->reason;
}

// Six train with the noise that the mean over sixty would have: a tenth on their sum, at the price
// of sixty, who are drawn ten times as often.
TEST(Simulation, ANoiseCohortPaysForTheLargerOne) {
  const TemporaryFolder folder;
  const std::vector<Override> noisy{{"rounds", "1", ""},
                                    {"population.devices", "600", ""},
                                    {"privacy.noise", "central", ""},
                                    {"privacy.noise_multiplier", "4", ""},
                                    {"privacy.epsilon", "50", ""},
                                    {"round.sampling", "poisson", ""},
                                    {"round.fraction_train", "0.01", ""},
                                    {"round.weighted_by", "uniform", ""},
                                    {"round.ring_bits", "32", ""},
                                    {"round.min_survivors", "3", ""},
                                    {"training.kind", "none", ""}};
  const auto epsilon_of = [&](const char* name, const std::vector<Override>& set) {
    auto made = RunFolder::create(folder.path() / name, Json::object());
    auto simulation =
        Simulation::open(parts_of(scenario_with(set)), alone(), std::move(made).value());
    EXPECT_TRUE(simulation.ok()) << simulation.error().message;
    const auto end = (*simulation)->run(nullptr, {});
    EXPECT_TRUE(end.ok()) << end.error().message;
    return end->epsilon;
  };
  const double six = epsilon_of("six", noisy);
  auto larger = noisy;
  larger.push_back({"privacy.noise_cohort", "60", ""});
  const double as_sixty = epsilon_of("sixty", larger);
  auto sixty = noisy;
  sixty[6] = {"round.fraction_train", "0.1", ""};
  EXPECT_GT(as_sixty, six);
  EXPECT_NEAR(as_sixty, epsilon_of("real", sixty), 1e-9);
  const Bytes events = read_file(folder.path() / "sixty" / kEventsFile, 1U << 20U).value();
  const Json round = parse_json(split(as_text(events), '\n').front()).value();
  EXPECT_EQ(round["noise_multiplier"], 4.0); // not the tenth of it that six need
}

// Without training a round is a few elements, whatever it stands for.
TEST(Simulation, ARoundWithoutTrainingWeighsWhatTheModelsWould) {
  const TemporaryFolder folder;
  const std::vector<Override> idle{{"training.kind", "none", ""},
                                   {"population.drop_while_training", "0", ""}};
  auto made = RunFolder::create(folder.path() / "run", Json::object());
  auto simulation =
      Simulation::open(parts_of(scenario_with(idle)), alone(), std::move(made).value());
  ASSERT_TRUE(simulation.ok()) << simulation.error().message;
  const auto end = (*simulation)->run(nullptr, {});
  ASSERT_TRUE(end.ok()) << end.error().message;
  EXPECT_EQ(end->releases.size(), 3U);
  // 4 layers of q (256 x 256) and v (256 x 128) at rank 2, 16 bits a parameter, 6 devices.
  const std::uint64_t parameters = 4 * (2 * (256 + 256) + 2 * (256 + 128));
  const std::uint64_t least = 3 * 6 * parameters * 2;
  EXPECT_GT(end->bytes_up, least);
  EXPECT_LT(end->bytes_up, least + 3 * 6 * 3000);
}

} // namespace
} // namespace coppice
