// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <gmock/gmock.h>

#include <numeric>
#include <vector>

namespace coppice {
namespace {

using ::testing::ElementsAre;

// Random123's kat_vectors, philox4x32-10.
TEST(Philox, GivesThePublishedKnownAnswers) {
  EXPECT_THAT(philox4x32({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U));
  constexpr std::uint32_t kOnes = 0xffffffffU;
  EXPECT_THAT(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
              ElementsAre(0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU));
  EXPECT_THAT(
      philox4x32({0x243f6a88U, 0x85a308d3U, 0x13198a2eU, 0x03707344U}, {0xa4093822U, 0x299f31d0U}),
      ElementsAre(0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U));
}

TEST(KeyedRandom, EachPartOfTheKeyChangesTheStream) {
  const RandomKey base{.experiment = 1, .round = 2, .client = 3, .step = 4};
  std::vector<RandomKey> keys(6, base);
  keys[1].experiment = 9;
  keys[2].round = 9;
  keys[3].client = 9;
  keys[4].purpose = RandomPurpose::kText;
  keys[5].step = 9;
  std::vector<std::uint64_t> firsts;
  for (const RandomKey& key : keys) firsts.push_back(KeyedRandom(key).next_u64());
  std::sort(firsts.begin(), firsts.end());
  EXPECT_EQ(std::unique(firsts.begin(), firsts.end()), firsts.end());
  EXPECT_EQ(KeyedRandom(base).next_u64(), KeyedRandom(base).next_u64());
}

// Chi-square over 10 cells, 10^5 draws: above 33.7 has probability 1e-4 at 9 degrees of freedom.
TEST(KeyedRandom, ManyWordsAtOnceAreThoseOfOneByOne) {
  for (const std::size_t before : {0U, 1U, 3U, 4U, 6U}) {
    for (const std::size_t count : {0U, 1U, 5U, 63U, 64U, 65U, 67U, 200U, 1027U}) {
      KeyedRandom one({.experiment = 3}), many({.experiment = 3});
      for (std::size_t i = 0; i < before; ++i) ASSERT_EQ(one.next_u32(), many.next_u32());
      std::vector<std::uint32_t> words(count);
      many.fill(words);
      for (const std::uint32_t word : words) ASSERT_EQ(word, one.next_u32()) << before << count;
      ASSERT_EQ(one.next_u64(), many.next_u64()) << before << " " << count;
    }
  }
}

TEST(KeyedRandom, BelowIsUniform) {
  KeyedRandom random({.experiment = 7});
  std::vector<double> counts(10);
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) counts[random.below(10)] += 1;
  double chi_square = 0;
  for (const double count : counts) chi_square += (count - 1e4) * (count - 1e4) / 1e4;
  EXPECT_LT(chi_square, 33.7);
}

TEST(KeyedRandom, ShuffleKeepsTheItems) {
  std::vector<int> items(100);
  std::iota(items.begin(), items.end(), 0);
  const std::vector<int> before = items;
  KeyedRandom random({.experiment = 8});
  random.shuffle(std::span(items));
  EXPECT_NE(items, before);
  std::sort(items.begin(), items.end());
  EXPECT_EQ(items, before);
}

TEST(KeyedRandom, UniformStaysBelowOne) {
  KeyedRandom random({.experiment = 9});
  for (int i = 0; i < 10'000; ++i) {
    const float f = random.uniform_float();
    EXPECT_GE(f, 0.0F);
    EXPECT_LT(f, 1.0F);
    EXPECT_LT(random.uniform_double(), 1.0);
  }
}

} // namespace
} // namespace coppice
