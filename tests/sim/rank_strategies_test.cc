// SPDX-License-Identifier: Apache-2.0
// Runs whose devices train a part of the adapter's rank: strategies with a patch, and ranks by
// class.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "model/adapter_files.h"
#include "model/native/native_engine.h"
#include "tests/aggregator/temporary_folder.h"
#include "tests/sim/small_simulation.h"

namespace coppice {
namespace {

constexpr const char* kClasses =
    "small share=1 tokens_per_s=500 down=1MB up=1MB max_rank=1,"
    "large share=3 tokens_per_s=500 down=1MB up=1MB";

struct PlayedRun {
  std::vector<Json> rounds;   // events
  std::vector<double> shared; // bits a byte of the shared adapter
  std::optional<Adapter> last;
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
};

// Two rounds of six devices, who all come.
PlayedRun play_two(const fs::path& out, const char* strategy, std::vector<Override> more = {}) {
  more.insert(more.end(), {{"round.strategy", strategy, ""},
                           {"round.secure_aggregation", "false", ""},
                           {"rounds", "2", ""},
                           {"training.max_steps", "6", ""},
                           {"population.drop_while_training", "0", ""}});
  SimulationParts parts = parts_of(scenario_with(more), [](std::shared_ptr<const BaseModel> base) {
    return open_native_engine(std::move(base), EngineOptions{});
  });
  const auto base = parts.base;
  play(out, std::move(parts));
  PlayedRun made;
  const Bytes events = read_file(out / kEventsFile, 1U << 20U).value();
  for (const std::string& line : split(as_text(events), '\n')) {
    if (line.empty()) continue;
    Json event = parse_json(line).value();
    if (event["event"] == "evaluation" && event["adapter"] == "shared") {
      made.shared.push_back(event["bits_per_byte"]);
    }
    if (event["event"] == "round") {
      made.bytes_up += event["bytes_up"].get<std::uint64_t>();
      made.bytes_down += event["bytes_down"].get<std::uint64_t>();
      made.rounds.push_back(std::move(event));
    }
  }
  made.last = load_adapter(out / "adapters" / "round-2" / "adapter.gguf", base.get(),
                           PeftRows::kHuggingFace)
                  .value()
                  .adapter;
  return made;
}

// |A| of a rank and |B| of a rank of a target.
std::pair<double, double> norms(const Adapter& adapter, std::size_t target, std::size_t rank) {
  const AdapterTarget& shape = adapter.spec().targets[target];
  double a = 0, b = 0;
  for (std::size_t i = 0; i < shape.in; ++i) {
    a += std::pow(static_cast<double>(adapter.a(target)[rank * shape.in + i]), 2);
  }
  for (std::size_t row = 0; row < shape.out; ++row) {
    b += std::pow(static_cast<double>(adapter.b(target)[row * shape.rank + rank]), 2);
  }
  return {std::sqrt(a), std::sqrt(b)};
}

class RankStrategies : public ::testing::TestWithParam<const char*> {};

// The release holds both, so serving and evaluating it needs nothing more; devices send two ranks
// of six, and fetch all.
TEST_P(RankStrategies, APatchIsReleasedServedAndToldOf) {
  const TemporaryFolder folder;
  const PlayedRun plain = play_two(folder.path() / "plain", "fedavg");
  const PlayedRun patched = play_two(folder.path() / "patched", GetParam());
  EXPECT_EQ(plain.last->spec().targets[0].rank, 2U);
  EXPECT_EQ(patched.last->spec().targets[0].rank, 6U); // r = 2 and twice that
  EXPECT_FLOAT_EQ(patched.last->spec().scale(0), plain.last->spec().scale(0));
  EXPECT_GT(norms(*patched.last, 0, 2).second, 0);
  ASSERT_EQ(patched.shared.size(), 2U);
  EXPECT_LT(patched.shared[1], patched.shared[0]) << "it learned";
  for (const Json& round : patched.rounds) {
    EXPECT_TRUE(round["released"]) << round.dump();
    const double dropped = round["metrics"][kMetricPatchDropped];
    EXPECT_GE(dropped, 0);
    EXPECT_LT(dropped, 1);
  }
  EXPECT_NEAR(static_cast<double>(patched.bytes_up), static_cast<double>(plain.bytes_up),
              0.02 * static_cast<double>(plain.bytes_up));
  EXPECT_GT(patched.bytes_down, 2 * plain.bytes_down);
}
INSTANTIATE_TEST_SUITE_P(All, RankStrategies, ::testing::Values("fedex", "flora"));

// All of them: nobody trains the second rank, which stays as version 0 had it.
TEST(RanksByClass, WhatNoDeviceHasRoomForIsNotTrained) {
  const TemporaryFolder folder;
  const PlayedRun made = play_two(
      folder.path() / "run", "fedavg",
      {{"population.classes", "small share=1 tokens_per_s=500 down=1MB up=1MB max_rank=1", ""}});
  for (std::size_t target = 0; target < made.last->targets(); ++target) {
    EXPECT_GT(norms(*made.last, target, 0).second, 0);
    EXPECT_EQ(norms(*made.last, target, 1).second, 0);
    EXPECT_GT(norms(*made.last, target, 1).first, 0);
  }
}

TEST(RanksByClass, StrategiesTakeDevicesOfUnlikeRanks) {
  const TemporaryFolder folder;
  for (const char* strategy : {"fedavg", "flexlora", "hetlora", "fedex", "flora"}) {
    const PlayedRun made =
        play_two(folder.path() / strategy, strategy, {{"population.classes", kClasses, ""}});
    ASSERT_EQ(made.shared.size(), 2U) << strategy;
    EXPECT_LT(made.shared[1], made.shared[0]) << strategy;
    EXPECT_EQ(made.rounds.size(), 2U);
    for (const Json& round : made.rounds) EXPECT_TRUE(round["released"]) << round.dump();
    if (made.last->spec().targets[0].rank > 2) continue; // with a patch, which is everybody's
    EXPECT_GT(norms(*made.last, 0, 1).second, 0) << strategy;
  }
}

// Nothing is trained, and what is weighed is the model's: two ranks up, six down.
TEST(RankStrategiesWithoutTraining, WeighWhatTheModelsWould) {
  const TemporaryFolder folder;
  std::vector<Override> idle{{"training.kind", "none", ""},
                             {"round.secure_aggregation", "false", ""},
                             {"population.drop_while_training", "0", ""},
                             {"round.strategy", "fedex", ""}};
  auto made = RunFolder::create(folder.path() / "run", Json::object());
  auto simulation =
      Simulation::open(parts_of(scenario_with(idle),
                                [](std::shared_ptr<const BaseModel> base) {
                                  return open_native_engine(std::move(base), EngineOptions{});
                                }),
                       alone(), std::move(made).value());
  ASSERT_TRUE(simulation.ok()) << simulation.error().message;
  const auto end = (*simulation)->run(nullptr, {});
  ASSERT_TRUE(end.ok()) << end.error().message;
  // 4 layers of q (256 x 256) and v (256 x 128), 16 bits a parameter, 6 devices, 3 rounds.
  const std::uint64_t rank = 4 * ((256 + 256) + (256 + 128)) * 2;
  EXPECT_GT(end->bytes_up, 3 * 6 * 2 * rank);
  EXPECT_LT(end->bytes_up, 3 * 6 * (2 * rank + 3000));
  EXPECT_GT(end->bytes_down, 3 * 6 * 6 * rank);
  EXPECT_LT(end->bytes_down, 3 * 6 * (6 * rank + 6000));
}

} // namespace
} // namespace coppice
