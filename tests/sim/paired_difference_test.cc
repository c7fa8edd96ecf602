// SPDX-License-Identifier: Apache-2.0
// Student's t and intervals of means, against published tables and Student's own data.
#include "sim/paired_difference.h"

#include <gtest/gtest.h>

#include <limits>
#include <numbers>

#include "sim/student_t.h"

namespace coppice {
namespace {

// The table of the two-sided 5 % points that stands in every textbook (Fisher and Yates,
// Statistical Tables, table III), df 1 to 30.
TEST(StudentT, QuantilesAreThoseOfThePublishedTable) {
  constexpr double kTable[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                               2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                               2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                               2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
  double degrees = 1;
  for (const double published : kTable) {
    EXPECT_NEAR(student_t_quantile(0.975, degrees), published, 0.0005) << degrees;
    degrees += 1;
  }
  const double infinite = std::numeric_limits<double>::infinity();
  EXPECT_NEAR(student_t_quantile(0.975, infinite), 1.960, 0.0005);
}

// One degree is Cauchy's distribution, two have t = (2p - 1) sqrt(2 / (4 p (1 - p))).
TEST(StudentT, QuantilesOfOneAndTwoDegreesAreTheClosedForms) {
  for (const double p : {0.51, 0.6, 0.75, 0.9, 0.975, 0.995, 0.9999}) {
    const double one = std::tan(std::numbers::pi * (p - 0.5));
    const double two = (2 * p - 1) * std::sqrt(2 / (4 * p * (1 - p)));
    EXPECT_NEAR(student_t_quantile(p, 1) / one, 1, 1e-10) << p;
    EXPECT_NEAR(student_t_quantile(p, 2) / two, 1, 1e-10) << p;
    EXPECT_NEAR(student_t_quantile(1 - p, 2) / -two, 1, 1e-10) << p;
  }
}

// By SciPy 1.17: scipy.stats.t.ppf, scipy.stats.norm.ppf.
TEST(StudentT, QuantilesAreThoseOfSciPy) {
  const auto expect = [](double p, double degrees, double scipy) {
    EXPECT_NEAR(student_t_quantile(p, degrees) / scipy, 1, 1e-10) << p << " " << degrees;
  };
  expect(0.975, 3, 3.1824463052837078);
  expect(0.975, 4, 2.7764451051977934);
  expect(0.975, 29, 2.045229642132703);
  expect(0.975, 1000, 1.9623390808264083);
  expect(0.995, 5, 4.032142983555228);
  expect(0.9, 7, 1.4149239276505086);
  expect(0.75, 2.5, 0.7850136829922992);
  expect(0.975, std::numeric_limits<double>::infinity(), 1.959963984540054);
}

TEST(StudentT, TheDistributionIsWhatTheQuantileInverts) {
  for (const double degrees : {1.0, 2.0, 5.5, 30.0, 400.0}) {
    for (const double p : {0.01, 0.3, 0.5, 0.8, 0.999}) {
      EXPECT_NEAR(student_t_cdf(student_t_quantile(p, degrees), degrees), p, 1e-12);
    }
  }
}

// Student's sleep data: hours gained by ten patients under each of two drugs (Biometrika 1908). R's
// t.test(extra ~ group, data = sleep, paired = TRUE) prints -1.58, -2.4598858 and -0.7001142.
constexpr double kFirstDrug[] = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
constexpr double kSecondDrug[] = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};

TEST(PairedDifference, OfStudentsOwnDataIsWhatRPrints) {
  const MeanInterval difference = paired_difference(kFirstDrug, kSecondDrug);
  EXPECT_EQ(difference.count, 10U);
  EXPECT_NEAR(difference.mean, -1.58, 1e-12);
  EXPECT_NEAR(difference.low(), -2.4598858, 5e-8);
  EXPECT_NEAR(difference.high(), -0.7001142, 5e-8);
  EXPECT_TRUE(difference.excludes(0));
  EXPECT_FALSE(difference.excludes(-1));
}

// The first drug alone: its interval holds 0. By SciPy: ttest_1samp(...).confidence_interval().
TEST(PairedDifference, AMeanAloneHasAWiderInterval) {
  const MeanInterval mean = mean_interval(kFirstDrug);
  EXPECT_NEAR(mean.mean, 0.75, 1e-12);
  EXPECT_NEAR(mean.low(), -0.5297804135262321, 1e-10);
  EXPECT_NEAR(mean.high(), 2.029780413526232, 1e-10);
  EXPECT_FALSE(mean.excludes(0));
}

// Two pairs, by hand: differences 1 and 3, mean 2, s = sqrt(2), so 12.706 sqrt(2) / sqrt(2).
TEST(PairedDifference, TwoPairsHaveTheWidthOfOneDegree) {
  const double values[] = {2, 5};
  const double reference[] = {1, 2};
  const MeanInterval difference = paired_difference(values, reference);
  EXPECT_DOUBLE_EQ(difference.mean, 2);
  EXPECT_NEAR(difference.half_width, 12.706204736, 1e-8);
}

TEST(PairedDifference, LeavesOutPairsWhereEitherIsNoNumber) {
  const double values[] = {2, NAN, 4, INFINITY};
  const double reference[] = {1, 1, 2, 1};
  const MeanInterval difference = paired_difference(values, reference);
  EXPECT_EQ(difference.count, 2U);
  EXPECT_DOUBLE_EQ(difference.mean, 1.5);
}

TEST(PairedDifference, OneValueHasNoIntervalAndNoneNoMean) {
  const double one[] = {3};
  EXPECT_EQ(mean_interval(one).mean, 3);
  EXPECT_TRUE(std::isnan(mean_interval(one).half_width));
  EXPECT_FALSE(mean_interval(one).excludes(0));
  EXPECT_EQ(mean_interval({}).count, 0U);
  EXPECT_TRUE(std::isnan(mean_interval({}).mean));
}

// Alike in every seed: surely no difference, and an interval of no width.
TEST(PairedDifference, EqualPairsDifferByNothing) {
  const MeanInterval difference = paired_difference(kFirstDrug, kFirstDrug);
  EXPECT_EQ(difference.mean, 0);
  EXPECT_EQ(difference.half_width, 0);
  EXPECT_FALSE(difference.excludes(0));
}

} // namespace
} // namespace coppice
