// SPDX-License-Identifier: Apache-2.0
#include "privacy/pld.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "privacy/gaussian_curve.h"
#include "privacy/rdp.h"
#include "tests/privacy/dp_vectors.h"
#include "tests/privacy/exact_step.h"

namespace coppice {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double epsilon(double z, double q, std::uint64_t steps, double delta) {
  const SampledGaussian group{z, q, steps};
  return *pld_epsilon({&group, 1}, delta);
}

double delta(double z, double q, std::uint64_t steps, double epsilon) {
  const SampledGaussian group{z, q, steps};
  return *pld_delta({&group, 1}, epsilon);
}

template <typename Delta>
double worse_of_both(double z, double q, const Delta& delta) {
  return std::max(delta(SampledStep{q, z, Neighbour::kRemoved}),
                  delta(SampledStep{q, z, Neighbour::kAdded}));
}

// The reference is an upper bound itself, on intervals of 1e-4: ours is below it by up to 5e-4.
TEST(Pld, EpsilonsAgreeWithDpAccounting) {
  COPPICE_NEEDS_DP_REFERENCE();
  const Json rows = dp_reference("poisson_subsampled_gaussian");
  ASSERT_EQ(rows.size(), 20U);
  for (const Json& row : rows) {
    const double want = number(row, "eps_pld");
    const double got = epsilon(number(row, "noise_multiplier"), number(row, "q"),
                               row.at("steps").get<std::uint64_t>(), number(row, "delta"));
    EXPECT_NEAR(got, want, 1e-3 * want) << row.dump();
  }
}

TEST(Pld, EpsilonsAgreeWithTheLibrariesOwnTests) {
  const struct {
    double z, q;
    std::uint64_t steps;
    double delta, epsilon, printed; // half a unit of the last digit printed
  } rows[] = {
      // TF Privacy, compute_dp_sgd_privacy_test.py
      {0.7, 0.01, 120, 1e-5, 2.4612381, 0.0},
      {0.35, 0.01, 120, 1e-5, 18.6977407, 0.0},
      {0.7, 1.0, 2, 1e-5, 10.1224946, 0.0},
      {1.0, 0.0064, 782, 1e-6, 1.199, 5e-4},
      {1.0, 1.0, 5, 1e-6, 12.595, 5e-4},
      // Opacus' calibrations to 8, as another accountant sees them
      {1.34765625, 0.04, 2250, 1e-5, 7.983, 5e-4},
      {1.2915, 0.04, 2000, 1e-5, 7.985, 5e-4},
      // dp_accounting: multipliers calibrated to 1
      {0.67379294682, 0.01, 1, 1e-5, 1.0, 0.0},
      {3.20956502598 / 6.0, 0.001, 25, 1e-5, 1.0, 0.0},
      // independent cross-checks
      {0.8, 0.001, 1000, 1e-7, 0.704, 5e-4},
      {1.0, 0.001, 2000, 1e-7, 0.298, 5e-4},
      {1.0, 0.01, 500, 1e-6, 1.580, 5e-4},
      {0.6, 0.01, 300, 1e-6, 6.021, 5e-4},
      {2.0, 0.1, 100, 1e-5, 2.337, 5e-4},
      {4.0, 0.1, 1000, 1e-5, 3.444, 5e-4},
  };
  for (const auto& row : rows) {
    EXPECT_NEAR(epsilon(row.z, row.q, row.steps, row.delta), row.epsilon,
                row.printed + 2e-5 * row.epsilon)
        << row.z << " " << row.q << " " << row.steps;
  }
}

// Opacus, accountants_test.py: an upper bound of 6.7774 with its error, 6.59 by the central limit.
TEST(Pld, LiesBetweenTheLimitAndOpacusUpperBound) {
  const double got = epsilon(1.5, 0.04, 2249, 1e-5);
  EXPECT_LT(got, 6.777395712150674);
  EXPECT_GT(got, 6.60);
}

TEST(Pld, DeltasAgreeWithDpAccounting) {
  EXPECT_NEAR(delta(0.5, 0.2, 3, 1.0), 0.15594, 1e-3);
  EXPECT_NEAR(delta(std::sqrt(3.0), 1.0, 3, 1.0), 0.126936, 1e-6);
}

// Never below the closed form but for its own rounding, and above it by no more than the grid costs
// where epsilon is only a few intervals.
TEST(Pld, OneStepAgreesWithItsClosedFormFromAbove) {
  for (const double q : {1e-4, 0.001, 0.1, 0.9}) {
    for (const double z : {0.3, 1.0, 8.0}) {
      for (const double e : {0.001, 0.02, 0.3, 4.0}) {
        const double want =
            worse_of_both(z, q, [&](const SampledStep& step) { return exact_step_delta(step, e); });
        if (want < 1e-13) continue; // the closed form cancels
        const double got = delta(z, q, 1, e);
        EXPECT_GE(got, want - 1e-15) << q << " " << z << " " << e;
        EXPECT_LE(got, want * (1.0 + 2e-3) + 1e-15) << q << " " << z << " " << e;
      }
    }
  }
}

TEST(Pld, TwoStepsAgreeWithNumericalIntegrationFromAbove) {
  for (const double q : {0.001, 0.1, 0.5}) {
    for (const double z : {0.4, 1.0, 3.0}) {
      for (const double e : {0.01, 0.5, 3.0}) {
        const double want = worse_of_both(
            z, q, [&](const SampledStep& step) { return exact_two_step_delta(step, e); });
        if (want < 1e-9) continue; // the integral is no better
        const double got = delta(z, q, 2, e);
        EXPECT_GE(got, want * (1.0 - 1e-7)) << q << " " << z << " " << e;
        EXPECT_LE(got, want * (1.0 + 1e-3)) << q << " " << z << " " << e;
      }
    }
  }
}

// Rows of prv_accountant's test_accountant.py: mu = 1 within one step of 10,000, exact on both
// sides.
TEST(Pld, IsNeverBelowTheExactCurveAtRateOne) {
  for (const std::uint64_t steps : {9'999U, 10'000U}) {
    const double mu = std::sqrt(static_cast<double>(steps)) / 100.0;
    for (const double e : {0.1, 1.0, 5.0, 10.0}) {
      const double want = gaussian_delta(e, mu);
      const double got = delta(100.0, 1.0, steps, e);
      EXPECT_GE(got, want) << e;
      EXPECT_LE(got, want * (1.0 + 1e-5)) << e;
    }
  }
  for (const double z : {0.05, 0.3, 1.0, 10.0, 1000.0}) {
    for (const double d : {1e-2, 1e-6, 1e-12, 1e-30}) {
      const double want = *gaussian_epsilon(d, 1.0 / z);
      const double got = epsilon(z, 1.0, 1, d);
      EXPECT_GE(got, want - 1e-9) << z << " " << d;
      EXPECT_LE(got, want * (1.0 + 1e-4) + 1e-9) << z << " " << d;
    }
  }
}

// Renyi accounting is a bound, too, and a looser one; the grid may cost 1e-3.
TEST(Pld, IsAtMostTheRenyiBound) {
  for (const double q : {1e-4, 0.01, 0.2}) {
    for (const double z : {0.5, 1.0, 4.0}) {
      for (const std::uint64_t steps : {1U, 100U, 30'000U}) {
        std::vector<double> rdp;
        for (const double order : default_rdp_orders()) {
          rdp.push_back(static_cast<double>(steps) * *sampled_gaussian_rdp(q, z, order));
        }
        EXPECT_LE(epsilon(z, q, steps, 1e-6),
                  1.001 * rdp_to_epsilon(default_rdp_orders(), rdp, 1e-6)->epsilon)
            << q << " " << z << " " << steps;
      }
    }
  }
}

TEST(Pld, EpsilonAndDeltaInvertEachOther) {
  for (const double d : {1e-2, 1e-6, 1e-10}) {
    const double e = epsilon(0.9, 0.01, 1000, d);
    // Both are bounds on grids of their own: 1e-5 of epsilon is 1e-4 of delta.
    if (e > 0.0) {
      EXPECT_NEAR(delta(0.9, 0.01, 1000, e) / d, 1.0, 1e-3) << d;
    }
  }
}

TEST(Pld, GrowsWithStepsAndRateAndShrinksWithNoiseAndDelta) {
  const double base = epsilon(1.0, 0.01, 1000, 1e-6);
  EXPECT_GT(epsilon(1.0, 0.01, 1100, 1e-6), base);
  EXPECT_GT(epsilon(1.0, 0.011, 1000, 1e-6), base);
  EXPECT_GT(epsilon(0.95, 0.01, 1000, 1e-6), base);
  EXPECT_GT(epsilon(1.0, 0.01, 1000, 1e-7), base);
  EXPECT_GT(epsilon(1.0, 1.0, 1000, 1e-6), base);
}

TEST(Pld, TheOrderAndTheGroupingOfRoundsDoNotMatter) {
  const std::vector<SampledGaussian> one = {{1.0, 0.01, 1000}, {2.0, 0.05, 300}, {10.0, 1.0, 4}};
  const std::vector<SampledGaussian> other = {
      {5.0, 1.0, 1}, {2.0, 0.05, 100}, {1.0, 0.01, 400}, {2.0, 0.05, 200}, {1.0, 0.01, 600}};
  // 4 of z = 10 and 1 of z = 5 are the same Gaussian.
  EXPECT_NEAR(*pld_epsilon(one, 1e-6) / *pld_epsilon(other, 1e-6), 1.0, 1e-9);
}

TEST(Pld, MixedRoundsLieBetweenTheirParts) {
  const std::vector<SampledGaussian> both = {{1.0, 0.01, 500}, {0.8, 0.002, 2000}};
  const double together = *pld_epsilon(both, 1e-6);
  EXPECT_GT(together, epsilon(1.0, 0.01, 500, 1e-6));
  EXPECT_GT(together, epsilon(0.8, 0.002, 2000, 1e-6));
  EXPECT_LT(together, epsilon(1.0, 0.01, 500, 5e-7) + epsilon(0.8, 0.002, 2000, 5e-7));
}

TEST(Pld, AGroupSplitUnevenlyIsNotCheaper) {
  // Two almost equal groups go through the product of spectra, one through a power.
  const std::vector<SampledGaussian> split = {{1.0, 0.01, 500}, {1.0 + 1e-12, 0.01, 500}};
  EXPECT_NEAR(*pld_epsilon(split, 1e-6) / epsilon(1.0, 0.01, 1000, 1e-6), 1.0, 1e-6);
}

TEST(Pld, NothingSpentCostsNothingAndNoNoiseEverything) {
  EXPECT_EQ(*pld_epsilon({}, 1e-6), 0.0);
  EXPECT_EQ(*pld_delta({}, 0.0), 0.0);
  EXPECT_EQ(epsilon(1.0, 0.01, 0, 1e-6), 0.0);
  EXPECT_EQ(epsilon(1.0, 0.0, 10, 1e-6), 0.0);
  EXPECT_EQ(epsilon(kInfinity, 0.5, 10, 1e-6), 0.0);
  EXPECT_EQ(epsilon(0.0, 0.5, 10, 1e-6), kInfinity);
  EXPECT_EQ(delta(0.0, 0.5, 10, 3.0), 1.0);
  EXPECT_EQ(epsilon(1.0, 0.01, 1000, 0.5), 0.0);
}

TEST(Pld, WhoIsHardlyEverDrawnNeedsNoNoise) {
  EXPECT_EQ(epsilon(0.01, 1e-9, 100, 1e-6), 0.0); // drawn at all with probability 10^-7
  EXPECT_LE(delta(0.01, 1e-9, 100, 1.0), 1e-7);
}

// Beyond what the estimates behind a layout can see, the answer may be useless, never cheap:
// whoever is drawn at all, with probability 10^-3, is found out.
TEST(Pld, NoiseTooSmallForTheGridIsNeverCheap) {
  for (const double z : {1e-8, 1e-5, 1e-3, 0.01}) {
    const SampledGaussian group{z, 1e-9, 1'000'000};
    const auto shown = pld_epsilon({&group, 1}, 1e-6);
    if (shown.ok()) {
      EXPECT_GT(*shown, 0.4 / (z * z)) << z;
    } else {
      EXPECT_EQ(shown.error().code, ErrorCode::kUnsupported);
    }
    const auto shown_delta = pld_delta({&group, 1}, 1.0);
    if (shown_delta.ok()) {
      EXPECT_GT(*shown_delta, 9e-4) << z;
    }
  }
}

TEST(Pld, SenselessArgumentsAreRefused) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto refused = [](double z, double q, std::uint64_t steps, double d) {
    const SampledGaussian group{z, q, steps};
    return !pld_epsilon({&group, 1}, d).ok();
  };
  EXPECT_TRUE(refused(-1.0, 0.1, 1, 1e-6));
  EXPECT_TRUE(refused(nan, 0.1, 1, 1e-6));
  EXPECT_TRUE(refused(1.0, 1.1, 1, 1e-6));
  EXPECT_TRUE(refused(1.0, nan, 1, 1e-6));
  EXPECT_TRUE(refused(1.0, 0.1, 1, 0.0));
  EXPECT_TRUE(refused(1.0, 0.1, 1, 1.0));
  EXPECT_TRUE(refused(1.0, 0.1, kMaxPldSteps + 1, 1e-6));
  EXPECT_FALSE(pld_delta({}, -1.0).ok());
  EXPECT_FALSE(pld_delta({}, kInfinity).ok());
}

} // namespace
} // namespace coppice
