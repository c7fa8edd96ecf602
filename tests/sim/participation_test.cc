// SPDX-License-Identifier: Apache-2.0
#include "sim/participation.h"

#include <gtest/gtest.h>

#include <cmath>

namespace coppice {
namespace {

Population population_of(std::uint64_t devices) {
  PopulationSettings settings;
  settings.classes.resize(1);
  settings.classes[0].name = "all";
  settings.classes[0].share = 1;
  return Population::make(settings, Availability::always(), devices, 1).value();
}

// Half the mean difference of any two devices over their mean: Gini's own definition.
double gini_by_pairs(const Population& population) {
  double differences = 0;
  double sum = 0;
  for (DeviceNumber i = 0; i < population.size(); ++i) {
    sum += population.row(i).rounds;
    for (DeviceNumber j = 0; j < population.size(); ++j) {
      differences += std::abs(1.0 * population.row(i).rounds - population.row(j).rounds);
    }
  }
  const auto devices = static_cast<double>(population.size());
  return differences / (2 * devices * sum);
}

TEST(Participation, CountsRoundByRoundWhatPairsOfDevicesGive) {
  Population population = population_of(20);
  Participation participation(population);
  EXPECT_TRUE(std::isnan(participation.gini()));
  for (std::uint64_t round = 0; round < 60; ++round) {
    const DeviceNumber device = round * round % 7; // 0, 1, 2 and 4, unequally often
    participation.add(population.row(device).rounds++);
    ASSERT_NEAR(participation.gini(), gini_by_pairs(population), 1e-12) << round;
  }
  EXPECT_EQ(participation.participants(), 4U);
  // As a run that is gone on with counts.
  EXPECT_DOUBLE_EQ(Participation(population).gini(), participation.gini());
}

TEST(Participation, IsEvenWhereAllTakePartAlikeAndNotWhereOneDoesIt) {
  Population all = population_of(10);
  Participation even(all);
  for (DeviceNumber device = 0; device < 10; ++device) even.add(0);
  EXPECT_DOUBLE_EQ(even.gini(), 0);
  Participation one(all);
  for (std::uint16_t round = 0; round < 5; ++round) one.add(round);
  EXPECT_DOUBLE_EQ(one.gini(), 0.9); // 1 - 1/n
}

} // namespace
} // namespace coppice
