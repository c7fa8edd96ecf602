// SPDX-License-Identifier: Apache-2.0
// Histories that find nothing prove nothing: each rule is broken on purpose, and found out.
#include <gtest/gtest.h>

#include "sim/protocol_history.h"

namespace coppice {
namespace {

// What brings each bug to light, as far as luck alone would take too long.
struct Plant {
  PlantedBug bug;
  const char* name;
  const char* promise; // in what is reported
  void (*help)(HistorySettings& settings);
};

void no_help(HistorySettings&) {}
void plain(HistorySettings& settings) { settings.secure_aggregation = false; }
void two_rounds(HistorySettings& settings) { settings.rounds = 2; }
void budget(HistorySettings& settings) {
  settings.rounds = 2;
  settings.noise = true;
}
void liar(HistorySettings& settings) { settings.lying_aggregator = true; }
void liar_in_a_storm(HistorySettings& settings) {
  liar(settings);
  settings.storm_percent = 97; // and yet most rounds come to their lists
  settings.drop_per_mille = 150;
  settings.repeat_per_mille = settings.decline_per_mille = 0;
  settings.crash_per_mille = 10;
  settings.leaving = settings.lying_devices = 0;
}
void liar_and_budget(HistorySettings& settings) {
  budget(settings);
  liar(settings);
}
// Owners that take five devices for too few, and plans that don't.
void floors_apart(HistorySettings& settings) {
  settings.devices = 6;
  settings.min_survivors = 3;
  settings.owner_floor = 6;
}
// Plans that need no honest server.
void graphs_apart(HistorySettings& settings) {
  settings.devices = 6;
  settings.min_survivors = 2;
  settings.owner_floor = 2;
  settings.plan = {.dropout = 0.5, .server = ServerModel::kSemiHonest};
  settings.owner = {};
}

const Plant kPlants[] = {
    {PlantedBug::kDeviceForgetsUsedOnceMark, "DeviceForgetsUsedOnceMark", "twice under one plan",
     plain},
    {PlantedBug::kDeviceForgetsAnswer, "DeviceForgetsAnswer", "answers two survivors' lists",
     liar_in_a_storm},
    {PlantedBug::kDeviceAnswersBeforeDisk, "DeviceAnswersBeforeDisk",
     "answers two survivors' lists", liar_in_a_storm},
    {PlantedBug::kDeviceMasksAgain, "DeviceMasksAgain", "twice under one plan", no_help},
    {PlantedBug::kDeviceRepeatsRandomness, "DeviceRepeatsRandomness", "one key twice", two_rounds},
    {PlantedBug::kDeviceIgnoresFloor, "DeviceIgnoresFloor", "below the floor", floors_apart},
    {PlantedBug::kDeviceIgnoresGraph, "DeviceIgnoresGraph", "below what the owner assumes",
     graphs_apart},
    {PlantedBug::kDeviceIgnoresOwnBit, "DeviceIgnoresOwnBit", "that it is not in", liar},
    {PlantedBug::kDeviceIgnoresSignatures, "DeviceIgnoresSignatures", "key that no device has",
     liar},
    {PlantedBug::kDeviceIgnoresSpend, "DeviceIgnoresSpend", "forgets what was spent",
     liar_and_budget},
    {PlantedBug::kAggregatorAcknowledgesEarly, "AggregatorAcknowledgesEarly",
     "acknowledged before its commit", no_help},
    {PlantedBug::kAggregatorAddsTwice, "AggregatorAddsTwice", "the sum is not that of", no_help},
    {PlantedBug::kAggregatorForgetsRoster, "AggregatorForgetsRoster", "two rosters", no_help},
    {PlantedBug::kAggregatorChangesSurvivors, "AggregatorChangesSurvivors", "", no_help},
    {PlantedBug::kAggregatorUnmasksOlderSum, "AggregatorUnmasksOlderSum", "the sum is not that of",
     no_help},
    {PlantedBug::kAggregatorReleasesBeforeSpend, "AggregatorReleasesBeforeSpend", "spen", budget},
    {PlantedBug::kAggregatorForgetsSpend, "AggregatorForgetsSpend", "what is spent", budget},
    {PlantedBug::kAggregatorIgnoresDeadline, "AggregatorIgnoresDeadline", "by its deadline",
     two_rounds},
};
static_assert(std::size(kPlants) + 1 == kPlantedBugs);

HistorySettings settings_of(std::uint64_t seed, const Plant& plant) {
  HistorySettings settings = random_history(seed);
  settings.secure_aggregation = true;
  settings.real_primitives = false;
  settings.owner_floor = settings.min_survivors;
  plant.help(settings);
  settings.bug = plant.bug;
  return settings;
}

class PlantedBugs : public testing::TestWithParam<Plant> {};

TEST_P(PlantedBugs, AreFoundWithinFiveThousandHistories) {
  constexpr std::uint64_t kMost = 5'000;
  for (std::uint64_t seed = 1; seed <= kMost; ++seed) {
    const HistoryOutcome outcome = run_history(seed, settings_of(seed, GetParam()));
    if (!outcome.broken) continue;
    EXPECT_NE(outcome.broken->find(GetParam().promise), std::string::npos) << *outcome.broken;
    RecordProperty("histories", static_cast<int>(seed));
    return;
  }
  FAIL() << "none of " << kMost << " histories found it";
}

// The same histories are fine without the bug.
TEST_P(PlantedBugs, AreAllThatIsWrong) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    HistorySettings settings = settings_of(seed, GetParam());
    settings.bug = PlantedBug::kNone;
    const HistoryOutcome outcome = run_history(seed, settings);
    ASSERT_FALSE(outcome.broken) << "seed " << seed << ": " << *outcome.broken;
  }
}

INSTANTIATE_TEST_SUITE_P(Each, PlantedBugs, testing::ValuesIn(kPlants),
                         [](const auto& each) { return std::string(each.param.name); });

} // namespace
} // namespace coppice
