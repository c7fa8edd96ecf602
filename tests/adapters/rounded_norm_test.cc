// SPDX-License-Identifier: Apache-2.0
#include "adapters/rounded_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

namespace coppice {
namespace {

TEST(RoundedNormTest, TheBoundIsThePublishedMinimum) {
  // Kairouz, Liu, Steinke 2021, written out with ln and beta instead of the root that is 1.
  for (const std::uint64_t d : {1U, 2U, 7U, 1000U, 1U << 20U}) {
    for (const double c : {0.0, 0.01, 1.0, 30.0, 5000.0}) {
      const double beta = std::exp(-0.5);
      const double root = std::sqrt(static_cast<double>(d));
      const double likely =
          c * c + static_cast<double>(d) / 4 + std::sqrt(2 * std::log(1 / beta)) * (c + root / 2);
      const double certain = std::pow(c + root, 2);
      EXPECT_DOUBLE_EQ(rounded_norm_squared(c, d), std::min(likely, certain)) << d << ", " << c;
    }
  }
}

TEST(RoundedNormTest, ThreePercentOfInflationNeedThePublishedScales) {
  EXPECT_EQ(std::ceil(least_norm_for_inflation(1U << 18U, 0.03)), 1048);
  EXPECT_EQ(std::ceil(least_norm_for_inflation(1U << 20U, 0.03)), 2085);
  EXPECT_EQ(std::ceil(least_norm_for_inflation(1U << 23U, 0.03)), 5879);
}

TEST(RoundedNormTest, TheLeastNormIsInflatedByExactlyTheFactorAsked) {
  for (const std::uint64_t d : {1U, 3U, 155'648U, 1U << 28U}) {
    for (const double inflation : {0.001, 0.03, 0.5, 2.0}) {
      const double norm = least_norm_for_inflation(d, inflation);
      const double reached = std::sqrt(rounded_norm_squared(norm, d)) / norm;
      EXPECT_NEAR(reached, 1 + inflation, 1e-12) << d;
      const double below = norm * 0.999; // shorter vectors are lengthened by more
      EXPECT_GT(std::sqrt(rounded_norm_squared(below, d)) / below, 1 + inflation) << d;
    }
  }
}

TEST(RoundedNormTest, NoIntegerVectorIsLongerInL1ThanItsBoundAndSomeReachIt) {
  int reached = 0;
  for (int a = -3; a <= 3; ++a) {
    for (int b = -3; b <= 3; ++b) {
      for (int c = -3; c <= 3; ++c) {
        const double l2 = std::sqrt(a * a + b * b + c * c);
        const double l1 = std::abs(a) + std::abs(b) + std::abs(c);
        ASSERT_LE(l1, l1_bound(l2, 3) + 1e-12) << a << b << c;
        if (l1 >= l1_bound(l2, 3) - 1e-12) ++reached;
      }
    }
  }
  // Entries of -1, 0 and 1 reach the square; entries all alike the other: 2 and 3 with 8 signs.
  EXPECT_EQ(reached, 27 + 2 * 8);
}

} // namespace
} // namespace coppice
