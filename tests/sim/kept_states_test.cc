// SPDX-License-Identifier: Apache-2.0
#include "sim/kept_states.h"

#include <gtest/gtest.h>

#include "tests/aggregator/temporary_folder.h"

namespace coppice {
namespace {

KeptVectors vectors(float value) { return {{"correction", {value}}}; }

class KeptStatesTest : public ::testing::Test {
 protected:
  // Round `round`: each of `devices` makes the round's number, and those of `counted` count.
  void play(KeptStates& states, std::uint64_t round, const std::vector<DeviceNumber>& devices,
            const std::vector<DeviceNumber>& counted) {
    for (const DeviceNumber device : devices) {
      states.made(device, vectors(static_cast<float>(round)));
    }
    states.settle(counted);
    ASSERT_TRUE(states.store(folder_.path() / "kept", round).ok());
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_.path() / "kept"), fs::directory_iterator{}));
  }

  TemporaryFolder folder_;
};

TEST_F(KeptStatesTest, WhatWasNotCountedIsDropped) {
  KeptStates states;
  play(states, 1, {3, 4}, {3});
  EXPECT_EQ(states.counted(3), vectors(1));
  EXPECT_TRUE(states.counted(4).empty());
  states.settle(std::vector<DeviceNumber>{4}); // of a round in which it made nothing
  EXPECT_TRUE(states.counted(4).empty());
}

TEST_F(KeptStatesTest, EachStoredRoundAndTheOneBeforeItCanBeGoneOnFrom) {
  KeptStates states;
  play(states, 1, {1, 2}, {1, 2});
  play(states, 2, {2, 3}, {2, 3});
  play(states, 3, {1}, {1});
  for (const std::uint64_t round : {3U, 2U}) { // the state of round 3 may not have been written
    const TemporaryFolder copy;
    fs::copy(folder_.path() / "kept", copy.path() / "kept");
    KeptStates again;
    ASSERT_TRUE(again.restore(copy.path() / "kept", round).ok());
    EXPECT_EQ(again.counted(1), vectors(round == 3 ? 3 : 1));
    EXPECT_EQ(again.counted(2), vectors(2));
    EXPECT_EQ(again.counted(3), vectors(2));
  }
}

TEST_F(KeptStatesTest, ItHoldsAboutOneFileADevice) {
  KeptStates states;
  for (std::uint64_t round = 1; round <= 20; ++round) play(states, round, {1, 2}, {1, 2});
  EXPECT_LE(files(), 4U);
}

TEST_F(KeptStatesTest, ADamagedFileIsNotGoneOnFrom) {
  KeptStates states;
  play(states, 1, {1}, {1});
  Bytes bytes = read_file(folder_.path() / "kept" / "1-1", 1 << 20).value();
  bytes.back() ^= 1U;
  ASSERT_TRUE(write_file_atomically(folder_.path() / "kept" / "1-1", bytes).ok());
  EXPECT_EQ(KeptStates().restore(folder_.path() / "kept", 1).error().code, ErrorCode::kCorrupt);
}

} // namespace
} // namespace coppice
