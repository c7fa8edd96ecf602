// SPDX-License-Identifier: Apache-2.0
#include "privacy/adaptive_clip.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "privacy/discrete_noise.h"
#include "tests/privacy/goodness.h"

namespace coppice {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kNotFinite = std::numeric_limits<double>::infinity();

TEST(AdaptiveClipTest, MovesAsTheClosedFormSays) {
  const AdaptiveClip settings;
  // exp(-0.1), exp(0.1) and exp(-0.05), from tables.
  EXPECT_NEAR(next_clip(1.0, 1.0, settings).value(), 0.904837418035960, 1e-14);
  EXPECT_NEAR(next_clip(2.0, 0.0, settings).value(), 2.0 * 1.105170918075648, 1e-14);
  EXPECT_EQ(next_clip(0.1, 0.5, settings).value(), 0.1);
  const AdaptiveClip upper{.quantile = 0.75, .learning_rate = 0.2};
  EXPECT_NEAR(next_clip(3.0, 1.0, upper).value(), 3.0 * 0.951229424500714, 1e-14);
}

TEST(AdaptiveClipTest, StaysWithinItsBounds) {
  const AdaptiveClip settings{.least = 0.5, .most = 2.0};
  EXPECT_EQ(next_clip(0.51, 1.0, settings).value(), 0.5);
  EXPECT_EQ(next_clip(1.99, 0.0, settings).value(), 2.0);
  EXPECT_EQ(next_clip(100.0, 0.5, settings).value(), 2.0); // the bounds were tightened meanwhile
}

TEST(AdaptiveClipTest, TheShareComesFromTheSumOfSigns) {
  EXPECT_EQ(share_within(0, 10).value(), 0.5);
  EXPECT_EQ(share_within(10, 10).value(), 1.0);
  EXPECT_EQ(share_within(-10, 10).value(), 0.0);
  EXPECT_EQ(share_within(5, 10).value(), 0.75);
  EXPECT_EQ(share_within(1000, 10).value(), 1.0); // noise
  EXPECT_EQ(share_within(-1000, 10).value(), 0.0);
  EXPECT_EQ(share_within(0, 0).error().code, ErrorCode::kInvalidArgument);
}

TEST(AdaptiveClipTest, UpdatesAndBitsTogetherCostWhatUpdatesAloneWould) {
  // (1 - 1/4)^(-1/2) at z = 1, sigma_b = 1; and 1/z^2 = 1/z_delta^2 + 1/(2 sigma_b)^2 everywhere.
  EXPECT_NEAR(noise_multiplier_beside_bits(1.0, 1.0).value(), 1.154700538379252, 1e-14);
  for (const double z : {0.1, 0.8, 1.0, 7.0}) {
    for (const double sigma_b : {3.6, 5.0, 250.0}) {
      const double delta = noise_multiplier_beside_bits(z, sigma_b).value();
      EXPECT_GE(delta, z);
      const double both = 1.0 / (delta * delta) + 1.0 / (4.0 * sigma_b * sigma_b);
      EXPECT_NEAR(both * z * z, 1.0, 1e-12);
    }
  }
}

TEST(AdaptiveClipTest, SenselessInputIsRefused) {
  const AdaptiveClip good;
  for (const double clip : {0.0, -1.0, kNaN, kNotFinite}) {
    EXPECT_EQ(next_clip(clip, 0.5, good).error().code, ErrorCode::kInvalidArgument) << clip;
  }
  for (const double share : {-0.1, 1.1, kNaN}) {
    EXPECT_EQ(next_clip(1.0, share, good).error().code, ErrorCode::kInvalidArgument) << share;
  }
  for (const AdaptiveClip& bad :
       {AdaptiveClip{.quantile = 0.0}, AdaptiveClip{.quantile = 1.0},
        AdaptiveClip{.quantile = kNaN}, AdaptiveClip{.learning_rate = 0.0},
        AdaptiveClip{.learning_rate = 11.0}, AdaptiveClip{.learning_rate = kNaN},
        AdaptiveClip{.least = 0.0}, AdaptiveClip{.least = kNaN},
        AdaptiveClip{.least = 2.0, .most = 1.0}, AdaptiveClip{.most = kNotFinite},
        AdaptiveClip{.most = kNaN}}) {
    EXPECT_EQ(next_clip(1.0, 0.5, bad).error().code, ErrorCode::kInvalidArgument);
  }
  for (const auto& [z, sigma_b] : std::vector<std::pair<double, double>>{{0.0, 1.0},
                                                                         {-1.0, 1.0},
                                                                         {1.0, 0.5},
                                                                         {1.0, 0.4},
                                                                         {kNaN, 1.0},
                                                                         {1.0, kNaN},
                                                                         {1.0, kNotFinite},
                                                                         {kNotFinite, 1.0}}) {
    EXPECT_EQ(noise_multiplier_beside_bits(z, sigma_b).error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(AdaptiveClipTest, ConvergesToTheQuantileFromEitherSideUnderNoise) {
  // Norms are exp(3 u), u uniform: the quantile q is exp(3 q). 1,000 devices a round and noise of
  // sigma_b = 50 on the count. Near its end the logarithm moves by -eta (slope (log C - log C*) +
  // noise) with slope 1/3 and noise of deviation s = sqrt(q (1 - q) / 1000 + 0.05^2) <= 0.0525: its
  // own deviation is s sqrt(eta / (2 slope)) / sqrt(1 - eta slope / 2) < 0.03, so 0.15 is five.
  for (const double quantile : {0.2, 0.5, 0.9}) {
    for (const double start : {0.01, 1000.0}) {
      const AdaptiveClip settings{.quantile = quantile};
      constexpr std::uint64_t kCohort = 1000;
      const auto noise = DiscreteGaussian::create({100 * 100, 1}).value(); // (2 sigma_b)^2
      KeyedSource source(3);
      RandomBits bits(source);
      KeyedRandom random({.step = 4});
      double clip = start;
      for (int round = 0; round < 500; ++round) {
        std::int64_t sum = noise.sample(bits);
        for (std::uint64_t device = 0; device < kCohort; ++device) {
          sum += std::exp(3.0 * random.uniform_double()) <= clip ? 1 : -1;
        }
        clip = next_clip(clip, share_within(sum, kCohort).value(), settings).value();
      }
      EXPECT_NEAR(std::log(clip), 3.0 * quantile, 0.15) << quantile << " from " << start;
    }
  }
}

} // namespace
} // namespace coppice
