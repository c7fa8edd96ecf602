// SPDX-License-Identifier: Apache-2.0
// Uploads that arrive after their round (fedbuff): a fleet with stragglers doesn't wait for them,
// and what they bring counts; to the same bits for any number of workers, and after a stop
// anywhere.
#include <gtest/gtest.h>

#include <fstream>

#include "base/text.h"
#include "model/native/native_engine.h"
#include "tests/aggregator/temporary_folder.h"
#include "tests/sim/small_simulation.h"

namespace coppice {
namespace {

// A third of the devices trains for a minute where the others take six seconds.
std::vector<Override> stragglers(const char* strategy) {
  return {{"round.strategy", strategy, ""},
          {"strategy.buffer", "3", ""},
          {"strategy.max_staleness", "4", ""},
          {"round.secure_aggregation", "false", ""},
          {"round.min_train_nodes", "3", ""},
          {"round.deadline", "30m", ""},
          {"round.max_train_nodes", "8", ""},
          {"rounds", "5", ""},
          {"report.every", "5", ""},
          {"population.drop_while_training", "0", ""},
          {"population.classes",
           "fast share=2 tokens_per_s=20 down=10MB up=10MB spread=0.2,"
           "slow share=1 tokens_per_s=2 down=10MB up=10MB spread=0.2",
           ""}};
}

SimulationParts parts_with(std::vector<Override> set, const std::vector<Override>& more) {
  set.insert(set.end(), more.begin(), more.end());
  return parts_of(scenario_with(set), [](std::shared_ptr<const BaseModel> base) {
    return open_native_engine(std::move(base), EngineOptions{});
  });
}

std::vector<Json> rounds_of(const fs::path& out) {
  std::vector<Json> rounds;
  std::ifstream events(out / kEventsFile);
  for (std::string line; std::getline(events, line);) {
    Json event = parse_json(line).value();
    if (event["event"] == "round") rounds.push_back(std::move(event));
  }
  return rounds;
}

TEST(LateUploadsSimulation, AFleetWithStragglersReleasesFasterAndTheirUploadsCount) {
  const TemporaryFolder folder;
  const std::vector<Override> all{
      {"training.kind", "none", ""}, {"round.max_train_nodes", "12", ""}, {"rounds", "24", ""}};
  play(folder.path() / "fedavg", parts_with(stragglers("fedavg"), all));
  play(folder.path() / "fedbuff", parts_with(stragglers("fedbuff"), all));
  const auto fedavg = rounds_of(folder.path() / "fedavg");
  const auto fedbuff = rounds_of(folder.path() / "fedbuff");
  ASSERT_EQ(fedavg.size(), 24U);
  ASSERT_EQ(fedbuff.size(), 24U);
  double late = 0;
  double stalest = 0;
  double given_up = 0;
  const Json* before = nullptr;
  for (const Json& round : fedbuff) {
    EXPECT_TRUE(round["released"]);
    if (before != nullptr && round["started_s"] == (*before)["time_s"]) {
      EXPECT_LE(round["asked"].get<int>() + (*before)["under_way"].get<int>(), 12);
    }
    before = &round;
    late += round["late"].get<double>();
    stalest = std::max(stalest, round["staleness"].get<double>());
    given_up += round["stale"].get<double>();
  }
  EXPECT_GT(late, 0);
  EXPECT_GT(stalest, 0);
  EXPECT_LE(stalest, 4);
  EXPECT_GT(given_up, 0); // stragglers beyond max_staleness: they cost nobody anything
  EXPECT_LT(fedbuff[23]["time_s"].get<double>(), fedavg[23]["time_s"].get<double>() / 4);
}

TEST(LateUploadsSimulation, TheBitsAreTheSameForAnyWorkersAndAfterAStopAtAnyRound) {
  const TemporaryFolder folder;
  // Slow ones are a few releases late, and count.
  const std::vector<Override> more{{"rounds", "6", ""},
                                   {"population.classes",
                                    "fast share=2 tokens_per_s=20 down=10MB up=10MB spread=0.2,"
                                    "slow share=1 tokens_per_s=7 down=10MB up=10MB spread=0.2",
                                    ""}};
  auto one = more;
  one.push_back({"workers", "1", ""});
  auto three = more;
  three.push_back({"workers", "3", ""});
  const Played whole = play(folder.path() / "1", parts_with(stragglers("fedbuff"), one));
  ASSERT_EQ(whole.releases.size(), 6U);
  double late = 0;
  for (const Json& round : rounds_of(folder.path() / "1")) late += round["late"].get<double>();
  EXPECT_GT(late, 0);
  const fs::path parts = folder.path() / "parts";
  EXPECT_EQ(play_in_parts(parts, [&] { return parts_with(stragglers("fedbuff"), three); }),
            whole.releases);
  EXPECT_EQ(sha256_file(parts / kEventsFile).value(), whole.events);
}

TEST(LateUploadsSimulation, WithABufferOfAllItIsFedavg) {
  const TemporaryFolder folder;
  const std::vector<Override> all{{"strategy.buffer", "12", ""}, {"rounds", "2", ""}};
  const Played fedavg = play(folder.path() / "1", parts_with(stragglers("fedavg"), all));
  const Played fedbuff = play(folder.path() / "2", parts_with(stragglers("fedbuff"), all));
  ASSERT_EQ(fedavg.releases.size(), 2U);
  EXPECT_EQ(fedbuff.releases, fedavg.releases);
}

class OneOfTwo final : public Ranks {
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

TEST(LateUploadsSimulation, SeveralProcessesAreRefusedWithTheReason) {
  OneOfTwo two;
  const auto refused = Simulation::open(parts_with(stragglers("fedbuff"), {}), two, {}).error();
  EXPECT_EQ(refused.code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.message.find("count in a later one"), std::string::npos) << refused.message;
}

TEST(LateUploadsSimulation, WhatIsUnderWayIsPartOfARunsState) {
  LateRound round;
  round.plan.round = RoundId{4};
  round.plan.slots = {{"t.lora_a", SlotKind::kDelta, 2, -1, 1, 100, RingBits{16}}};
  round.starts = Nanos{5};
  round.devices = {{.device = 3, .at = Nanos{9}, .elements = {}},
                   {.device = 8,
                    .at = Nanos{7},
                    .elements = {1, 0xffff},
                    .tokens = 40,
                    .clamped = 2,
                    .clipped = true}};
  ByteWriter writer;
  put_late(writer, {&round, 1});
  const Bytes bytes = std::move(writer).take();
  ByteReader reader(bytes);
  const auto back = take_late(reader).value();
  ASSERT_EQ(back.size(), 1U);
  EXPECT_EQ(back[0].plan, round.plan);
  EXPECT_EQ(back[0].starts, round.starts);
  ASSERT_EQ(back[0].devices.size(), 2U);
  EXPECT_TRUE(back[0].devices[0].elements.empty());
  EXPECT_EQ(back[0].devices[1].elements, round.devices[1].elements);
  EXPECT_EQ(back[0].devices[1].tokens, 40U);
  EXPECT_EQ(back[0].devices[1].clamped, 2U);
  EXPECT_TRUE(back[0].devices[1].clipped);
  ByteReader cut(ByteSpan(bytes).first(bytes.size() - 1));
  EXPECT_FALSE(take_late(cut).ok());
}

} // namespace
} // namespace coppice
