// SPDX-License-Identifier: Apache-2.0
#include "privacy/discrete_bounds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace coppice {
namespace {

constexpr int kReach = 1200; // where masses of the noise below have underflowed long ago

// Masses at -kReach ... kReach, summed to 1.
using Masses = std::vector<double>;

template <typename LogMass>
Masses masses(const LogMass& log_mass) {
  Masses out;
  double sum = 0.0;
  for (int k = -kReach; k <= kReach; ++k) {
    out.push_back(std::exp(log_mass(k)));
    sum += out.back();
  }
  for (double& mass : out) mass /= sum;
  return out;
}

Masses discrete_gaussian(double variance) {
  return masses([&](int k) { return -static_cast<double>(k) * k / (2.0 * variance); });
}

Masses convolve(const Masses& a, const Masses& b) {
  Masses out(a.size(), 0.0);
  for (int i = -kReach; i <= kReach; ++i) {
    if (a[static_cast<std::size_t>(i + kReach)] == 0.0) continue;
    for (int j = std::max(-kReach, -kReach - i); j <= std::min(kReach, kReach - i); ++j) {
      out[static_cast<std::size_t>(i + j + kReach)] +=
          a[static_cast<std::size_t>(i + kReach)] * b[static_cast<std::size_t>(j + kReach)];
    }
  }
  return out;
}

// exp(-v) I_k(v), the modified Bessel function by Miller's downward recurrence.
Masses skellam(double variance) {
  std::vector<double> bessel(kReach + 2, 0.0);
  bessel[kReach] = 1e-300;
  for (int k = kReach; k > 0; --k) {
    const auto at = static_cast<std::size_t>(k);
    bessel[at - 1] = bessel[at + 1] + 2.0 * k / variance * bessel[at];
    if (bessel[at - 1] > 1e250) {
      for (double& value : bessel) value *= 1e-250;
    }
  }
  return masses([&](int k) { return std::log(bessel[static_cast<std::size_t>(k < 0 ? -k : k)]); });
}

// D_order of the noise shifted by `shift` from the noise itself, over one coordinate.
double shifted_rdp(const Masses& noise, int shift, double order) {
  double moment = 0.0; // scaled by exp(-peak): at little noise it overflows
  double peak = -std::numeric_limits<double>::infinity();
  std::vector<double> logs;
  for (int k = -kReach + std::abs(shift); k <= kReach - std::abs(shift); ++k) {
    const double p = noise[static_cast<std::size_t>(k - shift + kReach)];
    const double q = noise[static_cast<std::size_t>(k + kReach)];
    if (p < 1e-280 || q < 1e-280) continue;
    logs.push_back(order * std::log(p) + (1.0 - order) * std::log(q));
    peak = std::max(peak, logs.back());
  }
  for (const double log : logs) moment += std::exp(log - peak);
  return (peak + std::log(moment)) / (order - 1.0);
}

NoisedVector coordinate(double variance, int shift) {
  const double size = std::abs(shift);
  return {.variance = variance, .l2_sensitivity = size, .l1_sensitivity = size, .dimension = 1};
}

constexpr double kRounding = 1e-9; // of some 2,400 terms, and of masses cut off at 1e-280

TEST(DiscreteNoise, GaussianBoundHoldsByBruteForce) {
  for (const double variance : {0.25, 0.5, 1.0, 4.0, 50.0}) {
    const Masses noise = discrete_gaussian(variance);
    for (const int shift : {1, 2, 3}) {
      for (const double order : {1.5, 2.0, 3.0, 5.0}) {
        const double exact = shifted_rdp(noise, shift, order);
        const double bound = discrete_gaussian_rdp(coordinate(variance, shift), order);
        EXPECT_LE(exact, bound * (1.0 + kRounding)) << variance << " " << shift << " " << order;
        // For whole order times shift, the bound is the value.
        if (order == std::floor(order)) {
          EXPECT_NEAR(exact, bound, 1e-6 * bound);
        }
      }
    }
  }
}

TEST(DiscreteNoise, SkellamBoundHoldsByBruteForce) {
  for (const double variance : {0.5, 1.0, 2.0, 5.0, 20.0, 100.0, 400.0}) {
    const Masses noise = skellam(variance);
    for (const int shift : {1, 2, 5}) {
      for (const double order : {2.0, 3.0, 4.0, 8.0}) {
        const double exact = shifted_rdp(noise, shift, order);
        const NoisedVector vector = coordinate(variance, shift);
        const double bound = skellam_rdp(vector, order);
        EXPECT_LE(exact, bound * (1.0 + kRounding)) << variance << " " << shift << " " << order;
        EXPECT_GE(bound, discrete_gaussian_rdp(vector, order)); // dearer than the Gaussian
        // With much noise the two meet: the surcharge falls with the square of the variance.
        if (variance == 400.0) {
          EXPECT_LE(bound, 1.2 * exact);
        }
      }
    }
  }
}

TEST(DiscreteNoise, SkellamNoiseOfTheTestHasItsVariance) {
  for (const double variance : {0.5, 20.0}) {
    const Masses noise = skellam(variance);
    double second = 0.0;
    for (int k = -kReach; k <= kReach; ++k) {
      second += static_cast<double>(k) * k * noise[static_cast<std::size_t>(k + kReach)];
    }
    EXPECT_NEAR(second, variance, 1e-9 * variance);
  }
}

TEST(DiscreteNoise, SkellamFormulaIsThePapersAtAnExample) {
  const NoisedVector vector{
      .variance = 50.0, .l2_sensitivity = 3.0, .l1_sensitivity = 7.0, .dimension = 9};
  // 4 * 9 / 100 + min((7 * 9 + 42) / 10000, 21 / 100)
  EXPECT_DOUBLE_EQ(skellam_rdp(vector, 4.0), 0.36 + 105.0 / 10000.0);
  EXPECT_EQ(skellam_rdp(vector, 3.5), skellam_rdp(vector, 4.0));
  const NoisedVector little{
      .variance = 0.5, .l2_sensitivity = 3.0, .l1_sensitivity = 7.0, .dimension = 9};
  EXPECT_DOUBLE_EQ(skellam_rdp(little, 4.0), 36.0 + 21.0); // the other branch
}

TEST(DiscreteNoise, SumOfGaussiansBoundHoldsByBruteForce) {
  for (const double share_variance : {0.25, 0.3, 0.5, 1.0, 2.0}) {
    const Masses share = discrete_gaussian(share_variance);
    Masses sum = share;
    for (std::uint64_t shares = 2; shares <= 5; ++shares) {
      sum = convolve(sum, share);
      const double variance = share_variance * static_cast<double>(shares);
      for (const int shift : {1, 2}) {
        for (const double order : {2.0, 3.0, 6.0}) {
          EXPECT_LE(shifted_rdp(sum, shift, order),
                    discrete_gaussian_sum_rdp(coordinate(variance, shift), shares, order) *
                        (1.0 + kRounding))
              << share_variance << " " << shares << " " << shift << " " << order;
        }
      }
    }
  }
}

TEST(DiscreteNoise, SumOfGaussiansTendsToOneGaussianWhereSharesAreWide) {
  const NoisedVector wide{
      .variance = 9000.0, .l2_sensitivity = 30.0, .l1_sensitivity = 900.0, .dimension = 1 << 20};
  EXPECT_NEAR(discrete_gaussian_sum_rdp(wide, 1000, 8.0) / discrete_gaussian_rdp(wide, 8.0), 1.0,
              1e-12);
  EXPECT_EQ(discrete_gaussian_sum_rdp(wide, 1, 8.0), discrete_gaussian_rdp(wide, 8.0));
  // Narrow shares cost; below the theorem's condition nothing is claimed.
  EXPECT_GT(discrete_gaussian_sum_rdp(wide, 18'000, 8.0), 1.01 * discrete_gaussian_rdp(wide, 8.0));
  EXPECT_EQ(discrete_gaussian_sum_rdp(wide, 40'000, 8.0), std::numeric_limits<double>::infinity());
  // The sum over shares is cut at 4096 terms: an upper bound that hardly differs.
  const double cut = discrete_gaussian_sum_rdp(wide, 6'000, 8.0);
  EXPECT_GE(cut, discrete_gaussian_sum_rdp(wide, 5'999, 8.0));
}

// Note [Discrete from continuous], by the integral it speaks of, in one dimension and with so
// little smoothing that the factors are seen.
TEST(DiscreteNoise, RoundedContinuousNoiseIsTheDiscreteGaussianWithinItsFactors) {
  for (const double smoothing : {0.2, 0.3, 0.5}) {
    const double continuous = 1.3;
    const Masses want = discrete_gaussian(continuous + smoothing);
    const double e =
        2.0 * std::exp(-2.0 * std::numbers::pi * std::numbers::pi * smoothing) * 1.000001;
    const double factor = (1.0 + e) / (1.0 - e);
    double worst = 1.0;
    for (int k = -4; k <= 4; ++k) {
      double mass = 0.0;
      const double step = 1e-3;
      for (double y = -12.0; y < 12.0; y += step) {
        double around = 0.0; // of the rounding Gaussian, over all integers
        for (int j = -20; j <= 20; ++j) around += std::exp(-(j - y) * (j - y) / (2.0 * smoothing));
        mass += step * std::exp(-y * y / (2.0 * continuous)) /
                std::sqrt(2.0 * std::numbers::pi * continuous) *
                std::exp(-(k - y) * (k - y) / (2.0 * smoothing)) / around;
      }
      const double ratio = mass / want[static_cast<std::size_t>(k + kReach)];
      EXPECT_LE(ratio, factor * (1.0 + 1e-9));
      EXPECT_GE(ratio, 1.0 / factor * (1.0 - 1e-9));
      worst = std::max({worst, ratio, 1.0 / ratio});
    }
    EXPECT_GT(worst, 1.0 + 1e-9); // and it isn't the discrete Gaussian exactly
  }
}

TEST(DiscreteNoise, SmoothingIsSmallAndLeavesAlmostNoSlack) {
  EXPECT_NEAR(smoothing_variance(1), 2.17, 0.01);
  EXPECT_NEAR(smoothing_variance(1 << 20), 2.87, 0.01);
  const double e =
      2.0 * std::exp(-2.0 * std::numbers::pi * std::numbers::pi * smoothing_variance(1 << 20));
  EXPECT_LE((1 << 20) * 2.0 * e, kSmoothingSlack);
  EXPECT_GT((1 << 20) * 2.1 * e, kSmoothingSlack);
}

TEST(DiscreteNoise, VarianceAndMultiplierInvertEachOther) {
  NoisedVector vector{
      .variance = 0.0, .l2_sensitivity = 40.0, .l1_sensitivity = 1600.0, .dimension = 1 << 16};
  vector.variance = discrete_gaussian_variance(0.8, vector.l2_sensitivity, vector.dimension);
  EXPECT_NEAR(continuous_noise_multiplier(vector), 0.8, 1e-14);
  vector.variance = 2.0;
  EXPECT_EQ(continuous_noise_multiplier(vector), 0.0);
  vector.l2_sensitivity = 0.0;
  EXPECT_EQ(continuous_noise_multiplier(vector), std::numeric_limits<double>::infinity());
}

TEST(DiscreteNoise, L1FollowsFromL2) {
  EXPECT_EQ(l1_sensitivity_bound(4.0, 1'000'000), 16.0);
  EXPECT_EQ(l1_sensitivity_bound(4.0, 9), 12.0);
}

TEST(DiscreteNoise, ContradictionsAreRefusedByName) {
  const NoisedVector good{
      .variance = 10.0, .l2_sensitivity = 3.0, .l1_sensitivity = 9.0, .dimension = 20};
  EXPECT_TRUE(check_noised_vector(good).ok());
  const auto refused = [&](auto change, const char* field) {
    NoisedVector bad = good;
    change(bad);
    const auto result = check_noised_vector(bad);
    return !result.ok() && result.error().message.find(field) != std::string::npos;
  };
  EXPECT_TRUE(refused([](NoisedVector& v) { v.variance = -1.0; }, "variance"));
  EXPECT_TRUE(refused([](NoisedVector& v) { v.variance = std::nan(""); }, "variance"));
  EXPECT_TRUE(refused([](NoisedVector& v) { v.l2_sensitivity = -1.0; }, "L2"));
  EXPECT_TRUE(refused([](NoisedVector& v) { v.l1_sensitivity = 2.0; }, "L1"));
  EXPECT_TRUE(refused([](NoisedVector& v) { v.dimension = 0; }, "dimension"));
}

// Choquette-Choo et al.: two participations of a column of norm 2 cost like one of norm 2 sqrt 2.
TEST(DiscreteNoise, BandedSensitivityGrowsWithTheRootOfParticipations) {
  EXPECT_DOUBLE_EQ(banded_sensitivity(2.0, 9, 5.0), 30.0);
}

} // namespace
} // namespace coppice
