// SPDX-License-Identifier: Apache-2.0
#include "privacy/skellam.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numbers>

#include "privacy/discrete_noise.h"
#include "tests/privacy/goodness.h"

namespace coppice {
namespace {

using Draws = std::vector<std::int64_t>;

Mass poisson_mass(double rate) {
  const double reach = 9.0 * std::sqrt(rate) + 30.0;
  const auto first = static_cast<std::int64_t>(std::max(0.0, rate - reach));
  return mass_of(first, static_cast<std::int64_t>(rate + reach), [rate](std::int64_t k) {
    const auto x = static_cast<double>(k);
    return std::exp(x * std::log(rate) - rate - std::lgamma(x + 1.0));
  });
}

// The difference of two Poisson variables, by summation.
Mass skellam_mass(double variance) {
  const Mass poisson = poisson_mass(0.5 * variance);
  const auto reach = static_cast<std::int64_t>(9.0 * std::sqrt(variance) + 30.0);
  return mass_of(-reach, reach, [&](std::int64_t k) {
    double sum = 0.0;
    for (std::size_t i = 0; i < poisson.p.size(); ++i) {
      sum += poisson.p[i] * poisson.at(poisson.first + static_cast<std::int64_t>(i) - k);
    }
    return sum;
  });
}

Draws poisson_draws(std::uint64_t twice, std::size_t count, std::uint64_t seed) {
  const auto sampler = PoissonSampler::create(twice).value();
  return draw(count, seed, [&](RandomBits& bits) { return sampler.sample(bits); });
}

Draws skellam_draws(std::uint64_t variance, std::size_t count, std::uint64_t seed) {
  const auto sampler = SkellamSampler::create(variance).value();
  return draw(count, seed, [&](RandomBits& bits) { return sampler.sample(bits); });
}

TEST(SkellamTest, TheTestsMassFunctionIsTheBesselFunctions) {
  for (const double variance : {1.0, 3.0, 50.0}) {
    const Mass mass = skellam_mass(variance);
    for (int k = 0; k < 8; ++k) {
      const double bessel =
          std::exp(-variance) * std::cyl_bessel_i(static_cast<double>(k), variance);
      EXPECT_NEAR(mass.at(k), bessel, 1e-11 * bessel);
      EXPECT_NEAR(mass.at(-k), bessel, 1e-11 * bessel);
    }
  }
}

TEST(PoissonTest, DrawsFitTheMassFunctionBelowAndAboveTheTablesLimit) {
  std::uint64_t seed = 1000;
  for (const std::uint64_t twice : {1U, 2U, 5U, 20U, 201U, 4095U, 4096U, 5000U, 20000U, 2000000U}) {
    const Draws draws = poisson_draws(twice, 400000, ++seed);
    EXPECT_GT(fit(draws, poisson_mass(0.5 * static_cast<double>(twice))), kLeastP) << twice;
  }
}

TEST(PoissonTest, ASymmetricOneInPlaceOfALargeOneIsRefused) {
  // Without the two corrections of Note [Poisson by thinning] a large draw would be symmetric. Its
  // skewness is 1/45 at the lowest such rate, so few wide bins and many draws have to be looked at.
  constexpr double kWide = 50000.0;
  const Mass poisson = poisson_mass(2048.0);
  Draws draws = poisson_draws(4096, 2000000, 1101);
  EXPECT_GT(fit(draws, poisson, kWide), kLeastP);
  KeyedRandom random({.step = 1102});
  for (std::int64_t& value : draws) { // the same distances from 2047.5, on either side evenly
    if (random.below(2) == 0) value = 4095 - value;
  }
  EXPECT_LT(fit(draws, poisson, kWide), kLeastP);
  const auto gaussian = DiscreteGaussian::create({2048, 1}).value();
  const Draws normal =
      draw(2000000, 1103, [&](RandomBits& bits) { return 2048 + gaussian.sample(bits); });
  EXPECT_LT(fit(normal, poisson, kWide), kLeastP);
}

TEST(PoissonTest, TheThirdMomentIsRightAtRatesBeyondTheFit) {
  // E[(X - m)^3] = m. The cube's variance is 15 m^3 (1 + O(1 / m)).
  for (const std::uint64_t twice : {4096U, 8192U}) {
    const Draws draws = poisson_draws(twice, 2000000, 1200 + twice);
    const double rate = 0.5 * static_cast<double>(twice);
    double sum = 0.0;
    for (const std::int64_t k : draws) sum += std::pow(static_cast<double>(k) - rate, 3.0);
    const auto count = static_cast<double>(draws.size());
    const double error = std::sqrt(15.1 * rate * rate * rate / count);
    EXPECT_NEAR(sum / count, rate, 5.0 * error);
    EXPECT_LT(5.0 * error, rate) << "a symmetric one must fail";
  }
}

TEST(SkellamTest, DrawsFitTheMassFunction) {
  std::uint64_t seed = 1300;
  for (const std::uint64_t variance : {1U, 2U, 3U, 100U, 4095U, 4096U, 4097U, 10000U}) {
    const Draws draws = skellam_draws(variance, 400000, ++seed);
    EXPECT_GT(fit(draws, skellam_mass(static_cast<double>(variance))), kLeastP) << variance;
  }
}

TEST(SkellamTest, ALargeOneIsNormal) {
  // The excess kurtosis is 1 / variance: 2^-30 moves no bin of 400,000 draws by a visible amount.
  for (const std::uint64_t variance : {1ULL << 30U, (1ULL << 40U) + 1, 1ULL << 41U}) {
    const double sigma = std::sqrt(static_cast<double>(variance));
    Draws draws = skellam_draws(variance, 400000, 1400 + variance % 7);
    for (std::int64_t& value : draws) {
      value = static_cast<std::int64_t>(std::floor(static_cast<double>(value) / sigma * 20.0));
    }
    const Mass mass = mass_of(-160, 159, [](std::int64_t k) {
      const auto phi = [](double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); };
      return phi(static_cast<double>(k + 1) / 20.0) - phi(static_cast<double>(k) / 20.0);
    });
    EXPECT_GT(fit(draws, mass), kLeastP) << variance;
  }
}

TEST(SkellamTest, MeanAndVarianceAreWithinTheirErrors) {
  constexpr std::size_t kCount = 400000;
  for (const std::uint64_t variance : {1ULL, 1000ULL, 5001ULL, 1ULL << 40U}) {
    const Draws draws = skellam_draws(variance, kCount, 1500 + variance % 101);
    const auto value = static_cast<double>(variance);
    // Five standard errors; E[X^4] = 3 v^2 + v.
    EXPECT_NEAR(mean_of(draws), 0.0, 5.0 * std::sqrt(value / double{kCount}));
    EXPECT_NEAR(mean_square(draws), value,
                5.0 * value * std::sqrt((2.0 + 1.0 / value) / double{kCount}));
  }
}

TEST(SkellamTest, SumsOfSharesAreNoiseOfTheSummedVariance) {
  const Draws shares = skellam_draws(7, 1600000, 1601);
  Draws sums(100000, 0);
  for (std::size_t i = 0; i < shares.size(); ++i) sums[i / 16] += shares[i];
  EXPECT_GT(fit(sums, skellam_mass(112.0)), kLeastP);
}

TEST(SkellamTest, ADiscreteGaussianOfTheSameVarianceIsRefused) {
  const auto gaussian = DiscreteGaussian::create({3, 1}).value();
  const Draws draws = draw(400000, 1701, [&](RandomBits& bits) { return gaussian.sample(bits); });
  EXPECT_LT(fit(draws, skellam_mass(3.0)), kBrokenP);
}

TEST(SkellamTest, TheSameBytesGiveTheSameNoise) {
  for (const std::uint64_t variance : {10ULL, 5001ULL, 1ULL << 40U}) {
    EXPECT_EQ(skellam_draws(variance, 1000, 1), skellam_draws(variance, 1000, 1));
    EXPECT_NE(skellam_draws(variance, 1000, 1), skellam_draws(variance, 1000, 2));
  }
}

TEST(SkellamTest, WhatTheArithmeticCannotCarryIsRefused) {
  EXPECT_EQ(SkellamSampler::create(0).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(SkellamSampler::create((1ULL << 41U) + 1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(PoissonSampler::create(0).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(PoissonSampler::create(4097).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(PoissonSampler::create((1ULL << 41U) + 2).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(SkellamSampler::create(4097).value().variance(), 4097U);
}

} // namespace
} // namespace coppice
