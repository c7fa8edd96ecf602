// SPDX-License-Identifier: Apache-2.0
// `coppice sim report`, as a user runs it.
#include <gmock/gmock.h>

#include "sim/run_log.h"
#include "tests/cli/run_coppice.h"
#include "tests/sim/recorded_run.h"

namespace coppice {
namespace {

std::string write_run(const TestFolder& folder, const std::string& name, const RecordedRun& run) {
  const fs::path at = folder / name;
  fs::create_directories(at);
  write_text(at / kEventsFile, recorded_events(run));
  write_text(at / kManifestFile, recorded_manifest(run));
  return at.string();
}

TEST(SimReport, WritesAPageTablesAndEventFiles) {
  const TestFolder folder;
  const std::string run = write_run(folder, "run", {});
  const Ran ran = run_coppice({"sim", "report", run, "--csv", "--tensorboard", "--format", "json"});
  ASSERT_EQ(ran.exit, 0) << ran.error;
  const Json json = ran.json();
  EXPECT_EQ(json["schema"], "coppice.sim_report.v1");
  EXPECT_EQ(json["files"].size(), 7U);
  for (const Json& file : json["files"]) EXPECT_GT(fs::file_size(file.get<std::string>()), 100U);
  EXPECT_TRUE(fs::exists(fs::path(run) / "report.html"));
  const Json& row = json["runs"][0];
  EXPECT_EQ(row["rounds"], 40);
  EXPECT_EQ(row["released"], 37);
  EXPECT_EQ(row["bits_per_byte"]["global"]["base"], 2.214);
  EXPECT_TRUE(row["bits_per_byte"]["public"]["centralized"].is_null());
  EXPECT_TRUE(row["epsilon"].is_null());
  EXPECT_EQ(row["evaluated"], 60);
  EXPECT_GT(row["harmed"], 0);
  EXPECT_EQ(row["clients"]["shared"]["clients"], 60);
}

TEST(SimReport, PutsSeveralRunsOnOnePage) {
  const TestFolder folder;
  const std::string out = (folder / "both.html").string();
  const Ran ran = run_coppice(
      {"sim", "report", write_run(folder, "a", {.name = "quiet", .noise_multiplier = 2}),
       write_run(folder, "b", {.name = "loud", .noise_multiplier = 1}), "--out", out});
  ASSERT_EQ(ran.exit, 0) << ran.error;
  EXPECT_THAT(ran.out, testing::HasSubstr("quiet"));
  EXPECT_THAT(ran.out, testing::HasSubstr("Simulation only, loud: noise_cohort"));
  EXPECT_TRUE(fs::exists(out));
  EXPECT_FALSE(fs::exists(folder / "a" / "report.html"));
}

TEST(SimReport, SaysWhatIsMissingOrBroken) {
  const TestFolder folder;
  EXPECT_EQ(run_coppice({"sim", "report", (folder / "nowhere").string()}).exit, 2);
  const std::string run = write_run(folder, "run", {});
  write_text(fs::path(run) / kEventsFile, "{\"event\":\"round\"}\n");
  const Ran ran = run_coppice({"sim", "report", run});
  EXPECT_EQ(ran.exit, 4);
  EXPECT_THAT(ran.error, testing::HasSubstr("events.jsonl, line 1"));
}

} // namespace
} // namespace coppice
