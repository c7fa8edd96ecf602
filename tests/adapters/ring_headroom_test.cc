// SPDX-License-Identifier: Apache-2.0
#include "adapters/ring_headroom.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "adapters/delta_encoding.h"
#include "adapters/rotation.h"
#include "adapters/rounded_norm.h"

namespace coppice {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Clip 1, so that the scale is C s; noise of 0.8 times the sensitivity.
HeadroomTerms published_terms(std::uint64_t elements, std::uint64_t clients) {
  return {.elements = elements,
          .clients = clients,
          .clip = 1,
          .rotated = true,
          .noise_multiplier = 0.8};
}

TEST(VectorHeadroomTest, AMillionParametersAndAThousandClientsNeed23BitsForCertainAnd16Rotated) {
  HeadroomTerms terms = published_terms(1U << 20U, 1000);
  const double scale = least_norm_for_inflation(terms.elements, 0.03);
  EXPECT_EQ(std::ceil(ring_bits_needed(terms, scale)), 16);
  terms.rotated = false;
  EXPECT_EQ(std::ceil(ring_bits_needed(terms, scale)), 23);
  EXPECT_FALSE(headroom(RingBits{22}, terms, scale).allowed());
  // Without the noise, 1000 * 2086 is 0.5 % below 2^21: there 22 bits are enough, and certain.
  terms.noise_multiplier = 0;
  EXPECT_EQ(std::ceil(ring_bits_needed(terms, scale)), 22);
  EXPECT_TRUE(headroom(RingBits{22}, terms, scale).certain);
  EXPECT_FALSE(headroom(RingBits{21}, terms, scale).allowed());
}

// The closed form that the published table is from: one Gaussian tail for signal, rounding and
// noise together, with unconditional rounding and exact floats.
double idealized_bits(std::uint64_t elements, std::uint64_t clients, double scale) {
  const auto d = static_cast<double>(elements);
  const auto n = static_cast<double>(clients);
  const double kappa = std::sqrt(2 * std::log(2 * d * 0x1p40));
  const double noise = 0.64 * rounded_norm_squared(scale, elements);
  return std::log2(2 * kappa * std::sqrt(n * scale * n * scale / d + n / 4 + noise));
}

TEST(VectorHeadroomTest, ThePublishedTableOfBitsIsReproduced) {
  struct Row {
    std::uint64_t clients;
    std::uint64_t log2_elements;
    double published;
    double bits;
  };
  for (const Row& row :
       {Row{100, 18, 14.0, 14}, Row{100, 20, 15.0, 15}, Row{100, 23, 16.5, 17},
        Row{1000, 18, 15.3, 16}, Row{1000, 20, 15.6, 16}, Row{1000, 23, 16.6, 17},
        Row{10'000, 18, 18.5, 19}, Row{10'000, 20, 18.5, 19}, Row{10'000, 23, 18.6, 19}}) {
    const std::uint64_t elements = std::uint64_t{1} << row.log2_elements;
    const double scale = least_norm_for_inflation(elements, 0.03);
    const double idealized = idealized_bits(elements, row.clients, scale);
    EXPECT_NEAR(idealized, row.published, 0.051) << row.clients << ", " << row.log2_elements;
    // The honest figure adds what conditioning may move the mean by, at most 0.607 n, and the float
    // error: beside kappa n C s / sqrt(d) > 18.4 n together below 4 %, 0.06 bits. Never less.
    const double honest = ring_bits_needed(published_terms(elements, row.clients), scale);
    EXPECT_GE(honest, idealized) << row.clients << ", " << row.log2_elements;
    EXPECT_LE(honest, idealized + 0.06) << row.clients << ", " << row.log2_elements;
    EXPECT_EQ(std::ceil(honest), row.bits) << row.clients << ", " << row.log2_elements;
  }
}

TEST(VectorHeadroomTest, SixteenBitsLeaveAThousandClientsMoreThanTheScaleForThreePercent) {
  const HeadroomTerms terms = published_terms(1U << 20U, 1000);
  const ScaleChoice choice = largest_scale(RingBits{16}, terms);
  EXPECT_GT(choice.scale, least_norm_for_inflation(terms.elements, 0.03));
  EXPECT_TRUE(choice.headroom.allowed());
  EXPECT_FALSE(choice.headroom.certain);
}

TEST(VectorHeadroomTest, TheLargestScaleAndTheBitsNeededAreWhereTheStatementTurns) {
  for (const std::uint64_t elements : {1U, 3U, 1000U, 155'648U}) {
    for (const std::uint64_t clients : {1U, 8U, 300U}) {
      for (const bool rotated : {false, true}) {
        for (const double noise : {0.0, 0.5}) {
          const HeadroomTerms terms{.elements = elements,
                                    .clients = clients,
                                    .max_weight = 3,
                                    .clip = 0.1,
                                    .rotated = rotated,
                                    .noise_deviation = noise,
                                    .noise_multiplier = noise};
          const ScaleChoice choice = largest_scale(RingBits{16}, terms);
          ASSERT_GT(choice.scale, 0);
          EXPECT_LE(choice.headroom.log2_wrap_probability, -40);
          EXPECT_EQ(choice.headroom.certain, choice.headroom.log2_wrap_probability == -kInfinity);
          EXPECT_FALSE(headroom(RingBits{16}, terms, choice.scale * 1.000001).allowed());
          EXPECT_NEAR(ring_bits_needed(terms, choice.scale), 16, 1e-6);
        }
      }
    }
  }
}

TEST(VectorHeadroomTest, CertainIsWhatIsCertainForSingleValues) {
  for (const std::uint64_t clients : {1U, 7U, 40U, 1000U, 33'000U}) {
    for (double scale = 0.25; scale < 40'000; scale *= 1.3) {
      for (const bool rotated : {false, true}) {
        const HeadroomTerms terms{
            .elements = 100, .clients = clients, .clip = 0.7, .rotated = rotated};
        const auto statement = headroom(RingBits{16}, terms, scale);
        EXPECT_EQ(statement.certain, ring_cannot_wrap(RingBits{16}, clients, 1, 0.7, scale));
        EXPECT_EQ(statement.certain, statement.log2_wrap_probability == -kInfinity);
      }
    }
  }
}

TEST(VectorHeadroomTest, WithoutNoiseTheProbabilityIsTheGaussianTailOfTheNote) {
  const HeadroomTerms terms{.elements = 5000, .clients = 200, .clip = 2, .rotated = true};
  const double scale = 100;
  const double sum = 200 * 2 * scale;
  const double room = 32'768 - 0.607 * 200 - sum * 0x1p-16;
  const double variance = sum * sum / 4096 + 200.0 / 4;
  const double expected = std::log2(2.0 * 5000) - room * room / (2 * variance) / std::numbers::ln2;
  ASSERT_LT(expected, -100); // so what is left is that some client sends zeros
  EXPECT_NEAR(headroom(RingBits{16}, terms, scale).log2_wrap_probability,
              std::log2(200) + 128 * std::log2(0.607), 1e-9);
  const double room13 = room - 32'768 + 4096;
  const double expected13 =
      std::log2(2.0 * 5000) - room13 * room13 / (2 * variance) / std::numbers::ln2;
  ASSERT_GT(expected13, -80);
  EXPECT_NEAR(headroom(RingBits{13}, terms, scale).log2_wrap_probability, expected13, 1e-3);
}

// P(X >= h) for the difference of two Poissons of mean `half_variance`, by summing products.
double skellam_tail(double half_variance, int h) {
  const auto poisson = [&](int k) {
    return std::exp(k * std::log(half_variance) - half_variance - std::lgamma(k + 1.0));
  };
  double tail = 0;
  for (int low = 0; low < 400; ++low) {
    for (int high = low + h; high < 800; ++high) tail += poisson(low) * poisson(high);
  }
  return tail;
}

TEST(VectorHeadroomTest, TheNoisesTailIsAboveSkellamsOwnAndNotFarAbove) {
  // Chernoff's bound is off by a factor polynomial in the deviation: 2^7 is generous.
  for (const double variance : {0.5, 4.0, 50.0}) {
    HeadroomTerms terms{.elements = 1, .clients = 1, .clip = 1};
    terms.noise_deviation = std::sqrt(variance);
    for (const std::uint32_t bits : {5U, 6U, 7U}) {
      const int half = 1 << (bits - 1U);
      // Shifted by what one client with scale 0 may have: its rounding, counted as 1.
      const double exact = std::log2(2 * skellam_tail(variance / 2, half - 1));
      const double bound = headroom(RingBits{bits}, terms, 0).log2_wrap_probability;
      EXPECT_GE(bound, exact) << variance << ", " << bits;
      EXPECT_LE(bound, std::min(0.0, exact + 7)) << variance << ", " << bits;
    }
  }
}

// The share of `trials` seeds for which the sum of aligned clients leaves the ring somewhere.
double wrapped_share(const HeadroomTerms& terms, RingBits bits, double scale,
                     const std::vector<float>& delta, std::uint64_t trials) {
  DeltaEncoding encoding{
      .clip = terms.clip, .scale = scale, .bits = RingBits{32}, .weight = terms.max_weight};
  encoding.norm_bound_squared = static_cast<std::uint64_t>(rounded_norm_squared(
      terms.clip * scale * static_cast<double>(terms.max_weight), delta.size()));
  const double half = std::ldexp(1.0, static_cast<int>(bits.value) - 1);
  std::uint64_t wrapped = 0;
  for (std::uint64_t seed = 0; seed < trials; ++seed) {
    if (terms.rotated) encoding.rotation_seed = seed;
    std::vector<std::uint32_t> sum(delta.size(), 0);
    for (std::uint64_t client = 0; client < terms.clients; ++client) {
      const auto encoded =
          encode_delta_vector(delta, encoding, {.round = seed, .client = client}).value();
      ring_add(sum, encoded.elements, encoding.bits);
    }
    const auto integers = ring_decode(sum, encoding.bits, 1.0);
    if (std::any_of(integers.begin(), integers.end(),
                    [&](double value) { return value < -half || value >= half; })) {
      ++wrapped;
    }
  }
  return static_cast<double>(wrapped) / static_cast<double>(trials);
}

std::vector<std::vector<float>> unit_deltas(std::size_t elements) {
  std::vector<float> alone(elements, 0.0F);
  alone.back() = 1.0F;
  std::vector<float> even(
      elements, static_cast<float>((1 - 1e-6) / std::sqrt(static_cast<double>(elements))));
  std::vector<float> few(elements, 0.0F); // three in the first stretch, one in the last
  for (const std::size_t at : {std::size_t{0}, elements / 4, elements / 3, elements - 2}) {
    few[at] = 0.5F;
  }
  return {alone, even, few};
}

TEST(VectorHeadroomTest, AlignedClientsWrapNoMoreOftenThanStated) {
  constexpr std::size_t kElements = 200;
  constexpr std::uint64_t kTrials = 1500;
  const HeadroomTerms terms{
      .elements = kElements, .clients = 6, .max_weight = 2, .clip = 1, .rotated = true};
  const RingBits bits{11};
  const double allowed = largest_scale(bits, terms).scale;
  ASSERT_GT(allowed, 0);
  for (const auto& delta : unit_deltas(kElements)) {
    EXPECT_EQ(wrapped_share(terms, bits, allowed, delta, kTrials), 0.0);
  }
  double most = 0;
  for (const double factor : {2.0, 2.5, 3.0, 4.0}) {
    const double scale = allowed * factor;
    const double stated = std::exp2(headroom(bits, terms, scale).log2_wrap_probability);
    // Four standard errors of a share above a true one that is as stated.
    const double slack = 4 * std::sqrt(stated * (1 - stated) / static_cast<double>(kTrials));
    for (const auto& delta : unit_deltas(kElements)) {
      const double seen = wrapped_share(terms, bits, scale, delta, kTrials);
      EXPECT_LE(seen, stated + slack) << factor;
      most = std::max(most, seen);
    }
  }
  EXPECT_GT(most, 0.01); // the trials could see one
}

TEST(VectorHeadroomTest, WithoutRotationThatScaleWouldWrapEveryTime) {
  constexpr std::size_t kElements = 200;
  const HeadroomTerms terms{.elements = kElements, .clients = 6, .clip = 1, .rotated = true};
  const RingBits bits{11};
  const double scale = largest_scale(bits, terms).scale;
  HeadroomTerms plain = terms;
  plain.rotated = false;
  EXPECT_EQ(wrapped_share(plain, bits, scale, unit_deltas(kElements)[0], 20), 1.0);
  EXPECT_EQ(headroom(bits, plain, scale).log2_wrap_probability, 0);
}

TEST(VectorHeadroomTest, MoreBitsPromiseMoreAndMoreOfAnythingElseLess) {
  const HeadroomTerms terms = published_terms(1U << 20U, 1000);
  const double scale = 2700; // about the largest
  const auto log2_of = [&](const HeadroomTerms& changed) {
    return headroom(RingBits{16}, changed, scale).log2_wrap_probability;
  };
  const double base = log2_of(terms);
  EXPECT_LT(headroom(RingBits{17}, terms, scale).log2_wrap_probability, base);
  const auto with = [&](auto change) {
    HeadroomTerms changed = terms;
    change(changed);
    return log2_of(changed);
  };
  EXPECT_GT(with([](auto& t) { t.clients = 1100; }), base);
  EXPECT_GT(with([](auto& t) { t.max_weight = 2; }), base);
  EXPECT_GT(with([](auto& t) { t.clip = 1.1; }), base);
  EXPECT_GT(with([](auto& t) { t.noise_multiplier = 1; }), base);
  EXPECT_GT(with([](auto& t) { t.noise_deviation = 100; }), base);
  EXPECT_GT(with([](auto& t) { t.rotated = false; }), base);
}

TEST(VectorHeadroomTest, NothingIsPromisedOnSenselessTerms) {
  const HeadroomTerms good{.elements = 10, .clients = 2, .clip = 1};
  ASSERT_TRUE(headroom(RingBits{16}, good, 1).certain);
  const auto nothing = [&](auto change, double scale = 1) {
    HeadroomTerms terms = good;
    change(terms);
    return headroom(RingBits{16}, terms, scale).log2_wrap_probability == 0 &&
           (scale != 1 || largest_scale(RingBits{16}, terms).scale == 0) &&
           ring_bits_needed(terms, scale) == kInfinity;
  };
  EXPECT_TRUE(nothing([](auto& t) { t.elements = 0; }));
  EXPECT_TRUE(nothing([](auto& t) { t.elements = kMostEncodedElements + 1; }));
  EXPECT_TRUE(nothing([](auto& t) { t.clients = 0; }));
  EXPECT_TRUE(nothing([](auto& t) { t.max_weight = 0; }));
  EXPECT_TRUE(nothing([](auto& t) { t.clip = 0; }));
  EXPECT_TRUE(nothing([](auto& t) { t.clip = std::nan(""); }));
  EXPECT_TRUE(nothing([](auto& t) { t.noise_deviation = -1; }));
  EXPECT_TRUE(nothing([](auto& t) { t.noise_multiplier = kInfinity; }));
  EXPECT_TRUE(nothing([](auto&) {}, -1));
  EXPECT_TRUE(nothing([](auto&) {}, std::nan("")));
  EXPECT_TRUE(nothing([](auto&) {}, kInfinity));
  // A ring too small for the roundings alone.
  EXPECT_EQ(largest_scale(RingBits{16}, {.elements = 10, .clients = 40'000, .clip = 1}).scale, 0);
}

} // namespace
} // namespace coppice
