// SPDX-License-Identifier: Apache-2.0
#include "sim/permutation.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/sim/chi_square.h"

namespace coppice {
namespace {

TEST(Permutation, EachNumberHasOnePlace) {
  for (std::uint64_t size = 1; size <= 300; ++size) {
    const Permutation order(size, {.experiment = size});
    std::vector<bool> seen(size);
    for (std::uint64_t place = 0; place < size; ++place) {
      const std::uint64_t value = order(place);
      ASSERT_LT(value, size);
      ASSERT_FALSE(seen[value]) << size;
      seen[value] = true;
    }
  }
}

TEST(Permutation, FollowsFromItsKey) {
  const Permutation order(1'000'000, {.experiment = 1, .round = 2});
  const Permutation same(1'000'000, {.experiment = 1, .round = 2});
  const Permutation other(1'000'000, {.experiment = 1, .round = 3});
  int equal = 0;
  for (std::uint64_t place = 0; place < 1'000; ++place) {
    EXPECT_EQ(order(place), same(place));
    equal += order(place) == other(place) ? 1 : 0;
  }
  EXPECT_LT(equal, 5);
}

TEST(Permutation, LargeSizesStayInside) {
  for (const std::uint64_t size : {(std::uint64_t{1} << 32U) + 1, std::uint64_t{1} << 62U}) {
    const Permutation order(size, {.experiment = 9});
    for (std::uint64_t place = 0; place < 100; ++place) EXPECT_LT(order(place), size);
  }
}

// Small sizes are the hardest for a Feistel network: its halves have a bit or two.
TEST(Permutation, FirstPairsAreUniformForSmallSizes) {
  for (const std::uint64_t size : {2U, 3U, 4U, 5U, 7U, 8U, 16U, 17U, 30U}) {
    std::vector<std::uint64_t> counts(size * size);
    const std::uint64_t times = 400 * size * size;
    for (std::uint64_t i = 0; i < times; ++i) {
      const Permutation order(size, {.experiment = 4, .round = i});
      ++counts[order(0) * size + order(1)];
    }
    std::vector<std::uint64_t> pairs;
    for (std::uint64_t a = 0; a < size; ++a) {
      for (std::uint64_t b = 0; b < size; ++b) {
        if (a != b) pairs.push_back(counts[a * size + b]);
      }
    }
    EXPECT_LT(chi_square_deviations(pairs), kChiSquareBound) << size;
  }
}

TEST(Permutation, EachPlaceIsUniform) {
  constexpr std::uint64_t kSize = 100;
  for (const std::uint64_t place : {std::uint64_t{0}, std::uint64_t{50}, std::uint64_t{99}}) {
    std::vector<std::uint64_t> counts(kSize);
    for (std::uint64_t i = 0; i < 400 * kSize; ++i) {
      ++counts[Permutation(kSize, {.experiment = 5, .round = i})(place)];
    }
    EXPECT_LT(chi_square_deviations(counts), kChiSquareBound) << place;
  }
}

} // namespace
} // namespace coppice
