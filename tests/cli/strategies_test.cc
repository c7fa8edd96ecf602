// SPDX-License-Identifier: Apache-2.0
// `coppice strategies`, and examples/custom_strategy as its reader would use it.
#include <gmock/gmock.h>

#include "tests/cli/run_coppice.h"

namespace coppice {
namespace {

TEST(Strategies, AreListedWithNeedPaperAndDefaults) {
  const Ran ran = run_coppice({"strategies", "--format", "json"});
  ASSERT_EQ(ran.exit, 0) << ran.error;
  const Json json = ran.json();
  EXPECT_EQ(json["schema"], "coppice.strategies.v1");
  ASSERT_FALSE(json["strategies"].empty());
  for (const Json& row : json["strategies"]) {
    EXPECT_FALSE(row["paper"].get<std::string>().empty()) << row;
    EXPECT_TRUE(row["defaults"].is_object()) << row;
  }
  EXPECT_EQ(json["strategies"][0]["name"], "fedavg");
  EXPECT_EQ(json["strategies"][0]["need"], "Sum");
}

// Listed beside the strategies, and refused where an aggregator would have to make rounds of them.
TEST(Strategies, ReferencesAreForSimulationsAlone) {
  const Json references = run_coppice({"strategies", "--format", "json"}).json()["references"];
  ASSERT_EQ(references.size(), 2U);
  EXPECT_EQ(references[0]["name"], "local-only");
  EXPECT_EQ(references[1]["name"], "centralized");
  const TestFolder folder;
  for (const Json& row : references) {
    EXPECT_EQ(row["need"], "none");
    EXPECT_EQ(row["simulation_only"], true);
    const std::string name = row["name"];
    EXPECT_THAT(run_coppice({"strategies"}).out, testing::HasSubstr(name));
    write_text(folder / "s.toml",
               "rounds = 2\n[training]\nkind = \"none\"\n[population]\n"
               "devices = 8\n[round]\nstrategy = \"" +
                   name + "\"\n");
    const Ran ran = run_coppice(
        {"sim", "run", (folder / "s.toml").string(), "--out", (folder / "run").string()});
    EXPECT_EQ(ran.exit, 2);
    EXPECT_THAT(ran.error, testing::HasSubstr("is a reference of simulations and no strategy"));
    EXPECT_THAT(ran.error, testing::HasSubstr(row["refused"].get<std::string>()));
    EXPECT_THAT(ran.error, testing::HasSubstr(row["setting"].get<std::string>() + " = true"));
  }
}

// A round without training: what is tested is that the file of the example is a strategy of the
// program, here and in its simulator.
TEST(Strategies, OneOfOnesOwnIsOneFileAndPlaysRounds) {
  if (!fs::exists(fs::path(COPPICE_BINARY_DIR) / "coppice_custom")) {
    GTEST_SKIP() << "this build has no examples";
  }
  const Ran listed = run_coppice({"strategies"}, "", "coppice_custom");
  ASSERT_EQ(listed.exit, 0) << listed.error;
  EXPECT_THAT(listed.out, testing::HasSubstr("decayed-mean"));
  const TestFolder folder;
  write_text(folder / "s.toml",
             "rounds = 2\n[training]\nkind = \"none\"\n[population]\ndevices = 8\n"
             "[round]\nstrategy = \"decayed-mean\"\n");
  const std::vector<std::string> play{
      "sim",      "run", (folder / "s.toml").string(), "--out", (folder / "run").string(),
      "--format", "json"};
  const Ran ran = run_coppice(play, "", "coppice_custom");
  ASSERT_EQ(ran.exit, 0) << ran.error;
  EXPECT_EQ(ran.json()["release_sha256"].size(), 2U);
  const Ran ours = run_coppice(play);
  EXPECT_EQ(ours.exit, 2);
  EXPECT_THAT(ours.error, testing::HasSubstr("unknown strategy 'decayed-mean'"));
}

} // namespace
} // namespace coppice
