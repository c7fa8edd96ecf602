// SPDX-License-Identifier: Apache-2.0
#include "privacy/discrete_noise.h"

#include <gmock/gmock.h>

#include <limits>
#include <numbers>

#include "privacy/exact_coins.h"
#include "tests/privacy/goodness.h"

namespace coppice {
namespace {

using Draws = std::vector<std::int64_t>;

Mass gaussian_mass(double variance) {
  const auto reach = static_cast<std::int64_t>(10.0 * std::sqrt(variance)) + 10;
  return mass_of(-reach, reach, [variance](std::int64_t k) {
    return std::exp(-static_cast<double>(k) * static_cast<double>(k) / (2.0 * variance));
  });
}

Mass laplace_mass(double scale) {
  const auto reach = static_cast<std::int64_t>(40.0 * scale) + 10;
  return mass_of(-reach, reach, [scale](std::int64_t k) {
    return std::exp(-std::fabs(static_cast<double>(k)) / scale);
  });
}

Draws gaussian_draws(Ratio variance, std::size_t count, std::uint64_t seed) {
  const auto sampler = DiscreteGaussian::create(variance).value();
  return draw(count, seed, [&](RandomBits& bits) { return sampler.sample(bits); });
}

double probability_of(std::size_t tries, std::uint64_t seed,
                      const std::function<bool(RandomBits&)>& coin) {
  KeyedSource source(seed);
  RandomBits bits(source);
  std::size_t heads = 0;
  for (std::size_t i = 0; i < tries; ++i) heads += coin(bits) ? 1U : 0U;
  return static_cast<double>(heads) / static_cast<double>(tries);
}

// Five standard errors of a share among `tries`: a right coin fails once in 1.7 million seeds.
double five_errors(double p, std::size_t tries) {
  return 5.0 * std::sqrt(p * (1.0 - p) / static_cast<double>(tries));
}

TEST(ChiSquareTest, ItsTailsAreThoseOfTheTables) {
  // NIST/SEMATECH e-Handbook, table 1.3.6.7.4: upper critical values.
  EXPECT_NEAR(chi_square_p(3.841, 2), 0.05, 5e-5);
  EXPECT_NEAR(chi_square_p(18.307, 11), 0.05, 5e-5);
  EXPECT_NEAR(chi_square_p(29.588, 11), 0.001, 1e-6);
  EXPECT_NEAR(chi_square_p(124.342, 101), 0.05, 5e-5);
  EXPECT_NEAR(chi_square_p(77.929, 101), 0.95, 5e-5); // lower critical value
}

TEST(RandomBitsTest, WhatIsDrawnIsTheSourcesBytesInOrder) {
  KeyedSource expected(1);
  std::vector<std::uint8_t> bytes(10000);
  expected.fill(bytes);
  KeyedSource source(1);
  RandomBits bits(source);
  std::size_t at = 0;
  while (at + 8 < bytes.size()) { // over several refills, aligned and not
    const std::size_t count = at % 8 + 1;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) value |= std::uint64_t{bytes[at + i]} << (8 * i);
    ASSERT_EQ(bits.take(count), value) << at;
    at += count;
  }
}

TEST(RandomBitsTest, ABoundedIntegerIsUniform) {
  for (const std::uint64_t bound : {1ULL, 2ULL, 3ULL, 7ULL, 1000ULL}) {
    const Draws draws = draw(200000, bound, [&](RandomBits& bits) { return bits.below(bound); });
    if (bound == 1) {
      EXPECT_EQ(mean_square(draws), 0.0);
      continue;
    }
    const Mass flat =
        mass_of(0, static_cast<std::int64_t>(bound) - 1, [](std::int64_t) { return 1.0; });
    EXPECT_GT(fit(draws, flat), kLeastP) << bound;
  }
  // Three quarters of 2^32 and of 2^64: without the rejection, thirds would be 1/2, 1/4, 1/4.
  for (const std::uint64_t third : {std::uint64_t{1} << 30U, std::uint64_t{1} << 62U}) {
    const Draws draws =
        draw(200000, 5, [&](RandomBits& bits) { return bits.below(3 * third) % 3; });
    EXPECT_GT(fit(draws, mass_of(0, 2, [](std::int64_t) { return 1.0; })), kLeastP) << third;
  }
}

TEST(RandomBitsTest, SingleBitsAreFairAndIndependent) {
  const Draws draws = draw(200000, 6, [](RandomBits& bits) {
    return (bits.bit() ? 4 : 0) + (bits.bit() ? 2 : 0) + (bits.bit() ? 1 : 0);
  });
  EXPECT_GT(fit(draws, mass_of(0, 7, [](std::int64_t) { return 1.0; })), kLeastP);
}

TEST(CoinTest, AFractionOccursAsOftenAsItSays) {
  constexpr std::size_t kTries = 400000;
  std::uint64_t seed = 100;
  for (const Ratio bias : {Ratio{0, 1},
                           {1, 1},
                           {1, 2},
                           {1, 3},
                           {255, 256},
                           {1, 1000},
                           {997, 1000},
                           {(1ULL << 54U) - 1, 1ULL << 55U}}) {
    const double got = probability_of(kTries, ++seed, [&](RandomBits& bits) {
      return bernoulli<std::uint64_t>(bits, bias.num, bias.den);
    });
    EXPECT_NEAR(got, bias.value(), five_errors(bias.value(), kTries)) << bias.num;
    const double wide = probability_of(kTries, ++seed, [&](RandomBits& bits) {
      constexpr Wide kUnit = Wide{1} << 64U; // so that the denominators reach 2^119
      return bernoulli<Wide>(bits, bias.num * kUnit, bias.den * kUnit);
    });
    EXPECT_NEAR(wide, bias.value(), five_errors(bias.value(), kTries)) << bias.num;
  }
}

TEST(CoinTest, AnExponentialOccursAsOftenAsItSays) {
  constexpr std::size_t kTries = 400000;
  std::uint64_t seed = 200;
  for (const Ratio gamma :
       {Ratio{0, 1}, {1, 1000}, {1, 2}, {1, 1}, {3, 2}, {2, 1}, {17, 5}, {9, 1}}) {
    const double expected = std::exp(-gamma.value());
    EXPECT_NEAR(probability_of(kTries, ++seed,
                               [&](RandomBits& bits) {
                                 return bernoulli_exp<std::uint64_t>(bits, gamma.num, gamma.den);
                               }),
                expected, five_errors(expected, kTries))
        << gamma.value();
    // Thinned by a coin of 1/3, three times the exponent.
    EXPECT_NEAR(probability_of(kTries, ++seed,
                               [&](RandomBits& bits) {
                                 return bernoulli_exp<Wide>(bits, 3 * gamma.num, gamma.den, [&] {
                                   return bernoulli<std::uint64_t>(bits, 1, 3);
                                 });
                               }),
                expected, five_errors(expected, kTries))
        << gamma.value();
  }
}

TEST(CoinTest, IntegerRootsAreExact) {
  for (const std::uint64_t root : {1ULL, 2ULL, 3ULL, 1000ULL, 0xFFFFFFFFULL}) {
    EXPECT_EQ(integer_sqrt(root * root), root);
    EXPECT_EQ(integer_sqrt(root * root - 1), root - 1);
  }
  EXPECT_EQ(integer_sqrt(0), 0U);
  EXPECT_EQ(integer_sqrt(std::numeric_limits<std::uint64_t>::max()), 0xFFFFFFFFU);
}

TEST(DiscreteLaplaceTest, DrawsFitTheMassFunction) {
  std::uint64_t seed = 300;
  for (const Ratio scale : {Ratio{1, 1}, {1, 3}, {5, 2}, {20, 1}, {1000, 7}}) {
    const auto sampler = DiscreteLaplace::create(scale.num, scale.den).value();
    const Draws draws =
        draw(300000, ++seed, [&](RandomBits& bits) { return sampler.sample(bits); });
    EXPECT_GT(fit(draws, laplace_mass(scale.value())), kLeastP) << scale.value();
  }
}

TEST(DiscreteGaussianTest, DrawsFitTheMassFunction) {
  std::uint64_t seed = 400;
  for (const Ratio variance : {Ratio{1, 8},
                               {1, 2},
                               {1, 1},
                               {3, 1},
                               {22, 7},
                               {12345678, 1000000},
                               {100, 1},
                               {10000, 1},
                               {2000001, 2}}) {
    const double value = variance.value();
    EXPECT_GT(fit(gaussian_draws(variance, 400000, ++seed), gaussian_mass(value)), kLeastP)
        << value;
  }
}

TEST(DiscreteGaussianTest, ALargeOneIsNormal) {
  // At 2^40 and beyond the sum over the integers is the integral to 1e-1000: the normal law holds.
  for (const std::uint64_t variance : {1ULL << 40U, 1ULL << 58U}) {
    const double sigma = std::sqrt(static_cast<double>(variance));
    Draws draws = gaussian_draws({variance, 1}, 400000, 500 + (variance >> 57U));
    for (std::int64_t& value : draws) {
      value = static_cast<std::int64_t>(std::floor(static_cast<double>(value) / sigma * 20.0));
    }
    const Mass mass = mass_of(-160, 159, [](std::int64_t k) { // twentieths of sigma
      const auto phi = [](double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); };
      return phi(static_cast<double>(k + 1) / 20.0) - phi(static_cast<double>(k) / 20.0);
    });
    EXPECT_GT(fit(draws, mass), kLeastP) << variance;
  }
}

