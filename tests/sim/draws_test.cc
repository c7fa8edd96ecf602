// SPDX-License-Identifier: Apache-2.0
#include "sim/draws.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace coppice {
namespace {

KeyedRandom stream(std::uint64_t number) {
  return KeyedRandom({.experiment = 5, .client = number, .purpose = RandomPurpose::kTest});
}

// The library's functions are good to 1 ulp, ours to a few.
TEST(PortableFunctions, AgreeWithTheLibrarysToAFewUnitsInTheLastPlace) {
  constexpr double kFewUlps = 4 * 0x1p-52;
  KeyedRandom random = stream(1);
  for (int i = 0; i < 100'000; ++i) {
    const double exponent = 1400 * random.uniform_double() - 700;
    const double e = std::exp(exponent);
    ASSERT_NEAR(portable_exp(exponent) / e, 1, kFewUlps) << exponent;
    const double x =
        std::ldexp(0.5 + random.uniform_double(), static_cast<int>(random.below(2000)) - 1000);
    ASSERT_NEAR(portable_log(x), std::log(x), kFewUlps * std::max(1e-3, std::fabs(std::log(x))))
        << x;
  }
  EXPECT_EQ(portable_log(1), 0);
  EXPECT_EQ(portable_exp(0), 1);
  EXPECT_EQ(portable_exp(-1000), 0);
}

// Kolmogorov: sup |F_n - F| sqrt(n) is above 1.95 once in 1,000 seeds; the seed is fixed.
TEST(NormalDraws, HaveTheNormalDistribution) {
  constexpr int kDraws = 100'000;
  KeyedRandom random = stream(2);
  std::vector<double> draws(kDraws);
  for (double& draw : draws) draw = draw_normal(random);
  std::ranges::sort(draws);
  double farthest = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double below = 0.5 * std::erfc(-draws[static_cast<std::size_t>(i)] / std::sqrt(2.0));
    farthest = std::max({farthest, std::fabs(below - i / double{kDraws}),
                         std::fabs(below - (i + 1) / double{kDraws})});
  }
  EXPECT_LT(farthest * std::sqrt(double{kDraws}), 1.95);
}

// Mean and variance of Gamma(a) are a; the variance of the sample variance is (2 a^2 + 6 a) / n.
TEST(GammaDraws, HaveMeanAndVarianceOfTheirShape) {
  constexpr int kDraws = 100'000;
  for (const double shape : {0.05, 0.3, 1.0, 2.5, 40.0}) {
    KeyedRandom random = stream(3);
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double draw = portable_exp(draw_log_gamma(random, shape));
      sum += draw;
      squares += (draw - shape) * (draw - shape);
    }
    EXPECT_NEAR(sum / kDraws, shape, 4 * std::sqrt(shape / kDraws)) << shape;
    EXPECT_NEAR(squares / kDraws, shape, 4 * std::sqrt((2 * shape * shape + 6 * shape) / kDraws))
        << shape;
  }
}

TEST(DirichletDraws, SumToOneEvenWhereEveryGammaIsBelowAnyDouble) {
  const std::vector<double> alphas(7, 1e-6);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    KeyedRandom random = stream(i);
    const std::vector<double> shares = draw_dirichlet(random, alphas);
    EXPECT_NEAR(std::accumulate(shares.begin(), shares.end(), 0.0), 1, 1e-12);
  }
}

// The marginal of a Dirichlet is Beta(a_l, a_0 - a_l): mean m = a_l / a_0, variance
// m (1 - m) / (a_0 + 1). The fourth moment of a value in [0, 1] is at most its variance, so the
// sample variance is within 4 sqrt(variance / n).
TEST(DirichletDraws, HaveTheMeanAndVarianceOfEachShare) {
  constexpr int kDraws = 50'000;
  const std::vector<double> alphas = {0.2, 0.5, 1.3};
  const double all = 2.0;
  std::vector<double> sum(3);
  std::vector<double> squares(3);
  KeyedRandom random = stream(4);
  for (int i = 0; i < kDraws; ++i) {
    const std::vector<double> shares = draw_dirichlet(random, alphas);
    for (std::size_t l = 0; l < 3; ++l) {
      sum[l] += shares[l];
      squares[l] += (shares[l] - alphas[l] / all) * (shares[l] - alphas[l] / all);
    }
  }
  for (std::size_t l = 0; l < 3; ++l) {
    const double mean = alphas[l] / all;
    const double variance = mean * (1 - mean) / (all + 1);
    EXPECT_NEAR(sum[l] / kDraws, mean, 4 * std::sqrt(variance / kDraws));
    EXPECT_NEAR(squares[l] / kDraws, variance, 4 * std::sqrt(variance / kDraws));
  }
}

// Written down once, from builds with and without optimization; another machine must agree, since a
// change of these bits changes who has which text.
TEST(Draws, AreTheSameBitsOnEveryMachine) {
  KeyedRandom random = stream(9);
  EXPECT_EQ(draw_normal(random), 0x1.2fe9ce59f1f6p+0);
  EXPECT_EQ(draw_log_gamma(random, 0.3), -0x1.33da7152a3d05p+0);
}

} // namespace
} // namespace coppice
