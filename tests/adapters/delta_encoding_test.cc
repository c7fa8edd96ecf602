// SPDX-License-Identifier: Apache-2.0
#include "adapters/delta_encoding.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "adapters/ring_headroom.h"
#include "adapters/rotation.h"
#include "adapters/rounded_norm.h"

namespace coppice {
namespace {

RandomKey key_of(std::uint64_t client) { return {.experiment = 3, .round = 5, .client = client}; }

std::uint64_t bound_for(double scaled_norm, std::size_t elements) {
  return static_cast<std::uint64_t>(rounded_norm_squared(scaled_norm, elements));
}

std::uint64_t squared_norm(const std::vector<std::uint32_t>& elements, RingBits bits) {
  double sum = 0; // exact below 2^53
  for (const double value : ring_decode(elements, bits, 1.0)) sum += value * value;
  return static_cast<std::uint64_t>(sum);
}

double norm_of(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

// Of norm just below `norm`, in a random direction.
std::vector<float> random_delta(std::size_t elements, double norm, std::uint64_t seed) {
  KeyedRandom random({.experiment = seed});
  std::vector<double> values(elements);
  for (double& value : values) value = 2 * random.uniform_double() - 1;
  const double factor = norm * (1 - 1e-6) / norm_of(values);
  std::vector<float> delta(elements);
  for (std::size_t i = 0; i < elements; ++i) delta[i] = static_cast<float>(values[i] * factor);
  return delta;
}

TEST(DeltaEncodingTest, TheIntegersNeverExceedTheBoundWhateverTheVector) {
  // All fractions 1/2 is the worst: one draw in seven or so is too long.
  constexpr std::size_t kElements = 1024;
  const double clip = 10.5 * 32.0; // of 1024 values of 10.5
  std::uint64_t redraws = 0;
  constexpr std::uint64_t kKeys = 1000;
  for (std::uint64_t client = 0; client < kKeys; ++client) {
    for (const bool worst : {false, true}) {
      const auto delta = worst ? std::vector<float>(kElements, 10.5F * (1 - 0x1p-23F))
                               : random_delta(kElements, clip, client);
      DeltaEncoding encoding{.clip = clip, .scale = 1, .bits = RingBits{20}};
      encoding.norm_bound_squared = bound_for(clip, kElements);
      if (!worst) encoding.rotation_seed = client;
      const auto encoded = encode_delta_vector(delta, encoding, key_of(client)).value();
      ASSERT_LE(squared_norm(encoded.elements, encoding.bits), encoding.norm_bound_squared);
      ASSERT_FALSE(encoded.zeroed);
      if (worst) redraws += encoded.redraws;
    }
  }
  // The squared norm's excess over its mean is normal to a percent, of deviation |x| = 336, and the
  // bound is (336 + 16) above the mean: a tail of 1 - Phi(1.048) = 0.147. So redraws are geometric
  // with mean 0.173 and variance 0.203; over 1000 keys six deviations are 86.
  EXPECT_NEAR(static_cast<double>(redraws), 173, 86);
}

TEST(DeltaEncodingTest, AtALowerBoundThanTheNormZerosAreSentAndSaid) {
  const auto delta = random_delta(100, 50, 1);
  DeltaEncoding encoding{.clip = 50, .scale = 1, .bits = RingBits{16}, .norm_bound_squared = 1000};
  const auto encoded = encode_delta_vector(delta, encoding, key_of(1)).value();
  EXPECT_TRUE(encoded.zeroed);
  EXPECT_EQ(encoded.redraws, kMostDraws);
  EXPECT_EQ(encoded.elements, std::vector<std::uint32_t>(100, 0));
  encoding.norm_bound_squared = bound_for(50, 100);
  EXPECT_FALSE(encode_delta_vector(delta, encoding, key_of(1))->zeroed);
  // Zeros by themselves are within any bound.
  encoding.norm_bound_squared = 0;
  const auto nothing = encode_delta_vector(std::vector<float>(100, 0), encoding, key_of(1)).value();
  EXPECT_FALSE(nothing.zeroed);
  EXPECT_EQ(nothing.redraws, 0U);
}

TEST(DeltaEncodingTest, ADrawIsTheRoundingOfSingleValuesUnderTheDrawsOwnStep) {
  const std::vector<float> delta(256, 3.5F * (1 - 0x1p-23F));
  const DeltaEncoding encoding{.clip = 3.5 * 16,
                               .scale = 3,
                               .bits = RingBits{16},
                               .weight = 1,
                               .norm_bound_squared = 28'100}; // the mean is 28,288
  std::uint32_t most = 0;
  for (std::uint64_t client = 0; client < 200; ++client) {
    const auto encoded = encode_delta_vector(delta, encoding, key_of(client)).value();
    RandomKey key = key_of(client);
    key.purpose = RandomPurpose::kStochasticRounding;
    for (key.step = 0; key.step < encoded.redraws; ++key.step) {
      KeyedRandom random(key);
      const RingEncoding single{.bound = 4, .scale = 3, .bits = RingBits{16}};
      ASSERT_GT(squared_norm(ring_encode(delta, single, random).value(), single.bits), 28'100U);
    }
    KeyedRandom random(key);
    const RingEncoding single{.bound = 4, .scale = 3, .bits = RingBits{16}};
    ASSERT_EQ(encoded.elements, ring_encode(delta, single, random).value());
    most = std::max(most, encoded.redraws);
  }
  EXPECT_GT(most, 2U); // there were some
}

// The mean of `draws` encodings of a delta, in ring units, and the share of them that was redrawn.
struct MeanEncoding {
  std::vector<double> mean;
  double redrawn = 0;
};

MeanEncoding mean_encoding(const std::vector<float>& delta, const DeltaEncoding& encoding,
                           std::uint64_t draws) {
  MeanEncoding result;
  std::vector<std::uint32_t> sum(delta.size(), 0);
  for (std::uint64_t client = 0; client < draws; ++client) {
    const auto encoded = encode_delta_vector(delta, encoding, key_of(client)).value();
    if (encoded.redraws > 0) result.redrawn += 1 / static_cast<double>(draws);
    ring_add(sum, encoded.elements, encoding.bits);
  }
  result.mean = decode_delta_sum(sum, encoding);
  for (double& value : result.mean) value *= encoding.scale / static_cast<double>(draws);
  return result;
}

TEST(DeltaEncodingTest, TheExpectationIsTheWeightedDelta) {
  // Mean of n roundings of a coordinate, or after the inverse rotation a combination with squares
  // that sum to 1: off by more than t with probability at most 2 exp(-2 n t^2) (Hoeffding), 3e-11
  // for n = 20,000 and t = 0.025. The rotation's float error is below 2^-16 of w C s = 135: 0.002.
  constexpr std::size_t kElements = 64;
  const auto delta = random_delta(kElements, 1.5, 8);
  for (const bool rotated : {false, true}) {
    for (const bool conditional : {false, true}) {
      DeltaEncoding encoding{.clip = 1.5, .scale = 30, .bits = RingBits{32}, .weight = 3};
      encoding.norm_bound_squared = conditional ? bound_for(135, kElements) : 143 * 143;
      if (rotated) encoding.rotation_seed = 6;
      const auto [mean, redrawn] = mean_encoding(delta, encoding, 20'000);
      EXPECT_EQ(redrawn > 0, conditional); // 143 is 135 + sqrt(64): never above it
      EXPECT_LT(redrawn, kRedrawProbability);
      // On an event of probability 1 - q a mean moves by at most sqrt(q / (1 - q)) deviations
      // (Cauchy and Schwarz), and a deviation is at most 1/2. 0.01 is six standard errors of the
      // share.
      const double q = redrawn + 0.01;
      const double tolerance = 0.027 + (conditional ? std::sqrt(q / (1 - q)) / 2 : 0);
      double off = 0;
      double nearest = 0;
      for (std::size_t i = 0; i < kElements; ++i) {
        const double exact = 3 * 30 * static_cast<double>(delta[i]);
        EXPECT_NEAR(mean[i], exact, tolerance) << rotated << ", " << i;
        off += (mean[i] - exact) * (exact / 135);
        nearest = std::max(nearest, std::abs(std::round(exact) - exact));
      }
      EXPECT_GT(nearest, 0.4); // so rounding to nearest would be seen
      // Coins that lengthen the integers are those that lengthen them along the delta, so what
      // conditioning does along it is to shorten (Harris 1960).
      EXPECT_LT(off, 0.027);
      EXPECT_GT(off, -tolerance);
    }
  }
}

TEST(DeltaEncodingTest, ASumOfEncodedVectorsDecodesToTheSumOfTheWeightedDeltas) {
  constexpr std::size_t kElements = 3001;
  constexpr std::uint64_t kClients = 60;
  const HeadroomTerms terms{
      .elements = kElements, .clients = kClients, .max_weight = 4, .clip = 0.5, .rotated = true};
  for (const std::uint32_t bits : {16U, 20U, 24U, 32U}) {
    const ScaleChoice choice = largest_scale(RingBits{bits}, terms);
    ASSERT_TRUE(choice.headroom.allowed());
    std::vector<double> expected(kElements, 0.0);
    std::vector<std::uint32_t> sum(kElements, 0);
    DeltaEncoding encoding{
        .clip = 0.5, .scale = choice.scale, .bits = RingBits{bits}, .rotation_seed = 12};
    encoding.norm_bound_squared = bound_for(4 * 0.5 * choice.scale, kElements);
    double weights = 0;
    for (std::uint64_t client = 0; client < kClients; ++client) {
      // Half of them aligned, at the clip: what fills the ring most.
      const auto delta = random_delta(kElements, 0.5, client % 2 == 0 ? 0 : client);
      encoding.weight = 1 + client % 4;
      const auto weight = static_cast<double>(encoding.weight);
      weights += weight;
      const auto encoded = encode_delta_vector(delta, encoding, key_of(client)).value();
      ring_add(sum, encoded.elements, encoding.bits);
      for (std::size_t i = 0; i < kElements; ++i) {
        expected[i] += weight * static_cast<double>(delta[i]);
      }
    }
    auto error = decode_delta_sum(sum, encoding);
    for (std::size_t i = 0; i < kElements; ++i) error[i] -= expected[i];
    // n d coins, each moving the error's norm by at most 1: its mean is at most sqrt(n d / 4), and
    // it is above that by sqrt(n d ln(1e9) / 2) with probability 1e-9 (McDiarmid 1989). One wrapped
    // coordinate would add 2^bits.
    const double coins = static_cast<double>(kClients) * static_cast<double>(kElements);
    const double rounding = std::sqrt(coins / 4) + std::sqrt(coins * std::log(1e9) / 2);
    EXPECT_LE(norm_of(error), rounding / choice.scale + weights * 0.5 * 0x1p-16) << bits;
    EXPECT_LT(rounding, std::ldexp(1.0, static_cast<int>(bits) - 1));
  }
}

TEST(DeltaEncodingTest, TheSameKeyGivesTheSameElementsAndAnotherClientOthers) {
  const auto delta = random_delta(5000, 1, 2);
  const DeltaEncoding encoding{.clip = 1,
                               .scale = 500,
                               .bits = RingBits{16},
                               .norm_bound_squared = bound_for(500, 5000),
                               .rotation_seed = 1};
  const auto first = encode_delta_vector(delta, encoding, key_of(1)).value();
  EXPECT_EQ(first.elements, encode_delta_vector(delta, encoding, key_of(1))->elements);
  EXPECT_NE(first.elements, encode_delta_vector(delta, encoding, key_of(2))->elements);
}

TEST(DeltaEncodingTest, AVectorAHairAboveItsClipIsShortenedToIt) {
  // One value, so that its integer shows the length: 2^20 (1 + 2^-21) would be rounded up to 2^20 +
  // 1 every other time.
  const std::vector<float> delta = {1 + 0x1p-21F, 0, 0};
  const DeltaEncoding encoding{.clip = 1,
                               .scale = 0x1p20,
                               .bits = RingBits{32},
                               .norm_bound_squared = std::uint64_t{1} << 42U};
  for (std::uint64_t client = 0; client < 100; ++client) {
    const auto encoded = encode_delta_vector(delta, encoding, key_of(client)).value();
    EXPECT_LE(encoded.elements[0], 1U << 20U);
  }
}

TEST(DeltaEncodingTest, WhatCanNotBeEncodedIsRefused) {
  const DeltaEncoding good{
      .clip = 1, .scale = 1000, .bits = RingBits{16}, .norm_bound_squared = 1U << 30U};
  const std::vector<float> delta = {0.5F, 0.5F};
  const auto code = [&](const DeltaEncoding& encoding, const std::vector<float>& values) {
    const auto encoded = encode_delta_vector(values, encoding, key_of(1));
    return encoded.ok() ? std::string("fits") : error_code_name(encoded.error().code);
  };
  const std::string refused = error_code_name(ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(good, delta), "fits");
  EXPECT_EQ(code(good, {}), "fits");
  EXPECT_EQ(code(good, {1.0F, 0.01F}), refused); // above its clip
  EXPECT_EQ(code(good, {0.0F, std::numeric_limits<float>::quiet_NaN()}), refused);
  EXPECT_EQ(code(good, {-std::numeric_limits<float>::infinity(), 0.0F}), refused);
  const auto with = [&](auto change) {
    DeltaEncoding encoding = good;
    change(encoding);
    return code(encoding, delta);
  };
  EXPECT_EQ(with([](auto& e) { e.clip = 0; }), refused);
  EXPECT_EQ(with([](auto& e) { e.clip = -1; }), refused);
  EXPECT_EQ(with([](auto& e) { e.clip = std::nan(""); }), refused);
  EXPECT_EQ(with([](auto& e) { e.clip = 1e200, e.scale = 1e-200; }), refused);
  EXPECT_EQ(with([](auto& e) { e.scale = 0; }), refused);
  EXPECT_EQ(with([](auto& e) { e.scale = std::nan(""); }), refused);
  EXPECT_EQ(with([](auto& e) { e.weight = 0; }), refused);
  EXPECT_EQ(with([](auto& e) { e.scale = 0x1p24; }), "fits");
  EXPECT_EQ(with([](auto& e) { e.scale = 0x1p24, e.weight = 2; }), refused);
}

} // namespace
} // namespace coppice