TEST(DiscreteGaussianTest, MeanAndVarianceAreWithinTheirErrors) {
  constexpr std::size_t kCount = 400000;
  for (const Ratio variance : {Ratio{1, 2}, {3, 1}, {10000, 1}, {1ULL << 40U, 1}}) {
    const Draws draws = gaussian_draws(variance, kCount, 600 + variance.num);
    double expected = variance.value();
    if (expected < 1000.0) { // the variance of the discrete law itself, by summation
      const Mass mass = gaussian_mass(expected);
      expected = 0.0;
      for (std::int64_t k = mass.first; k <= -mass.first; ++k) {
        expected += static_cast<double>(k * k) * mass.at(k);
      }
    }
    // Five standard errors: sqrt(v / n) for the mean, and with the fourth moment of at most 3.01
    // v^2 (the kurtosis of the discrete law at 1/2 is 3.04; 3 above) v sqrt(2.05 / n) for the mean
    // square.
    EXPECT_NEAR(mean_of(draws), 0.0, 5.0 * std::sqrt(expected / double{kCount}));
    EXPECT_NEAR(mean_square(draws), expected, 5.0 * expected * std::sqrt(2.05 / double{kCount}));
  }
}

TEST(DiscreteGaussianTest, ConsecutiveDrawsAreIndependent) {
  const Draws draws = gaussian_draws({1, 1}, 600001, 700);
  const Mass one = gaussian_mass(1.0);
  // Pairs (first, second), each clamped to -3..3, against the product of the two.
  const auto clamped = [](std::int64_t k) {
    return std::min<std::int64_t>(3, std::max<std::int64_t>(-3, k));
  };
  std::vector<double> marginal(7, 0.0);
  for (std::int64_t k = -12; k <= 12; ++k)
    marginal[static_cast<std::size_t>(clamped(k) + 3)] += one.at(k);
  const Mass product = mass_of(0, 48, [&](std::int64_t cell) {
    return marginal[static_cast<std::size_t>(cell / 7)] *
           marginal[static_cast<std::size_t>(cell % 7)];
  });
  Draws pairs;
  for (std::size_t i = 0; i + 1 < draws.size(); i += 2) {
    pairs.push_back((clamped(draws[i]) + 3) * 7 + clamped(draws[i + 1]) + 3);
  }
  EXPECT_GT(fit(pairs, product), kLeastP);
  for (const std::size_t lag : {1U, 2U, 3U, 8U}) { // correlation: standard error 1 / sqrt(n)
    double sum = 0.0;
    for (std::size_t i = 0; i + lag < draws.size(); ++i) {
      sum += static_cast<double>(draws[i] * draws[i + lag]);
    }
    const auto count = static_cast<double>(draws.size() - lag);
    EXPECT_NEAR(sum / count, 0.0, 5.0 / std::sqrt(count)) << lag;
  }
}

