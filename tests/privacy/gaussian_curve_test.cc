// SPDX-License-Identifier: Apache-2.0
#include "privacy/gaussian_curve.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/privacy/dp_vectors.h"

namespace coppice {
namespace {

// dp_accounting bisects to about 1e-12 of itself.
TEST(GaussianCurve, SigmasAgreeWithDpAccounting) {
  COPPICE_NEEDS_DP_REFERENCE();
  const Json rows = dp_reference("analytic_gaussian_sigma");
  ASSERT_EQ(rows.size(), 21U);
  for (const Json& row : rows) {
    const double sigma = number(row, "sigma");
    EXPECT_NEAR(*gaussian_sigma(number(row, "epsilon"), number(row, "delta")) / sigma, 1.0, 1e-9)
        << row.dump();
  }
}

// pfl-research, tests/privacy/test_compute_parameters.py: epsilon 2.25 needs sqrt(2).
TEST(GaussianCurve, SigmaAgreesWithPflResearch) {
  EXPECT_NEAR(*gaussian_sigma(2.25, 4.0834087e-4), std::sqrt(2.0), 1e-7);
}

// mu = sqrt(2 rho), printed to two decimals.
TEST(GaussianCurve, ConcentratedBudgetsHaveTheirKnownEpsilons) {
  const struct {
    double rho, at_1e10, at_1e6;
  } rows[] = {{0.2, 3.98, 2.92},
              {0.25, 4.49, 3.31},
              {0.81, 8.55, 6.45},
              {1.0, 9.62, 7.29},
              {2.0, 14.27, 11.00}};
  for (const auto& row : rows) {
    EXPECT_NEAR(*gaussian_epsilon(1e-10, std::sqrt(2.0 * row.rho)), row.at_1e10, 0.005) << row.rho;
    EXPECT_NEAR(*gaussian_epsilon(1e-6, std::sqrt(2.0 * row.rho)), row.at_1e6, 0.005) << row.rho;
  }
}

// dp_accounting's PLD at rate 1 overshoots the exact curve by less than 1e-6.
TEST(GaussianCurve, ManyReleasesAreOneOfTheRootOfTheirNumber) {
  EXPECT_NEAR(*gaussian_epsilon(1e-6, std::sqrt(100.0) / 10.0), 4.8866, 5e-5);
  EXPECT_NEAR(*gaussian_epsilon(1e-6, std::sqrt(20.0) / 5.0), 4.3058, 5e-5);
  EXPECT_NEAR(gaussian_delta(1.0, 1.0), 0.126936, 1e-6); // three releases of z = sqrt(3)
}

TEST(GaussianCurve, EpsilonAndSigmaInvertDeltaAndRoundUp) {
  for (const double mu : {1e-4, 0.1, 1.0, 30.0}) {
    for (const double delta : {1e-300, 1e-12, 1e-6, 0.01}) {
      const double epsilon = *gaussian_epsilon(delta, mu);
      EXPECT_LE(gaussian_delta(epsilon, mu), delta);
      if (epsilon > 0.0) {
        EXPECT_GT(gaussian_delta(epsilon * (1.0 - 1e-9), mu), delta) << mu;
      }
      if (epsilon > 0.0) {
        EXPECT_NEAR(*gaussian_sigma(epsilon, delta) * mu, 1.0, 1e-8);
      }
    }
  }
}

TEST(GaussianCurve, NothingSpentCostsNothing) {
  EXPECT_EQ(gaussian_delta(0.0, 0.0), 0.0);
  EXPECT_EQ(*gaussian_epsilon(1e-6, 0.0), 0.0);
  EXPECT_EQ(*gaussian_epsilon(0.5, 0.1), 0.0);
}

TEST(GaussianCurve, SenselessArgumentsAreRefused) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double delta : {0.0, 1.0, -0.1, nan}) {
    EXPECT_EQ(gaussian_epsilon(delta, 1.0).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(gaussian_sigma(1.0, delta).error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(gaussian_epsilon(1e-6, -1.0).ok());
  EXPECT_FALSE(gaussian_epsilon(1e-6, nan).ok());
  EXPECT_FALSE(gaussian_sigma(0.0, 1e-6).ok());
}

} // namespace
} // namespace coppice
