// SPDX-License-Identifier: Apache-2.0
// What `coppice bench` tells; how long things take is no test's affair.
#include "cli/bench_table.h"
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

TEST(BenchPrefill, TellsItsShareOfTheCeilingOfTheSameRun) {
  const Json told = run_coppice({"bench", "prefill", "-m", small_model(), "--prompt-tokens", "16",
                                 "--steps", "1", "--threads", "1", "--format", "json"})
                        .json();
  const double best = std::max(told["ceiling_gflops"]["f32"].get<double>(),
                               told["ceiling_gflops"]["bf16"].get<double>());
  EXPECT_NEAR(told["share_of_ceiling"].get<double>(), told["gflops"].get<double>() / best, 1e-9);
  // 2 FLOP a weight of the four layers: q 256 x 256, k and v 128, o, and three of 768.
  const double weights = 4.0 * 256 * (2 * 256 + 2 * 128 + 3 * 768);
  EXPECT_NEAR(told["gflops"].get<double>(),
              2e-9 * weights * told["prefill_tokens_per_s"].get<double>(), 1e-6);
}

// Twice three clients; by 4 N FLOP a token, N of the 4M model.
TEST(BenchSim, TellsClientsASecondAndTheirShareOfTheCeilingOfTheSameRun) {
  const Ran ran = run_coppice({"bench", "sim", "--set", "rounds=2", "--set",
                               "round.max_train_nodes=3", "--set", "training.max_steps=1", "--set",
                               "data.bytes_each=2kB", "--set", "workers=1", "--format", "json"});
  ASSERT_EQ(ran.exit, 0) << ran.error;
  const Json told = ran.json();
  EXPECT_EQ(told["clients"], 6);
  EXPECT_EQ(told["threads"], 1);
  const double seconds = told["seconds"].get<double>();
  EXPECT_NEAR(told["clients_per_s"].get<double>() * seconds, 6, 1e-9);
  const double rate = told["tokens_per_s"].get<double>();
  EXPECT_GT(rate * seconds, 6.0);
  EXPECT_LE(rate * seconds, 6.0 * 127); // one step of at most 128 tokens, the first not predicted
  EXPECT_NEAR(told["gflops"].get<double>(), 4e-9 * 4'196'608 * rate, 1e-9 * rate);
  const double best = std::max(told["ceiling_gflops"]["f32"].get<double>(),
                               told["ceiling_gflops"]["bf16"].get<double>());
  EXPECT_NEAR(told["share_of_ceiling"].get<double>(), told["gflops"].get<double>() / best, 1e-9);
}

TEST(BenchSim, SaysWhatToCallWhereNothingIsTrained) {
  const Ran ran = run_coppice({"bench", "sim", "--set", "training.kind=none"});
  EXPECT_EQ(ran.exit, static_cast<int>(ExitCode::kUsage));
  EXPECT_NE(ran.error.find("sim run"), std::string::npos) << ran.error;
}

TEST(BenchOpen, TimesTheFirstTokenApartFromTheHash) {
  const Json told = run_coppice({"bench", "open", "-m", small_model(), "--format", "json"}).json();
  EXPECT_EQ(told["prompt_tokens"], 8);
  EXPECT_GT(told["seconds_to_first_token"].get<double>(), 0.0);
  EXPECT_GT(told["hash_seconds"].get<double>(), 0.0);
}

TEST(BenchTable, RunsWhatTheModelsAllowAndJudgesIt) {
  const Ran ran = run_coppice({"bench", "table", "--models", small_model(), "--only", "train-4m",
                               "--only", "open-1b", "--peer", "peft-4m=0.001", "--format", "json"});
  ASSERT_EQ(ran.exit, 0) << ran.error;
  const Json told = ran.json();
  ASSERT_EQ(told["rows"].size(), 1U);
  const Json& row = told["rows"][0];
  EXPECT_EQ(row["name"], "train-4m");
  EXPECT_EQ(row["measured"], told["runs"]["train-4m"]["tokens_per_s"]);
  EXPECT_EQ(row["result"], "pass");
  EXPECT_EQ(row["peer"]["source"], "given");
  EXPECT_EQ(row["bar"], 0.004); // four times the peer
  ASSERT_EQ(told["missing"].size(), 1U);
  EXPECT_NE(told["missing"][0].get<std::string>().find("1b"), std::string::npos);
  const Ran unknown =
      run_coppice({"bench", "table", "--models", small_model(), "--peer", "peft=5"});
  EXPECT_NE(unknown.exit, 0);
  EXPECT_NE(unknown.error.find("peft-27m"), std::string::npos) << unknown.error;
}

TEST(BenchTable, TakesARecordedPeerWhereNoneIsGivenAndAnotherShareWithAmx) {
  Json run{{"tokens_per_s", 2.2 * 1078},
           {"peak_rss_mb", 120.5},
           {"share_of_ceiling", 0.4},
           {"instruction_level", "avx512-bf16"}};
  const auto judged = [&](const std::map<std::string, double>& peers) {
    std::map<std::string, FigureResult> by_name;
    const auto figures = judge_figures({{"train-27m", run}}, peers).value();
    for (const FigureResult& figure : figures) {
      by_name[std::string(figure.name)] = figure;
    }
    return by_name;
  };
  const auto recorded = judged({});
  EXPECT_EQ(recorded.size(), 3U);
  EXPECT_TRUE(recorded.at("train-27m").passes);
  EXPECT_FALSE(recorded.at("train-27m").peer_given);
  EXPECT_FALSE(recorded.at("train-27m-share").passes);  // 0.55
  EXPECT_FALSE(recorded.at("train-27m-memory").passes); // at most 120
  EXPECT_FALSE(judged({{"peft-27m", 1079}}).at("train-27m").passes);
  run["instruction_level"] = "amx-bf16";
  EXPECT_TRUE(judged({}).at("train-27m-share").passes); // 0.35
  EXPECT_EQ(judge_figures({{"train-27m", Json::object()}}, {}).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(BenchRound, SecureAggregationOfTwoDevicesIsRefused) {
  const Ran ran = run_coppice({"bench", "round", "--clients", "2", "--secure-aggregation"});
  EXPECT_EQ(ran.exit, static_cast<int>(ExitCode::kUsage));
  EXPECT_NE(ran.error.find("three devices"), std::string::npos) << ran.error;
}

} // namespace
} // namespace coppice