TEST(DiscreteGaussianTest, TheSameBytesGiveTheSameNoise) {
  const auto sampler = DiscreteGaussian::create({1000, 1}).value();
  const auto vector_of = [&](std::uint64_t seed) {
    KeyedSource source(seed);
    RandomBits bits(source);
    Draws values(5000, 7);
    add_noise(std::span(values), sampler, bits);
    return values;
  };
  const Draws first = vector_of(1);
  EXPECT_EQ(first, vector_of(1));
  EXPECT_NE(first, vector_of(2));
  EXPECT_NEAR(mean_of(first), 7.0, 5.0 * std::sqrt(1000.0 / 5000.0)); // added, not put in place
}

TEST(DiscreteGaussianTest, RingElementsTakeTheSameNoiseModuloTheRing) {
  const auto sampler = DiscreteGaussian::create({1000000, 1}).value();
  for (const std::uint32_t mask : {0xFFFFU, 0xFFFFFU, 0xFFFFFFU, 0xFFFFFFFFU}) {
    KeyedSource source(3);
    RandomBits bits(source);
    Draws values(1000, 5);
    add_noise(std::span(values), sampler, bits);
    KeyedSource again(3);
    RandomBits same(again);
    std::vector<std::uint32_t> elements(1000, 5);
    add_noise(std::span(elements), mask, sampler, same);
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(elements[i], static_cast<std::uint32_t>(values[i]) & mask);
    }
  }
}

