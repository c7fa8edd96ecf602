// SPDX-License-Identifier: Apache-2.0
#include "privacy/banded_noise.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/privacy/goodness.h"

namespace coppice {
namespace {

__extension__ using Signed = __int128;

using Vector = std::vector<std::int64_t>;

BandedCoefficients coefficients_of(std::uint32_t bands, std::uint32_t fraction_bits = 12) {
  return BandedCoefficients::create(bands, fraction_bits).value();
}

BandedNoise noise_of(std::uint32_t bands, std::uint64_t dimension) {
  return BandedNoise::create(coefficients_of(bands), dimension).value();
}

double coefficient(const BandedCoefficients& c, std::size_t j) {
  return j < c.scaled.size()
             ? std::ldexp(static_cast<double>(c.scaled[j]), -static_cast<int>(c.fraction_bits))
             : 0.0;
}

// The first `count` coefficients of 1 / c(x), by division.
std::vector<double> inverse_of(const BandedCoefficients& c, std::size_t count) {
  std::vector<double> inverse(count, 0.0);
  inverse[0] = 1.0;
  for (std::size_t t = 1; t < count; ++t) {
    for (std::size_t j = 1; j <= t; ++j) inverse[t] -= coefficient(c, j) * inverse[t - j];
  }
  return inverse;
}

// Of the sum of the first `rounds` noises, per unit of z's variance: the coefficients of 1 / ((1 -
// x) c(x)), squared and summed.
double prefix_variance(const BandedCoefficients& c, std::size_t rounds) {
  double prefix = 0.0;
  double sum = 0.0;
  for (const double v : inverse_of(c, rounds)) {
    prefix += v;
    sum += prefix * prefix;
  }
  return sum;
}

TEST(BandedCoefficientsTest, AreThoseOfTheSquareRootRounded) {
  // 1, 1/2, 3/8, 5/16, 35/128, 63/256, 231/1024 (exact in 12 bits), 429/2048, then rounded.
  EXPECT_EQ(coefficients_of(8).scaled,
            (std::vector<std::uint32_t>{4096, 2048, 1536, 1280, 1120, 1008, 924, 858}));
  for (std::uint32_t bits = 1; bits <= kMaxFractionBits; ++bits) {
    for (std::uint32_t bands = 1; bands <= kMaxBands; ++bands) {
      const auto made = BandedCoefficients::create(bands, bits);
      if (!made) continue;
      long double exact = 1.0L; // its error of 2^-60 is far from any rounding's border
      for (std::uint32_t j = 0; j < bands; ++j) {
        ASSERT_EQ(made->scaled[j], std::floor(std::ldexp(exact, static_cast<int>(bits)) + 0.5L))
            << j << " in " << bits << " bits";
        ASSERT_LE(made->scaled[j], made->scaled[j > 0 ? j - 1 : 0]);
        exact = exact * static_cast<long double>(2 * j + 1) / static_cast<long double>(2 * j + 2);
      }
    }
  }
}

TEST(BandedCoefficientsTest, TheInverseHasThePublishedNoisingCoefficients) {
  // Those of jax_privacy's tests of buffered Toeplitz mechanisms; exact in binary, so equal.
  const auto inverse = inverse_of(coefficients_of(kMaxBands), 5);
  EXPECT_EQ(inverse, (std::vector<double>{1.0, -1.0 / 2, -1.0 / 8, -1.0 / 16, -5.0 / 128}));
}

TEST(BandedCoefficientsTest, TheColumnNormIsThatOfTheRoundedCoefficients) {
  EXPECT_EQ(coefficients_of(1).column_norm(), 1.0);
  EXPECT_EQ(coefficients_of(3).norm_squared(), 4096U * 4096U + 2048U * 2048U + 1536U * 1536U);
  EXPECT_DOUBLE_EQ(coefficients_of(3).column_norm(), std::sqrt(1.0 + 0.25 + 9.0 / 64.0));
  // Each of 64 coefficients is off by 2^-13 at most, and none above 1.
  double exact = 0.0;
  double c = 1.0;
  for (int j = 0; j < 64; ++j) {
    exact += c * c;
    c *= (2.0 * j + 1.0) / (2.0 * j + 2.0);
  }
  EXPECT_NEAR(coefficients_of(64).column_norm(), std::sqrt(exact), 64 * 0x1p-13);
}

TEST(BandedCoefficientsTest, WhatCannotBeKeptStableIsRefused) {
  for (const auto& [bands, bits] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{
           {0, 12}, {65, 12}, {8, 13}, {2, 0}, {64, 2}, {6, 1}}) {
    EXPECT_EQ(BandedCoefficients::create(bands, bits).error().code, ErrorCode::kInvalidArgument)
        << bands << " " << bits;
  }
  EXPECT_TRUE(BandedCoefficients::create(1, 0).ok());
  EXPECT_TRUE(BandedCoefficients::create(5, 1).ok());
}

// What the mechanism releases, in units of 2^-f: C s + z, with z drawn again from the same bytes.
std::vector<Vector> released(const BandedCoefficients& c, const std::vector<Vector>& sums,
                             Ratio variance, std::uint64_t seed) {
  KeyedSource source(seed);
  const auto sampler =
      DiscreteGaussian::create({variance.num << (2 * c.fraction_bits), variance.den}).value();
  std::vector<Vector> out;
  for (std::size_t t = 0; t < sums.size(); ++t) {
    Vector row(sums[t].size(), 0);
    RandomBits bits(source);
    add_noise(std::span(row), sampler, bits);
    for (std::size_t j = 0; j <= t && j < c.scaled.size(); ++j) {
      for (std::size_t i = 0; i < row.size(); ++i) row[i] += c.scaled[j] * sums[t - j][i];
    }
    out.push_back(row);
  }
  return out;
}

struct Played {
  std::vector<Vector> sums;
  std::vector<Vector> published; // s + e
};

Played run_of(std::uint32_t bands, std::size_t rounds, std::size_t dimension, Ratio variance,
              std::uint64_t seed) {
  Played run;
  KeyedRandom random({.step = seed});
  KeyedSource source(seed);
  BandedNoise noise = noise_of(bands, dimension);
  for (std::size_t t = 0; t < rounds; ++t) {
    Vector sum(dimension);
    for (std::int64_t& s : sum) s = static_cast<std::int64_t>(random.below(2001)) - 1000;
    run.sums.push_back(sum);
    const Vector e = noise.next(variance, source).value();
    for (std::size_t i = 0; i < dimension; ++i) sum[i] += e[i];
    run.published.push_back(sum);
  }
  return run;
}

TEST(BandedNoiseTest, WhatIsPublishedIsComputedFromTheMechanismsReleaseAlone) {
  for (const std::uint32_t bands : {1U, 2U, 3U, 5U, 9U}) {
    const auto c = coefficients_of(bands);
    const Ratio variance{7, 2};
    const Played run = run_of(bands, 12, 20, variance, bands);
    const auto seen = released(c, run.sums, variance, bands);
    std::vector<Vector> published; // no sum from here on
    for (std::size_t t = 0; t < seen.size(); ++t) {
      Vector y(seen[t].size());
      for (std::size_t i = 0; i < y.size(); ++i) {
        std::int64_t value = seen[t][i];
        for (std::size_t j = 1; j <= t && j < bands; ++j) {
          value -= c.scaled[j] * published[t - j][i];
        }
        y[i] = static_cast<std::int64_t>(std::floor(static_cast<double>(value) / 4096.0 + 0.5));
      }
      published.push_back(y);
    }
    EXPECT_EQ(published, run.published) << bands;
  }
}

TEST(BandedNoiseTest, IsTheInverseMatrixTimesTheReleaseAndTheRoundings) {
  // In exact rationals: y = C^-1 (C s + z + r) with |r| <= 1/2. v_t, of C^-1, is an integer over
  // 2^(12 t), and everything here one over 2^(12 kRounds).
  constexpr std::size_t kRounds = 5;
  constexpr std::uint32_t kBands = 3;
  const auto c = coefficients_of(kBands);
  const Ratio variance{50, 1};
  const Played run = run_of(kBands, kRounds, 16, variance, 77);
  auto lattice = released(c, run.sums, variance, 77);
  bool any = false;
  for (std::size_t t = 0; t < kRounds; ++t) { // to C s + z the r that C y leaves over is added
    for (std::size_t i = 0; i < lattice[t].size(); ++i) {
      std::int64_t product = 0;
      for (std::size_t j = 0; j <= t && j < kBands; ++j) {
        product += c.scaled[j] * run.published[t - j][i];
      }
      const std::int64_t rounding = product - lattice[t][i];
      ASSERT_GT(rounding, -2048);
      ASSERT_LE(rounding, 2048);
      any = any || rounding != 0;
      lattice[t][i] += rounding;
    }
  }
  EXPECT_TRUE(any);
  std::vector<Signed> inverse(kRounds, 0); // v_t 2^(12 t)
  inverse[0] = 1;
  for (std::size_t t = 1; t < kRounds; ++t) {
    for (std::size_t j = 1; j <= t && j < kBands; ++j) {
      inverse[t] -= static_cast<Signed>(c.scaled[j]) * inverse[t - j] *
                    (Signed{1} << static_cast<int>(12 * (j - 1)));
    }
  }
  for (std::size_t t = 0; t < kRounds; ++t) {
    for (std::size_t i = 0; i < lattice[t].size(); ++i) {
      Signed sum = 0; // times 2^(12 (t + 1))
      for (std::size_t u = 0; u <= t; ++u) {
        sum += inverse[t - u] * lattice[u][i] * (Signed{1} << static_cast<int>(12 * u));
      }
      const Signed expected =
          static_cast<Signed>(run.published[t][i]) * (Signed{1} << static_cast<int>(12 * (t + 1)));
      ASSERT_TRUE(sum == expected) << t << " " << i;
    }
  }
}

TEST(BandedNoiseTest, OneBandIsTheIndependentDiscreteGaussian) {
  BandedNoise noise = BandedNoise::create(coefficients_of(1, 0), 100000).value();
  KeyedSource source(5);
  Vector all;
  for (int t = 0; t < 3; ++t) {
    const Vector e = noise.next({3, 1}, source).value();
    all.insert(all.end(), e.begin(), e.end());
  }
  const Mass mass =
      mass_of(-40, 40, [](std::int64_t k) { return std::exp(-static_cast<double>(k * k) / 6.0); });
  EXPECT_GT(fit(all, mass), kLeastP);
}

TEST(BandedNoiseTest, PrefixSumsCarryFarLessThanIndependentNoiseOfTheSameBudget) {
  constexpr std::size_t kRounds = 100;
  constexpr std::size_t kDimension = 4000;
  for (const std::uint32_t bands : {4U, 16U}) {
    const auto c = coefficients_of(bands);
    // The same multiplier: deviation over sqrt(k) ||c|| against deviation over sqrt(k). Variances
    // in units of 2^-24 are exact.
    const double independent = 400.0;
    const Ratio variance{400 * c.norm_squared(), 1U << 24U};
    KeyedSource source(60 + bands);
    BandedNoise noise = noise_of(bands, kDimension);
    Vector prefix(kDimension, 0);
    for (std::size_t t = 0; t < kRounds; ++t) {
      const Vector e = noise.next(variance, source).value();
      for (std::size_t i = 0; i < kDimension; ++i) prefix[i] += e[i];
    }
    // Each round's rounding adds 1/12 to z's variance. Five standard errors: 5 sqrt(2 / 4000).
    const double expected = (variance.value() + 1.0 / 12.0) * prefix_variance(c, kRounds);
    EXPECT_NEAR(mean_square(prefix) / expected, 1.0, 5.0 * std::sqrt(2.0 / double{kDimension}));
    const double ratio = mean_square(prefix) / (independent * double{kRounds});
    EXPECT_LT(ratio, bands == 16 ? 0.125 : 0.4) << bands;
    RecordProperty("ratio_" + std::to_string(bands), std::to_string(ratio));
  }
  // Before the bands end, A C^-1 = C: the prefix's variance is ||c||^2. Eight coefficients are
  // exact.
  const auto full = coefficients_of(8);
  EXPECT_NEAR(prefix_variance(full, 8), full.column_norm() * full.column_norm(), 1e-12);
}

TEST(BandedNoiseTest, GoesOnWithTheSameBitsFromItsBytes) {
  for (const std::uint32_t bands : {1U, 2U, 5U}) {
    for (std::uint64_t stop = 0; stop < 9; ++stop) {
      const Ratio variance{100, 1};
      KeyedSource source(70);
      BandedNoise noise = noise_of(bands, 33);
      for (std::uint64_t t = 0; t < stop; ++t) ASSERT_TRUE(noise.next(variance, source).ok());
      const Bytes bytes = noise.serialize();
      EXPECT_EQ(bytes.size(), 28U + 4U * 33U * (bands - 1U));
      BandedNoise restored = BandedNoise::parse(bytes).value();
      EXPECT_EQ(restored.serialize(), bytes);
      for (std::uint64_t t = 0; t < 6; ++t) {
        KeyedSource one(80 + t);
        KeyedSource other(80 + t);
        ASSERT_EQ(noise.next(variance, one).value(), restored.next(variance, other).value());
      }
      EXPECT_EQ(noise.serialize(), restored.serialize());
      EXPECT_EQ(noise.rounds, stop + 6);
    }
  }
}

Bytes state_bytes(std::uint32_t version, std::uint32_t bands, std::uint32_t bits,
                  std::uint64_t dimension, std::uint64_t rounds, std::size_t history) {
  ByteWriter writer;
  writer.put(version);
  writer.put(bands);
  writer.put(bits);
  writer.put(dimension);
  writer.put(rounds);
  for (std::size_t i = 0; i < history; ++i) writer.put(std::int32_t{1});
  return std::move(writer).take();
}

TEST(BandedNoiseTest, HostileStatesAreRefused) {
  ASSERT_TRUE(BandedNoise::parse(state_bytes(1, 3, 12, 5, 2, 10)).ok());
  const auto code = [](const Bytes& bytes) { return BandedNoise::parse(bytes).error().code; };
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(code(state_bytes(2, 3, 12, 5, 2, 10)), ErrorCode::kUnsupported);
  EXPECT_EQ(code(state_bytes(1, 0, 12, 5, 2, 0)), ErrorCode::kCorrupt);
  EXPECT_EQ(code(state_bytes(1, 65, 12, 5, 2, 320)), ErrorCode::kCorrupt);
  EXPECT_EQ(code(state_bytes(1, 3, 13, 5, 2, 10)), ErrorCode::kCorrupt);
  EXPECT_EQ(code(state_bytes(1, 3, 0, 5, 2, 10)), ErrorCode::kCorrupt);
  EXPECT_EQ(code(state_bytes(1, 3, 12, 0, 2, 0)), ErrorCode::kCorrupt);
  EXPECT_EQ(code(state_bytes(1, 3, 12, kMost, 2, 10)), ErrorCode::kTooLarge);
  EXPECT_EQ(code(state_bytes(1, 3, 12, (kMaxBandedValues >> 1U) + 1, 2, 10)), ErrorCode::kTooLarge);
  EXPECT_EQ(code(state_bytes(1, 3, 12, kMaxBandedValues >> 1U, 2, 10)), ErrorCode::kCorrupt);
  EXPECT_EQ(code(state_bytes(1, 3, 12, 5, kMost, 10)), ErrorCode::kCorrupt);
  EXPECT_EQ(code(state_bytes(1, 3, 12, 5, 2, 9)), ErrorCode::kCorrupt);
  EXPECT_EQ(code(state_bytes(1, 3, 12, 5, 2, 11)), ErrorCode::kCorrupt);
  EXPECT_EQ(code(state_bytes(1, 3, 12, 5, 1, 10)), ErrorCode::kCorrupt) << "an undrawn row";
  const Bytes whole = state_bytes(1, 3, 12, 5, 2, 10);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ASSERT_FALSE(BandedNoise::parse(ByteSpan(whole).first(size)).ok()) << size;
  }
}

TEST(BandedNoiseTest, ADamagedHistoryIsRefusedAndLeftAsItIs) {
  BandedNoise noise = noise_of(4, 8);
  noise.rounds = 3;
  for (std::int32_t& value : noise.history) value = std::numeric_limits<std::int32_t>::min();
  const Bytes before = noise.serialize();
  KeyedSource source(90);
  EXPECT_EQ(noise.next({1, 1}, source).error().code,
            ErrorCode::kCorrupt); // (1/2 + 3/8 + 5/16) 2^31
  EXPECT_EQ(noise.serialize(), before);
}

TEST(BandedNoiseTest, VariancesAndSizesOutOfRangeAreRefused) {
  KeyedSource source(91);
  BandedNoise noise = noise_of(2, 4);
  for (const Ratio variance : {Ratio{0, 1}, {1, 0}, {(1ULL << 34U) * 4, 1}, {1ULL << 60U, 1}}) {
    EXPECT_EQ(noise.next(variance, source).error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(noise.rounds, 0U);
  EXPECT_TRUE(noise.next({1ULL << 34U, 1}, source).ok());
  EXPECT_EQ(BandedNoise::create(coefficients_of(2), 0).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(BandedNoise::create(coefficients_of(3), kMaxBandedValues).error().code,
            ErrorCode::kTooLarge);
}

} // namespace
} // namespace coppice
