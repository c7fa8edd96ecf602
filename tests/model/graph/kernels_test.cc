// SPDX-License-Identifier: Apache-2.0
#include "model/row_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "base/random.h"
#include "model/graph/worker_pool.h"

namespace coppice::graph {
namespace {

TEST(Kernels, ExponentialIsWithinTwoUnitsInTheLastPlace) {
  for (double x = -86.9; x < 87.9; x += 0.00173) {
    const double exact = std::exp(static_cast<double>(static_cast<float>(x)));
    ASSERT_NEAR(double{exponential(static_cast<float>(x))}, exact, 2 * exact * 0x1p-23) << x;
  }
  EXPECT_EQ(exponential(0.0F), 1.0F);
  EXPECT_LT(exponential(-1000.0F), 1e-37F);
  EXPECT_GT(exponential(1000.0F), 1e38F);
}

TEST(Kernels, SumsOfAnyLengthAreRight) {
  KeyedRandom random({.experiment = 2, .purpose = RandomPurpose::kTest});
  for (std::size_t n = 1; n < 200; ++n) {
    std::vector<float> a(n), b(n);
    double expected = 0, size = 0;
    float top = -2;
    for (std::size_t i = 0; i < n; ++i) {
      a[i] = 2 * random.uniform_float() - 1;
      b[i] = 2 * random.uniform_float() - 1;
      top = std::max(top, a[i]);
      expected += double{a[i]} * double{b[i]};
      size += std::abs(double{a[i]} * double{b[i]});
    }
    // n additions, each off by half an ulp of a partial sum of at most `size`.
    ASSERT_NEAR(double{dot(a.data(), b.data(), n)}, expected,
                size * static_cast<double>(n) * 0x1p-24)
        << n;
    ASSERT_EQ(maximum(a.data(), n), top);
    double exponentials = 0;
    for (const float value : a) exponentials += std::exp(double{value - top});
    ASSERT_NEAR(double{exponentiate_row(a.data(), top, n)}, exponentials,
                exponentials * static_cast<double>(n + 4) * 0x1p-24)
        << n;
  }
}

TEST(WorkerPool, RunsEachTaskOnceAndPassesOnAFailure) {
  for (const unsigned threads : {1U, 2U, 5U}) {
    WorkerPool pool(threads);
    for (int round = 0; round < 50; ++round) {
      std::vector<std::atomic<int>> runs(37);
      pool.run(37, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
      for (const auto& count : runs) ASSERT_EQ(count, 1);
    }
    const auto failing = [&] {
      pool.run(9, [](std::int64_t i) {
        if (i == 4) throw std::runtime_error("task 4");
      });
    };
    EXPECT_THROW(failing(), std::runtime_error);
    std::atomic<int> after = 0;
    pool.run(8, [&](std::int64_t) { ++after; });
    EXPECT_EQ(after, 8) << "the pool goes on after a failure";
  }
}

} // namespace
} // namespace coppice::graph