TEST(DiscreteGaussianTest, WhatTheArithmeticCannotCarryIsRefused) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 59U;
  for (const Ratio variance : {Ratio{0, 1},
                               {1, 0},
                               {kMost, 1},
                               {kMost + 1, 2},
                               {1, kMost + 1},
                               {std::numeric_limits<std::uint64_t>::max(), 1},
                               {kMost - 1, 1024}}) {
    const auto sampler = DiscreteGaussian::create(variance);
    ASSERT_FALSE(sampler.ok()) << variance.num << "/" << variance.den;
    EXPECT_EQ(sampler.error().code, ErrorCode::kInvalidArgument);
  }
  for (const Ratio variance :
       {Ratio{kMost / 2, 1}, {kMost, 2}, {kMost / 2, 1U << 20U}, {1, kMost}}) {
    EXPECT_TRUE(DiscreteGaussian::create(variance).ok()) << variance.num << "/" << variance.den;
  }
  EXPECT_EQ(DiscreteGaussian::create({6, 4}).value().variance(), (Ratio{3, 2}));
  EXPECT_FALSE(DiscreteLaplace::create(0, 1).ok());
  EXPECT_FALSE(DiscreteLaplace::create(1, 0).ok());
  EXPECT_FALSE(DiscreteLaplace::create(std::uint64_t{1} << 32U, 1).ok());
}

TEST(DiscreteGaussianTest, TheEdgesOfTheArithmeticStillFit) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 59U;
  // So little variance that only zero is ever seen, with the largest denominator.
  EXPECT_EQ(mean_square(gaussian_draws({1, kMost}, 1000, 801)), 0.0);
  // 2^38 in units of 2^-20, not reducible: 2^118 is all but reached.
  const Ratio fine{kMost / 2 - 1, 1U << 20U};
  const Draws draws = gaussian_draws(fine, 200000, 802);
  EXPECT_NEAR(mean_square(draws) / fine.value(), 1.0, 5.0 * std::sqrt(2.0 / 200000.0));
}

