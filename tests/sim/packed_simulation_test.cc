// SPDX-License-Identifier: Apache-2.0
// A simulation whose clients train side by side, as on a GPU: by the packed engine on the CPU.
#include <gtest/gtest.h>

#include <cmath>

#include "base/text.h"
#include "model/graph/packed/packed_engine.h"
#include "model/native/native_engine.h"
#include "tests/aggregator/temporary_folder.h"
#include "tests/sim/small_simulation.h"

namespace coppice {
namespace {

Scenario scenario_of_packs(const std::vector<Override>& more) {
  // Texts of several sequences a step, and an early stop within a pack.
  std::vector<Override> set{{"rounds", "2", ""},
                            {"pack", "4", ""},
                            {"training.max_steps", "3", ""},
                            {"training.batch_tokens", "96", ""},
                            {"training.max_length", "48", ""},
                            {"training.eval_steps", "1", ""},
                            {"training.early_stopping_patience", "2", ""},
                            {"report.every", "2", ""}};
  set.insert(set.end(), more.begin(), more.end());
  return scenario_with(set);
}

SimulationParts packed_parts(Scenario scenario) {
  SimulationParts parts = parts_of(std::move(scenario), [](std::shared_ptr<const BaseModel> base) {
    return graph::packed::make_packed_engine(std::move(base),
                                             {.precision = EnginePrecision::kFloat32});
  });
  parts.packs = parts.engine(0).value()->info().packs;
  EXPECT_TRUE(parts.packs);
  return parts;
}

// The mean of what clients said of their gate text, by round.
std::vector<double> losses_in(const fs::path& out, const char* metric) {
  std::vector<double> losses;
  const Bytes events = read_file(out / kEventsFile, 1U << 20U).value();
  for (const std::string& line : split(as_text(events), '\n')) {
    if (line.empty()) continue;
    const Json event = parse_json(line).value();
    if (event["event"] == "round") losses.push_back(event["metrics"][metric].get<double>());
  }
  return losses;
}

TEST(PackedSimulation, AnyNumberOfWorkersGivesTheSameReleasesAndEvents) {
  const TemporaryFolder folder;
  const Played one =
      play(folder.path() / "1", packed_parts(scenario_of_packs({{"workers", "1", ""}})));
  ASSERT_EQ(one.releases.size(), 2U);
  EXPECT_NE(one.releases[0], one.releases[1]);
  const Played two =
      play(folder.path() / "2", packed_parts(scenario_of_packs({{"workers", "2", ""}})));
  EXPECT_EQ(two.releases, one.releases);
  EXPECT_EQ(two.events, one.events);
}

// Both compute in float32 here, so what is left is rounding, which a few steps hardly grow.
TEST(PackedSimulation, LosesWhatOneClientAfterAnotherLoses) {
  const TemporaryFolder folder;
  const Played packed = play(folder.path() / "packed", packed_parts(scenario_of_packs({})));
  const Played native =
      play(folder.path() / "native",
           parts_of(scenario_of_packs({}), [](std::shared_ptr<const BaseModel> base) {
             return open_native_engine(std::move(base), {.precision = EnginePrecision::kFloat32});
           }));
  EXPECT_EQ(packed.releases.size(), native.releases.size());
  for (const char* metric : {kMetricLossBefore, kMetricLossAfter}) {
    const auto here = losses_in(folder.path() / "packed", metric);
    const auto there = losses_in(folder.path() / "native", metric);
    ASSERT_EQ(here.size(), there.size());
    for (std::size_t i = 0; i < here.size(); ++i) {
      EXPECT_GT(here[i], 0);
      EXPECT_NEAR(here[i], there[i], 1e-3 * there[i]) << metric << " of round " << i + 1;
    }
  }
}

} // namespace
} // namespace coppice
