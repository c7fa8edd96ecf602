// SPDX-License-Identifier: Apache-2.0
#include "adapters/upload_codec.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "base/random.h"

namespace coppice {
namespace {

using ::testing::ElementsAre;

std::int32_t signed_element(std::uint32_t element, RingBits bits) {
  const std::int64_t size = std::int64_t{1} << bits.value;
  return static_cast<std::int32_t>(element < size / 2 ? element : element - size);
}

class LevelsTest : public ::testing::TestWithParam<UploadCodec> {
 protected:
  std::uint32_t levels_ = levels_of(GetParam());
};

// Every value of a grid across the bound and beyond it: integers on both sides of the scaled value
// and no others, in the share that makes the mean right.
TEST_P(LevelsTest, EachValueIsRoundedToOneOfTheNextTwoWithItsOwnMean) {
  constexpr double kBound = 0.37;
  constexpr int kDraws = 4000;
  const RingBits bits = fewest_ring_bits(levels_, 1, 1).value();
  const RingEncoding encoding{.bound = kBound, .scale = level_scale(levels_, kBound), .bits = bits};
  std::vector<float> values;
  for (int i = -130; i <= 130; ++i) values.push_back(static_cast<float>(i * kBound / 100));
  std::vector<double> sums(values.size());
  std::set<std::int32_t> seen;
  KeyedRandom random({.experiment = levels_});
  for (int draw = 0; draw < kDraws; ++draw) {
    const auto elements = ring_encode(values, encoding, random).value();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::int32_t integer = signed_element(elements[i], bits);
      const double exact =
          std::clamp(static_cast<double>(values[i]), -kBound, kBound) * encoding.scale;
      EXPECT_LT(std::abs(integer - exact), 1);
      sums[i] += integer;
      seen.insert(integer);
    }
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double exact =
        std::clamp(static_cast<double>(values[i]), -kBound, kBound) * encoding.scale;
    const double fraction = exact - std::floor(exact);
    const double deviation = std::sqrt(fraction * (1 - fraction) / kDraws);
    EXPECT_NEAR(sums[i] / kDraws, exact, 5 * deviation + 1e-7) << values[i];
  }
  EXPECT_EQ(*seen.rbegin(), static_cast<std::int32_t>(levels_));
  EXPECT_EQ(*seen.begin(), -static_cast<std::int32_t>(levels_));
  EXPECT_EQ(seen.size(), 2 * levels_ + 1);
}

// Whatever the bound is: its own scaled value is never above the last level.
TEST_P(LevelsTest, NoBoundIsScaledBeyondTheLastLevel) {
  KeyedRandom random({.experiment = 3});
  for (int i = 0; i < 10'000; ++i) {
    const double bound = std::exp(40 * random.uniform_double() - 20);
    const double scale = level_scale(levels_, bound);
    EXPECT_LE(bound * scale, levels_);
    EXPECT_GT(bound * scale, levels_ * (1 - 1e-15));
  }
}

// The worst sum by itself: all devices at the last level, at the largest weight, and rounded up.
TEST_P(LevelsTest, TheRingHoldsTheWorstSumAndOneBitLessWouldNot) {
  for (const std::uint64_t clients : {1U, 2U, 10U, 1000U, 100'000U}) {
    for (const std::uint64_t weight : {1U, 8U}) {
      const std::uint64_t worst = clients * weight * (levels_ + 1);
      const std::uint32_t bits = fewest_ring_bits(levels_, clients, weight).value().value;
      EXPECT_LT(worst, std::uint64_t{1} << (bits - 1));
      EXPECT_GE(worst, std::uint64_t{1} << (bits - 2));
    }
  }
  EXPECT_EQ(fewest_ring_bits(levels_, std::uint64_t{1} << 31U, 1).error().code,
            ErrorCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(, LevelsTest, ::testing::Values(UploadCodec::kInt8, UploadCodec::kInt4));

TEST(Levels, OfAThousandDevicesTake18BitsOr14) {
  EXPECT_EQ(fewest_ring_bits(127, 1000, 1).value().value, 18U);
  EXPECT_EQ(fewest_ring_bits(7, 1000, 1).value().value, 14U);
}

TEST(Turns, EachValueIsSentExactlyOnceInEveryCycleAndCyclesDiffer) {
  constexpr std::size_t kSize = 103;
  for (const std::uint32_t turns : {1U, 2U, 7U, 10U, 200U}) {
    std::vector<std::vector<std::uint32_t>> orders;
    for (std::uint64_t cycle = 0; cycle < 4; ++cycle) {
      std::vector<int> sent(kSize);
      orders.emplace_back();
      for (std::uint64_t round = 1 + cycle * turns; round <= (cycle + 1) * turns; ++round) {
        const Turn turn = turn_of_round(5, round, turns);
        EXPECT_EQ(turn, turn_of_round(5, round, turns));
        orders.back().push_back(turn.turn);
        for (std::size_t i = turn.next(0); i < kSize; i = turn.next(i + 1)) sent[i] += 1;
      }
      EXPECT_THAT(sent, ::testing::Each(1)) << turns << " turns, cycle " << cycle;
    }
    if (turns > 2) {
      EXPECT_NE(orders[0], orders[1]);
    }
  }
}

// Against a count by hand, from any place on: slots are such stretches.
TEST(Turns, AStretchHoldsAsManyAsAreSentOfIt) {
  for (std::uint32_t turns = 1; turns <= 5; ++turns) {
    for (std::uint32_t t = 0; t < turns; ++t) {
      const Turn turn{turns, t};
      for (std::size_t first = 0; first < 12; ++first) {
        for (std::size_t size = 0; size < 12; ++size) {
          std::size_t expected = 0;
          for (std::size_t i = first; i < first + size; ++i) expected += i % turns == t ? 1 : 0;
          EXPECT_EQ(turn.count(first, size), expected) << turns << t << first << size;
        }
      }
    }
  }
}

TEST(Turns, WhatIsSentIsPutBackInItsPlaceAmongZeros) {
  const Turn turn{.turns = 3, .turn = 1};
  std::vector<float> all(8);
  std::iota(all.begin(), all.end(), 0.0F);
  const auto sent = values_in_turn(all, turn);
  EXPECT_THAT(sent, ElementsAre(1, 4, 7));
  EXPECT_THAT(spread_in_turn({sent.begin(), sent.end()}, turn, all.size()),
              ElementsAre(0, 1, 0, 0, 4, 0, 0, 7));
  EXPECT_EQ(values_in_turn(all, {}), all);
}

TEST(Turns, NoTurnSendsMoreThanTheShare) {
  EXPECT_EQ(turns_of_share(1), 1U);
  EXPECT_EQ(turns_of_share(0.5), 2U);
  EXPECT_EQ(turns_of_share(0.3), 4U);
  EXPECT_EQ(turns_of_share(0.1), 10U);
  EXPECT_EQ(turns_of_share(0.01), 100U);
  EXPECT_EQ(turns_of_share(0.001), 1000U);
}

} // namespace
} // namespace coppice
