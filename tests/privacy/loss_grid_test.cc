// SPDX-License-Identifier: Apache-2.0
#include "privacy/loss_grid.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "tests/privacy/exact_step.h"

namespace coppice {
namespace {

double grid_delta(const LossGrid& grid, double interval, double epsilon) {
  double sum = grid.infinite;
  for (std::size_t i = 0; i < grid.mass.size(); ++i) {
    const double loss = static_cast<double>(grid.first + static_cast<std::int64_t>(i)) * interval;
    if (loss > epsilon) sum += -std::expm1(epsilon - loss) * grid.mass[i];
  }
  return sum;
}

class LossGridOf : public testing::TestWithParam<SampledStep> {};

TEST_P(LossGridOf, IsExactOnItsLinesAndPessimisticBetweenThem) {
  const double interval = 0.01;
  const LossGrid grid = discretize_losses(GetParam(), interval, loss_range(GetParam(), 1e-12));
  EXPECT_NEAR(std::accumulate(grid.mass.begin(), grid.mass.end(), grid.infinite), 1.0, 1e-12);
  for (int line = -40; line < 200; ++line) {
    const double at = line * interval;
    // 1e-12 on either side is moved up on purpose; the rest is erfc's rounding.
    EXPECT_NEAR(grid_delta(grid, interval, at), exact_step_delta(GetParam(), at), 4e-12) << at;
    const double between = at + 0.3 * interval;
    const double excess =
        grid_delta(grid, interval, between) - exact_step_delta(GetParam(), between);
    EXPECT_GE(excess, -1e-14) << between;
    EXPECT_LE(excess, 0.1 * interval) << between;
  }
}

INSTANTIATE_TEST_SUITE_P(Steps, LossGridOf,
                         testing::Values(SampledStep{1.0, 1.0, Neighbour::kRemoved},
                                         SampledStep{1.0, 0.7, Neighbour::kAdded},
                                         SampledStep{0.3, 0.6, Neighbour::kRemoved},
                                         SampledStep{0.3, 0.6, Neighbour::kAdded},
                                         SampledStep{0.01, 1.0, Neighbour::kRemoved},
                                         SampledStep{0.01, 1.0, Neighbour::kAdded},
                                         SampledStep{1e-4, 0.4, Neighbour::kRemoved}));

TEST(LossGrid, WhatLiesOutsideTheRangeMovesUp) {
  const SampledStep step{0.3, 1.0, Neighbour::kRemoved};
  const LossGrid grid = discretize_losses(step, 0.1, {0.0, 0.5});
  ASSERT_EQ(grid.first, 0);
  ASSERT_EQ(grid.mass.size(), 6U);
  EXPECT_GT(grid.mass[0], 0.5); // all that is negative
  EXPECT_GT(grid.infinite, 1e-3);
  EXPECT_NEAR(std::accumulate(grid.mass.begin(), grid.mass.end(), grid.infinite), 1.0, 1e-14);
  EXPECT_GT(grid_delta(grid, 0.1, 0.2), exact_step_delta(step, 0.2));
}

} // namespace
} // namespace coppice
