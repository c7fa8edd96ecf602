// SPDX-License-Identifier: Apache-2.0
#include "privacy/fft.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/random.h"

namespace coppice {
namespace {

std::vector<double> random_sequence(std::size_t length) {
  KeyedRandom random({.step = 7});
  std::vector<double> x(length);
  for (double& value : x) value = 2.0 * static_cast<double>(random.uniform_float()) - 1.0;
  return x;
}

std::vector<double> cyclic_product(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out(a.size(), 0.0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) out[(i + j) % a.size()] += a[i] * b[j];
  }
  return out;
}

// Errors are some log2(length) units in the last place of the norm, below 1e-13 for these lengths.
constexpr double kTolerance = 1e-12;

TEST(Fft, AgreesWithTheDefiningSum) {
  for (const std::size_t length : {4U, 8U, 64U, 256U}) {
    const std::vector<double> x = random_sequence(length);
    const Spectrum got = RealFft::create(length)->forward(x);
    for (std::size_t k = 0; k <= length / 2; ++k) {
      double re = 0.0;
      double im = 0.0;
      for (std::size_t t = 0; t < length; ++t) {
        const double angle = -2.0 * std::numbers::pi * static_cast<double>(k * t % length) /
                             static_cast<double>(length);
        re += x[t] * std::cos(angle);
        im += x[t] * std::sin(angle);
      }
      ASSERT_NEAR(got.re[k], re, kTolerance) << length << " " << k;
      ASSERT_NEAR(got.im[k], im, kTolerance) << length << " " << k;
    }
  }
}

TEST(Fft, InverseGivesTheSequenceBack) {
  for (const std::size_t length : {4U, 1024U, 65536U}) {
    const std::vector<double> x = random_sequence(length);
    const RealFft fft = *RealFft::create(length);
    const std::vector<double> back = fft.inverse(fft.forward(x));
    for (std::size_t i = 0; i < length; ++i) ASSERT_NEAR(back[i], x[i], kTolerance);
  }
}

TEST(Fft, ProductsAndPowersOfSpectraAreCyclicConvolutions) {
  const std::vector<double> a = random_sequence(128);
  std::vector<double> b = a;
  b[3] += 2.0;
  const RealFft fft = *RealFft::create(128);
  Spectrum product = fft.forward(a);
  multiply(product, fft.forward(b));
  Spectrum cube = fft.forward(a);
  power(cube, 3);
  const std::vector<double> want_product = cyclic_product(a, b);
  const std::vector<double> want_cube = cyclic_product(cyclic_product(a, a), a);
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(fft.inverse(product)[i], want_product[i], 100 * kTolerance);
    ASSERT_NEAR(fft.inverse(cube)[i], want_cube[i], 1000 * kTolerance);
  }
}

TEST(Fft, NoFactorsAreTheUnitAtZero) {
  const RealFft fft = *RealFft::create(16);
  Spectrum spectrum = fft.forward(random_sequence(16));
  power(spectrum, 0);
  const std::vector<double> unit = fft.inverse(spectrum);
  for (std::size_t i = 0; i < 16; ++i) EXPECT_NEAR(unit[i], i == 0 ? 1.0 : 0.0, kTolerance);
}

TEST(Fft, OtherLengthsAreRefused) {
  for (const std::size_t length : {0U, 1U, 2U, 3U, 48U, 1U << 25U}) {
    EXPECT_EQ(RealFft::create(length).error().code, ErrorCode::kInvalidArgument) << length;
  }
}

} // namespace
} // namespace coppice
