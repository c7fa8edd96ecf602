// SPDX-License-Identifier: Apache-2.0
#include "privacy/normal.h"

#include <gtest/gtest.h>

#include <cmath>

namespace coppice {
namespace {

// Abramowitz and Stegun table 7.1 and mpmath at 30 digits; libm's own error is some 1e-16.
TEST(Normal, ScaledErfcAgreesWithMpmathOnBothSidesOfItsBranches) {
  EXPECT_NEAR(scaled_erfc(0.0), 1.0, 1e-15);
  EXPECT_NEAR(scaled_erfc(0.5), 0.61569034419292587, 1e-14);
  EXPECT_NEAR(scaled_erfc(7.999), 0.069993783761993302, 1e-15);
  EXPECT_NEAR(scaled_erfc(100.0), 0.0056416137829894329, 1e-16);
  EXPECT_NEAR(scaled_erfc(-2.0), 108.94090438997797, 1e-11);
}

TEST(Normal, BranchesMeetWithoutAStep) {
  const double below = scaled_erfc(std::nextafter(8.0, 0.0));
  EXPECT_NEAR(scaled_erfc(8.0) / below, 1.0, 1e-14);
}

TEST(Normal, LogarithmNeitherOverflowsNorUnderflows) {
  EXPECT_NEAR(log_scaled_erfc(2.0), std::log(scaled_erfc(2.0)), 1e-14);
  // exp(x^2) (2 - tiny) at -1000; 1 / (x sqrt(pi)) far out.
  EXPECT_NEAR(log_scaled_erfc(-1000.0), 1e6 + std::log(2.0), 1e-9);
  EXPECT_NEAR(log_scaled_erfc(1e9), -std::log(1e9) - 0.5 * std::log(std::acos(-1.0)), 1e-13);
}

TEST(Normal, TailsAddUpToOne) {
  for (const double x : {0.0, 0.3, 1.0, 2.5, 6.0}) {
    EXPECT_NEAR(normal_tail(x) + normal_tail(-x), 1.0, 1e-15);
  }
}

} // namespace
} // namespace coppice
