// SPDX-License-Identifier: Apache-2.0
#include "privacy/rdp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "tests/privacy/dp_vectors.h"

namespace coppice {
namespace {

std::vector<double> curve(double q, double z, double steps, std::span<const double> orders) {
  std::vector<double> rdp;
  for (const double order : orders) rdp.push_back(steps * *sampled_gaussian_rdp(q, z, order));
  return rdp;
}

RdpEpsilon epsilon_of(double q, double z, double steps, double delta,
                      std::span<const double> orders = default_rdp_orders()) {
  return *rdp_to_epsilon(orders, curve(q, z, steps, orders), delta);
}

// D_order(M || N0) by the trapezoid rule, which for these integrands is exact to rounding; the
// moment less 1, so that small values keep their digits.
double integrated_rdp(double q, double z, double order) {
  const double step = z / 200.0;
  double sum = 0.0;
  const double low = -14.0 * z;
  const double high = order + 14.0 * z;
  for (double x = low; x < high; x += step) {
    const double ratio = std::log1p(q * std::expm1((2.0 * x - 1.0) / (2.0 * z * z)));
    const double weight = std::exp(-x * x / (2.0 * z * z));
    const double excess =
        std::expm1(order * ratio) - order * std::expm1(ratio); // mean of the last: 0
    sum +=
        std::isfinite(excess) ? weight * excess : std::exp(order * ratio - x * x / (2.0 * z * z));
  }
  return std::log1p(sum * step / (z * std::sqrt(2.0 * std::numbers::pi))) / (order - 1.0);
}

// dp_accounting sums the absolute values of a series with signs at fractional orders: its value is
// then too large, by up to 42 % at order 1.5 of these rows and less than 1 % from 4.5 up.
TEST(Rdp, SingleStepsAgreeWithDpAccountingWhereItsSeriesIsRight) {
  COPPICE_NEEDS_DP_REFERENCE();
  const Json rows = dp_reference("rdp_single_step");
  ASSERT_EQ(rows.size(), 174U);
  for (const Json& row : rows) {
    const double q = number(row, "q");
    const double order = number(row, "order");
    const double got = *sampled_gaussian_rdp(q, number(row, "noise_multiplier"), order);
    const double want = number(row, "rdp");
    if (order == std::floor(order) || q == 1.0) {
      // Its logarithm of a sum near 1 loses digits: some 1e-15 of 1, not of the value.
      EXPECT_NEAR(got, want, 1e-12 * want + 4e-15) << row.dump();
    } else {
      EXPECT_LE(got, want + 4e-15) << row.dump();
      EXPECT_GE(got, want * (order < 2.0 ? 0.57 : 0.99)) << row.dump();
    }
  }
}

TEST(Rdp, FractionalOrdersAgreeWithNumericalIntegration) {
  for (const double q : {1e-5, 1e-3, 0.01, 0.1, 0.25, 0.26, 0.5, 0.9}) {
    for (const double z : {0.5, 0.8, 1.0, 2.0, 4.0}) {
      for (const double order : {1.1, 1.5, 2.5, 4.5, 10.9}) {
        const double want = integrated_rdp(q, z, order);
        // The series stops at 1e-12 of its sum; for rates above 1/4 the moment's 1 is in that sum.
        const double rounding = 1e-12 / (order - 1.0);
        EXPECT_NEAR(*sampled_gaussian_rdp(q, z, order), want,
                    1e-9 * want + (q > 0.25 ? rounding : 0.0))
            << q << " " << z << " " << order;
      }
    }
  }
}

TEST(Rdp, FractionalOrdersMeetTheIntegersBesideThem) {
  for (const double q : {1e-5, 0.01, 0.3}) {
    for (const double z : {0.1, 0.3, 1.0, 5.0}) {
      for (const double order : {2.0, 3.0, 7.0}) {
        const double at = *sampled_gaussian_rdp(q, z, order);
        EXPECT_NEAR(*sampled_gaussian_rdp(q, z, order * (1.0 + 1e-9)) / at, 1.0, 1e-5)
            << q << " " << z << " " << order;
      }
    }
  }
}

TEST(Rdp, SingleStepsAgreeWithTheLibrariesOwnTests) {
  const struct {
    double z, q, steps, order, rdp;
  } rows[] = {
      // dp_accounting; fractional orders by the signed series
      {2.5, 0.01, 50, 5, 2.18075656e-3},
      {2.5, 0.01, 50, 50, 2.38460375e-2},
      {2.5, 0.01, 50, 100, 1.67416308e2},
      {2.5, 0.01, 50, 1.5, 6.50070897e-4},
      {2.5, 0.01, 50, 2.5, 1.08541806e-3},
      // autodp
      {1.0, 0.01, 1, 2, 1.7181342207e-4},
      {1.0, 0.01, 1, 4, 3.6315404891e-4},
      {1.0, 0.01, 1, 10, 3.8270418895e-2},
      {1.0, 0.01, 1, 25, 7.7029477268},
      {0.5, 0.01, 1, 1.25, 1.89777364e-3},
      {0.5, 0.01, 1, 2.25, 8.35411775e-3},
  };
  for (const auto& row : rows) {
    // Printed to nine digits.
    EXPECT_NEAR(row.steps * *sampled_gaussian_rdp(row.q, row.z, row.order) / row.rdp, 1.0, 6e-9)
        << row.z << " " << row.order;
  }
}

// Where the best order is an integer, or so large that the unsigned series has converged, the
// figure is dp_accounting's; elsewhere it is smaller, by up to 0.6 %.
TEST(Rdp, EpsilonsAgreeWithDpAccounting) {
  COPPICE_NEEDS_DP_REFERENCE();
  const Json rows = dp_reference("poisson_subsampled_gaussian");
  ASSERT_EQ(rows.size(), 20U);
  int equal = 0;
  for (const Json& row : rows) {
    const double want = number(row, "eps_rdp");
    const double order = number(row, "rdp_order");
    const RdpEpsilon got = epsilon_of(number(row, "q"), number(row, "noise_multiplier"),
                                      number(row, "steps"), number(row, "delta"));
    EXPECT_LE(got.epsilon, want * (1.0 + 1e-11)) << row.dump();
    EXPECT_GE(got.epsilon, want * (1.0 - 6e-3)) << row.dump();
    if (number(row, "q") == 1.0 || (order == std::floor(order) && order > 2.0)) {
      EXPECT_NEAR(got.epsilon, want, 1e-11 * want) << row.dump();
      EXPECT_EQ(got.order, order) << row.dump();
      ++equal;
    }
  }
  EXPECT_EQ(equal, 8);
}

TEST(Rdp, EpsilonsAgreeWithTheLibrariesOwnTests) {
  EXPECT_NEAR(epsilon_of(0.04, 1.5, 2250, 1e-5).epsilon, 7.32911117143, 5e-8); // Opacus
  const RdpEpsilon first = epsilon_of(150.0 / 60000, 1.3, 6000, 1e-5);         // TF Privacy
  EXPECT_NEAR(first.epsilon, 0.7242234026109595, 1e-12);
  EXPECT_EQ(first.order, 19.0);
  const RdpEpsilon second = epsilon_of(100.0 / 100000, 1.0, 30000, 1e-7);
  EXPECT_NEAR(second.epsilon, 1.4154988495444842, 1e-11);
  EXPECT_EQ(second.order, 13.0);
  EXPECT_NEAR(epsilon_of(1.0, 0.7, 2, 1e-5).epsilon, 10.8602036, 5e-8);
  EXPECT_NEAR(epsilon_of(0.0064, 1.0, 782, 1e-6).epsilon, 1.616, 5e-4);
  EXPECT_NEAR(epsilon_of(1.0, 1.0, 5, 1e-6).epsilon, 13.376, 5e-4);
  // Their 3.2392676 and 22.6248601 are of the unsigned series.
  EXPECT_NEAR(epsilon_of(0.01, 0.7, 120, 1e-5).epsilon, 3.2391922, 5e-8);
  EXPECT_NEAR(epsilon_of(0.01, 0.35, 120, 1e-5).epsilon, 22.5970358, 5e-8);
}

TEST(Rdp, TinyNoiseAndManyStepsAreNeitherOverflowNorNonsense) {
  std::vector<double> orders = {1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0, 3.5, 4.0, 4.5};
  for (int order = 5; order < 64; ++order) orders.push_back(order);
  for (const int order : {128, 256, 512}) orders.push_back(order);
  const RdpEpsilon got = epsilon_of(1024.0 / 1e8, 0.1, 976563, 1e-7, orders);
  // TF Privacy, whose series stops at 1e-13 of 1; and integrated with mpmath to 40 digits.
  EXPECT_NEAR(got.epsilon, 5907982.3113984, 2e-5);
  EXPECT_NEAR(got.epsilon, 5907982.3113820069, 1e-6);
  EXPECT_EQ(got.order, 1.25);
}

TEST(Rdp, EpsilonsAgreeWithIndependentCrossChecks) {
  const struct {
    double z, q, steps, delta, epsilon;
  } rows[] = {{1.0, 0.001, 2000, 1e-7, 1.074}, {1.0, 0.01, 500, 1e-6, 1.969},
              {0.6, 0.01, 300, 1e-6, 7.154},   {2.0, 0.1, 100, 1e-5, 2.581},
              {4.0, 0.1, 1000, 1e-5, 3.736},   {10.0, 1.0, 100, 1e-6, 5.222},
              {5.0, 1.0, 20, 1e-6, 4.605},     {0.8, 0.001, 1000, 1e-7, 1.765}};
  for (const auto& row : rows) {
    EXPECT_NEAR(epsilon_of(row.q, row.z, row.steps, row.delta).epsilon, row.epsilon, 5.1e-4)
        << row.z;
  }
}

TEST(Rdp, CalibrationsOfOpacusMeetTheirTarget) {
  // Opacus prints the multiplier for epsilon 8 to some 1e-4: at most 0.002 of epsilon.
  EXPECT_NEAR(epsilon_of(0.04, 1.416, 2250, 1e-5).epsilon, 8.0, 0.01);
  EXPECT_NEAR(epsilon_of(0.04, 1.3562, 2000, 1e-5).epsilon, 8.0, 0.01);
}

TEST(Rdp, FineOrdersCalibrateTheGaussian) {
  std::vector<double> orders;
  for (double order = 1.1; order < 100.0; order += 0.01) orders.push_back(order);
  EXPECT_NEAR(epsilon_of(1.0, 4.530877117, 1, 1e-6, orders).epsilon, 1.0, 1e-6); // dp_accounting
}

TEST(Rdp, GrowsWithRateOrderAndLessNoise) {
  double last = 0.0;
  for (const double q : {1e-5, 1e-3, 0.1, 0.249, 0.251, 0.5, 0.999, 1.0}) {
    const double now = *sampled_gaussian_rdp(q, 1.0, 2.5);
    EXPECT_GT(now, last) << q;
    last = now;
  }
  for (const double order : default_rdp_orders()) {
    EXPECT_LE(*sampled_gaussian_rdp(0.01, 1.0, order),
              *sampled_gaussian_rdp(0.01, 1.0, order + 0.07) * (1.0 + 1e-9))
        << order;
    EXPECT_LE(*sampled_gaussian_rdp(0.01, 1.0, order), *sampled_gaussian_rdp(0.01, 0.9, order));
    EXPECT_LE(*sampled_gaussian_rdp(0.01, 1.0, order), order / 2.0);
  }
}

TEST(Rdp, DeltaInvertsEpsilon) {
  const auto orders = default_rdp_orders();
  const std::vector<double> rdp = curve(0.01, 1.0, 1000, orders);
  for (const double delta : {1e-10, 1e-6, 1e-3}) {
    const double at = rdp_to_epsilon(orders, rdp, delta)->epsilon;
    EXPECT_NEAR(*rdp_to_delta(orders, rdp, at) / delta, 1.0, 1e-10);
  }
}

TEST(Rdp, EndsOfTheRangesAreExact) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(*sampled_gaussian_rdp(0.0, 1.0, 2.0), 0.0);
  EXPECT_EQ(*sampled_gaussian_rdp(0.5, infinity, 2.0), 0.0);
  EXPECT_EQ(*sampled_gaussian_rdp(0.5, 0.0, 2.0), infinity);
  EXPECT_EQ(*sampled_gaussian_rdp(1.0, 2.0, 3.0), 3.0 / 8.0);
  const std::vector<double> none(default_rdp_orders().size(), 0.0);
  EXPECT_EQ(rdp_to_epsilon(default_rdp_orders(), none, 1e-9)->epsilon, 0.0);
  const std::vector<double> all(default_rdp_orders().size(), infinity);
  EXPECT_EQ(rdp_to_epsilon(default_rdp_orders(), all, 1e-9)->epsilon, infinity);
  EXPECT_EQ(*rdp_to_delta(default_rdp_orders(), all, 1.0), 1.0);
}

TEST(Rdp, SenselessArgumentsAreRefused) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(sampled_gaussian_rdp(-0.1, 1.0, 2.0).ok());
  EXPECT_FALSE(sampled_gaussian_rdp(1.1, 1.0, 2.0).ok());
  EXPECT_FALSE(sampled_gaussian_rdp(nan, 1.0, 2.0).ok());
  EXPECT_FALSE(sampled_gaussian_rdp(0.1, -1.0, 2.0).ok());
  EXPECT_FALSE(sampled_gaussian_rdp(0.1, 1.0, 1.0).ok());
  const std::vector<double> orders = {2.0, 3.0};
  EXPECT_FALSE(rdp_to_epsilon(orders, std::vector<double>{1.0}, 1e-6).ok());
  EXPECT_FALSE(rdp_to_epsilon(orders, std::vector<double>{1.0, nan}, 1e-6).ok());
  EXPECT_FALSE(rdp_to_epsilon(orders, std::vector<double>{1.0, 1.0}, 0.0).ok());
  EXPECT_FALSE(rdp_to_delta(orders, std::vector<double>{1.0, 1.0}, -1.0).ok());
}

} // namespace
} // namespace coppice
