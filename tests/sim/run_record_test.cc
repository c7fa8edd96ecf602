// SPDX-License-Identifier: Apache-2.0
#include "sim/run_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "tests/sim/recorded_run.h"

namespace coppice {
namespace {

const std::string& manifest() {
  static const std::string text = recorded_manifest({});
  return text;
}

std::string round_line(std::uint64_t round) {
  return cat(R"({"event":"round","round":)", round, R"(,"time_s":)", round * 60,
             R"(,"released":true})", "\n");
}

TEST(RunRecord, ReadsEveryFieldOfALine) {
  const std::string events =
      R"({"event":"round","round":3,"started_s":1.5,"time_s":9.25,"asked":30,"accepted":27,)"
      R"("declined":2,"trained":25,"counted":24,"dropped":{"answer":1,"training":2,"masking":3,)"
      R"("uploading":4,"unmasking":5,"late":6},"bytes_down":100,"bytes_up":200,"joules":2.5,)"
      R"("metrics":{"loss_after":3.25,"loss_before":null},"released":true,"reason":"","version":2,)"
      R"("release_sha256":"ab","epsilon":1.25,"noise_multiplier":0.8,"clip_norm":0.5,)"
      R"("clipped":0.125,"clamped":0.0625,"cosine_mean":0.5,"cosine_p10":0.25,"cosine_p90":0.75,)"
      R"("product_gap":0.03125,"tokens":4096})"
      "\n"
      R"({"event":"client","round":3,"client":7,"name":"Kit","class":"phone","seen":false,)"
      R"("train_bytes":10,"report_bytes":11,"base":2.5,"shared":2.25,"personal":2.0,"local":3.0,)"
      R"("served":"personal","harmed":false})"
      "\n";
  const auto run = parse_run(events, manifest());
  ASSERT_TRUE(run.ok()) << run.error().message;
  const PlayedRoundEvent& round = run->rounds.at(0);
  EXPECT_EQ(round.round, 3U);
  EXPECT_EQ(round.started_s, 1.5);
  EXPECT_EQ(round.time_s, 9.25);
  EXPECT_EQ(round.asked, 30U);
  EXPECT_EQ(round.accepted, 27U);
  EXPECT_EQ(round.declined, 2U);
  EXPECT_EQ(round.trained, 25U);
  EXPECT_EQ(round.counted, 24U);
  EXPECT_EQ(round.dropped.unmasking, 5U);
  EXPECT_EQ(round.dropped.total(), 21U);
  EXPECT_EQ(round.bytes_up, 200);
  EXPECT_EQ(round.metrics.at(0), (std::pair<std::string, double>{"loss_after", 3.25}));
  EXPECT_TRUE(std::isnan(round.metrics.at(1).second));
  EXPECT_EQ(round.epsilon, 1.25);
  EXPECT_EQ(round.cosine_p90, 0.75);
  EXPECT_EQ(round.product_gap, 0.03125);
  EXPECT_EQ(round.tokens, 4096U);
  EXPECT_EQ(run->release_sha256(), "ab");
  const ClientEvent& client = run->clients.at(0);
  EXPECT_EQ(client.name, "Kit");
  EXPECT_EQ(client.device_class, "phone");
  EXPECT_FALSE(client.seen);
  EXPECT_EQ(client.local, 3.0);
  EXPECT_EQ(client.served, "personal");
}

TEST(RunRecord, ReadsAWholeRunAndItsManifest) {
  const RunRecord run = read_recorded({.noise_multiplier = 1});
  EXPECT_EQ(run.rounds.size(), 40U);
  EXPECT_EQ(run.clients.size(), 60U);
  EXPECT_TRUE(run.ended);
  EXPECT_FALSE(run.torn);
  EXPECT_EQ(run.end.rounds, 40U);
  EXPECT_EQ(run.end.released, 37U); // rounds 9, 22 and 35 are abandoned
  EXPECT_EQ(run.manifest.name, "quickstart");
  EXPECT_EQ(run.manifest.setting("lora.r"), "8");
  EXPECT_EQ(run.manifest.setting("no.such"), "");
  EXPECT_EQ(run.manifest.simulation_only.size(), 1U);
  EXPECT_EQ(run.events_sha256,
            to_hex(sha256(as_bytes(recorded_events({.noise_multiplier = 1}))).span()));
}

TEST(RunRecord, KnowsNothingWhereALineLeavesFieldsOut) {
  const RunRecord run = read_recorded({.everything = false});
  EXPECT_TRUE(std::isnan(run.rounds.front().epsilon));
  EXPECT_TRUE(std::isnan(run.rounds.front().cosine_mean));
  EXPECT_TRUE(run.rounds.front().metrics.empty());
  EXPECT_TRUE(std::isnan(run.evaluations.front().nats_per_token));
}

// A run that diverged says null where a loss should be.
TEST(RunRecord, TakesALossThatIsNotANumber) {
  const auto run = parse_run(R"({"event":"evaluation","round":1,"time_s":1,"set":"global",)"
                             R"("adapter":"shared","bits_per_byte":null})"
                             "\n",
                             manifest());
  ASSERT_TRUE(run.ok()) << run.error().message;
  EXPECT_TRUE(std::isnan(run->evaluations.at(0).bits_per_byte));
}

// SIGKILL may cut the log anywhere: what was whole is read, what wasn't is said to be torn.
TEST(RunRecord, LeavesATornLastLineOut) {
  const std::string whole = round_line(1) + round_line(2);
  const std::string next = round_line(3);
  for (std::size_t kept = 0; kept < next.size(); ++kept) {
    const auto run = parse_run(whole + next.substr(0, kept), manifest());
    ASSERT_TRUE(run.ok()) << run.error().message;
    EXPECT_EQ(run->rounds.size(), 2U);
    EXPECT_EQ(run->torn, kept > 0);
    EXPECT_FALSE(run->ended);
    EXPECT_EQ(run->end.rounds, 2U);
    EXPECT_EQ(run->end.time_s, 120);
    EXPECT_EQ(run->events_sha256, to_hex(sha256(as_bytes(whole)).span()));
  }
}

TEST(RunRecord, SkipsLinesOfAKindThatItDoesNotKnow) {
  const auto run = parse_run("{\"event\":\"weather\",\"rain\":true}\n" + round_line(1), manifest());
  ASSERT_TRUE(run.ok()) << run.error().message;
  EXPECT_EQ(run->rounds.size(), 1U);
}

TEST(RunRecord, NamesTheLineThatIsWrong) {
  const auto complaint = [](const std::string& line) {
    const auto run = parse_run(round_line(1) + round_line(5) + line + "\n", manifest());
    EXPECT_FALSE(run.ok()) << line;
    return run.ok() ? std::string() : run.error().message;
  };
  using testing::HasSubstr;
  for (const char* line :
       {"", "[]", "nonsense", R"({"round":6})", R"({"event":"round","round":6})",
        R"({"event":"round","round":"6","time_s":1,"released":true})",
        R"({"event":"round","round":5,"time_s":1,"released":true})",
        R"({"event":"client","round":6,"client":1,"base":2,"shared":"low"})",
        R"({"event":"round","round":6,"time_s":1,"released":true,"dropped":3})"}) {
    EXPECT_THAT(complaint(line), HasSubstr("events.jsonl, line 3")) << line;
  }
  const auto large = parse_run(std::string(kMostLineBytes + 1, ' ') + "\n", manifest());
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.error().code, ErrorCode::kTooLarge);
}

TEST(RunRecord, RefusesLinesAfterTheEnd) {
  const auto run = parse_run("{\"event\":\"end\",\"rounds\":0}\n" + round_line(1), manifest());
  ASSERT_FALSE(run.ok());
  EXPECT_EQ(run.error().code, ErrorCode::kCorrupt);
}

TEST(RunRecord, RefusesAManifestOfAnotherKind) {
  for (const char* text : {"", "{}", R"({"schema":"coppice.sim_manifest.v2","name":"a","seed":1})",
                           R"({"schema":"coppice.sim_manifest.v1","name":"a"})"}) {
    const auto run = parse_run("", text);
    ASSERT_FALSE(run.ok()) << text;
    EXPECT_TRUE(run.error().message.starts_with("manifest.json: ")) << run.error().message;
  }
  EXPECT_EQ(read_run("no/such/folder").error().code, ErrorCode::kNotFound);
}

} // namespace
} // namespace coppice
