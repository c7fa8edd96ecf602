// SPDX-License-Identifier: Apache-2.0
#include "base/sum_of_squares.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"

namespace coppice {
namespace {

TEST(SumOfSquares, IsThatOfLongerNumbersAtEveryLength) {
  KeyedRandom random({.experiment = 5});
  std::vector<float> values;
  long double exact = 0;
  for (std::size_t n = 0; n < 200; ++n) {
    // Each of n additions of nonnegative numbers is right to half an ulp, and each square exact.
    ASSERT_NEAR(sum_of_squares(values), static_cast<double>(exact),
                static_cast<double>(n) * 0x1p-53 * static_cast<double>(exact))
        << n;
    values.push_back(2 * random.uniform_float() - 1);
    exact += static_cast<long double>(values.back()) * static_cast<long double>(values.back());
  }
}

TEST(SumOfSquares, OfTheLargestFloatsIsFiniteAndOfOthersIsNot) {
  std::vector<float> values(1000, std::numeric_limits<float>::max());
  EXPECT_TRUE(std::isfinite(sum_of_squares(values)));
  for (const std::size_t place : {0U, 17U, 999U}) {
    std::vector<float> bad = values;
    bad[place] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_FALSE(std::isfinite(sum_of_squares(bad))) << place;
    bad[place] = -std::numeric_limits<float>::infinity();
    EXPECT_FALSE(std::isfinite(sum_of_squares(bad))) << place;
  }
}

} // namespace
} // namespace coppice
