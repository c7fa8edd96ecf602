// SPDX-License-Identifier: Apache-2.0
// Randomness that can't be seeded can fail a test by chance: each bound says how rarely.
#include "crypto/secret_random.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <set>
#include <type_traits>
#include <vector>

#include "base/random.h"

namespace coppice {
namespace {

static_assert(!std::is_convertible_v<SecretRandom, KeyedRandom>);
static_assert(!std::is_constructible_v<SecretRandom, RandomKey>);
static_assert(!std::is_constructible_v<SecretRandom, std::uint64_t>);

TEST(SecretRandomTest, FillsEveryByteAndNeverRepeats) {
  const SecretRandom random;
  std::vector<std::uint8_t> ever(100, 0);
  for (int i = 0; i < 20; ++i) { // a byte that stays 0 by chance: 100 * 2^-160
    std::vector<std::uint8_t> bytes(100, 0);
    random.fill(bytes);
    for (std::size_t at = 0; at < bytes.size(); ++at) ever[at] |= bytes[at];
  }
  for (const std::uint8_t byte : ever) EXPECT_NE(byte, 0);

  std::set<std::array<std::uint8_t, 16>> seen;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(seen.insert(random.bytes<16>()).second); // 2^-108
  EXPECT_FALSE(random.secret<32>() == random.secret<32>());
}

TEST(SecretRandomTest, HalfOfTheBitsAreOnes) {
  const SecretRandom random;
  constexpr int kDraws = 10000;
  double ones = 0;
  for (int i = 0; i < kDraws; ++i) ones += std::popcount(random.u64());
  const double sigma = std::sqrt(64.0 * kDraws * 0.25);
  EXPECT_NEAR(ones, 32.0 * kDraws, 7 * sigma); // chance 2.6e-12
}

TEST(SecretRandomTest, BelowHasNoBiasWhereModuloWouldHave) {
  // With bound 3 * 2^62, `u64 % bound` gives the lowest third half of the time.
  const SecretRandom random;
  constexpr std::uint64_t kThird = std::uint64_t{1} << 62U;
  constexpr int kDraws = 10000;
  double lowest = 0;
  for (int i = 0; i < kDraws; ++i) {
    const std::uint64_t value = random.below(3 * kThird);
    ASSERT_LT(value, 3 * kThird);
    if (value < kThird) ++lowest;
  }
  const double sigma = std::sqrt(kDraws * (1.0 / 3) * (2.0 / 3));
  EXPECT_NEAR(lowest, kDraws / 3.0, 7 * sigma); // chance 2.6e-12; the bias would be 35 sigma
}

TEST(SecretRandomTest, BelowReachesEveryValueOfASmallRange) {
  const SecretRandom random;
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.below(5)); // misses one: 5 * 0.8^1000 = 6e-97
  EXPECT_EQ(seen, (std::set<std::uint64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(random.below(1), 0U);
}

} // namespace
} // namespace coppice