TEST(VarianceTest, IsRoundedUpAndNeverDown) {
  EXPECT_EQ(variance_at_least(0.5).value(), (Ratio{1U << 19U, 1U << 20U}));
  EXPECT_EQ(variance_at_least(1e-30).value(), (Ratio{1, 1U << 20U}));
  EXPECT_EQ(variance_at_least(0x1p40 + 0.25).value(), (Ratio{(1ULL << 40U) + 1, 1}));
  KeyedRandom random({.step = 9});
  for (int i = 0; i < 1000; ++i) {
    const double variance = std::exp2(60.0 * random.uniform_double() - 2.0);
    const double got = variance_at_least(variance).value().value();
    ASSERT_GE(got, variance);
    ASSERT_LE(got, variance + std::max(0x1p-20, variance * 0x1p-38));
    ASSERT_TRUE(DiscreteGaussian::create(variance_at_least(variance).value()).ok());
  }
  for (const double bad : {0.0, -1.0, 0x1p59, std::numeric_limits<double>::infinity(),
                           std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(variance_at_least(bad).error().code, ErrorCode::kInvalidArgument) << bad;
  }
}

// --- Samplers with a bug that someone could write; the same test must refuse each. ---------------

double uniform(RandomBits& bits) { return (static_cast<double>(bits.take(6)) + 0.5) * 0x1p-48; }

TEST(BrokenSamplerTest, ARoundedContinuousGaussianIsRefused) {
  for (const double variance : {0.5, 1.0, 3.0}) { // its variance is about 1/12 above
    const Draws draws = draw(400000, 901, [&](RandomBits& bits) {
      const double radius = std::sqrt(-2.0 * variance * std::log(uniform(bits)));
      return std::llround(radius * std::cos(2.0 * std::numbers::pi * uniform(bits)));
    });
    EXPECT_LT(fit(draws, gaussian_mass(variance)), kBrokenP) << variance;
  }
}

TEST(BrokenSamplerTest, AnOffByOneLaplaceIsRefused) {
  // Counting from 1 instead of 0, and a fraction drawn from t + 1 values instead of t.
  const Draws from_one = draw(400000, 902, [](RandomBits& bits) {
    const auto size = static_cast<std::int64_t>(sample_geometric(bits, 20)) + 1;
    return bits.bit() ? -size : size;
  });
  EXPECT_LT(fit(from_one, laplace_mass(20.0)), kBrokenP);
  const Draws one_more = draw(400000, 903, [](RandomBits& bits) {
    for (;;) {
      std::uint64_t size = bits.below(21);
      if (!bernoulli_exp<std::uint64_t>(bits, size, 20)) continue;
      while (bernoulli_exp<std::uint64_t>(bits, 1, 1)) size += 20;
      const bool negative = bits.bit();
      if (negative && size == 0) continue;
      return negative ? -static_cast<std::int64_t>(size) : static_cast<std::int64_t>(size);
    }
  });
  EXPECT_LT(fit(one_more, laplace_mass(20.0)), kBrokenP);
}

TEST(BrokenSamplerTest, ADoubledZeroIsRefused) {
  const Draws draws = draw(400000, 904, [](RandomBits& bits) {
    const auto size = static_cast<std::int64_t>(sample_geometric(bits, 20));
    return bits.bit() ? -size : size; // without the second look at zero
  });
  EXPECT_LT(fit(draws, laplace_mass(20.0)), kBrokenP);
}

// Algorithm 3 at variance 4 with a given coin in place of Bernoulli(exp(-gamma)), and given signs.
template <typename Accept, typename Negative>
Draws gaussian_with(std::uint64_t seed, Accept&& accept, Negative&& negative) {
  return draw(400000, seed, [&](RandomBits& bits) {
    for (;;) {
      const auto size = static_cast<std::int64_t>(sample_geometric(bits, 3));
      const bool below = negative(bits);
      if (below && size == 0) continue;
      const double off = static_cast<double>(size) - 4.0 / 3.0;
      if (accept(bits, off * off / 8.0)) return below ? -size : size;
    }
  });
}

TEST(BrokenSamplerTest, ABiasedCoinIsRefused) {
  const auto right = [](RandomBits& bits, double gamma) {
    return uniform(bits) < std::exp(-gamma);
  };
  const auto fair = [](RandomBits& bits) { return bits.bit(); };
  // The harness itself is sound: with right coins it fits.
  EXPECT_GT(fit(gaussian_with(905, right, fair), gaussian_mass(4.0)), kLeastP);
  // An acceptance of 1 - gamma, the first term of its series; and one that is 2 % too likely.
  const auto linear = [](RandomBits& bits, double gamma) { return uniform(bits) < 1.0 - gamma; };
  EXPECT_LT(fit(gaussian_with(906, linear, fair), gaussian_mass(4.0)), kBrokenP);
  const auto likely = [](RandomBits& bits, double gamma) {
    return uniform(bits) < std::exp(-0.95 * gamma);
  };
  EXPECT_LT(fit(gaussian_with(907, likely, fair), gaussian_mass(4.0)), kBrokenP);
  const auto tilted = [](RandomBits& bits) { return uniform(bits) < 0.51; };
  EXPECT_LT(fit(gaussian_with(908, right, tilted), gaussian_mass(4.0)), kBrokenP);
}

TEST(BrokenSamplerTest, AStuckSourceEndsTheProcess) {
  struct Stuck final : ByteSource {
    void fill(std::span<std::uint8_t> bytes) override {
      for (std::uint8_t& byte : bytes) byte = 0;
    }
  };
  const auto sampler = DiscreteGaussian::create({4, 1}).value();
  EXPECT_DEATH(
      {
        Stuck source;
        RandomBits bits(source);
        sampler.sample(bits);
      },
      "isn't random");
}

} // namespace
} // namespace coppice
