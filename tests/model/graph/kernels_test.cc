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

TEST(Kernels, TheFirstOfEqualMaximaIsTheMaximum) {
  const std::vector<float> row{1, 3, -0.0F, 3, 2};
  const float top = maximum(row.data(), row.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    EXPECT_EQ(is_first_maximum(row.data(), i, top), i == 1) << i;
  }
}

double silu(double x) { return x / (1 + std::exp(-x)); }
double gelu_tanh(double x) {
  return x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
}
double squared_relu(double x) { return x > 0 ? x * x : 0; }

TEST(Kernels, GatesAndTheirSlopesAreThoseOfFloat64) {
  struct Gate {
    double (*exact)(double);
    decltype(&swiglu) forward;
    decltype(&swiglu_backward) backward;
  };
  constexpr std::size_t kValues = 241; // no multiple of the lanes
  for (const Gate& gate :
       {Gate{silu, swiglu, swiglu_backward}, Gate{gelu_tanh, geglu, geglu_backward},
        Gate{squared_relu, squared_reglu, squared_reglu_backward}}) {
    std::vector<float> x(kValues), up(kValues, 0.75F), dy(kValues, 2.0F);
    std::vector<float> y(kValues), again(kValues), dx(kValues), dup(kValues);
    for (std::size_t i = 0; i < kValues; ++i) x[i] = 0.1F * static_cast<float>(i) - 12.0F;
    gate.forward(x.data(), up.data(), kValues, y.data());
    gate.backward(x.data(), up.data(), dy.data(), kValues, dx.data(), dup.data(), again.data());
    for (std::size_t i = 0; i < kValues; ++i) {
      const double at = double{x[i]};
      const double exact = gate.exact(at);
      constexpr double kStep = 1e-5;
      const double slope = (gate.exact(at + kStep) - gate.exact(at - kStep)) / (2 * kStep);
      // A dozen roundings, of the largest of the terms: x itself.
      const double tolerance = 12 * 0x1p-24 * std::max(std::abs(at * at), 1.0);
      ASSERT_NEAR(double{y[i]}, 0.75 * exact, tolerance) << at;
      ASSERT_NEAR(double{again[i]}, 0.75 * exact, tolerance) << at;
      ASSERT_NEAR(double{dup[i]}, 2 * exact, 2 * tolerance) << at;
      // Where a squared ReLU begins, the difference is off by half its step.
      ASSERT_NEAR(double{dx[i]}, 1.5 * slope, 1.5 * tolerance + kStep) << at;
    }
  }
}

TEST(Kernels, ACapAndItsSlopeAreThoseOfFloat64) {
  std::vector<float> x;
  for (float value = -300; value < 300; value += 0.37F) x.push_back(value);
  std::vector<float> y = x, slope(x.size());
  constexpr float kCap = 30;
  cap_row(y.data(), kCap, y.size());
  cap_slope_row(y.data(), kCap, y.size(), slope.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = std::tanh(double{x[i]} / double{kCap});
    ASSERT_NEAR(double{y[i]}, double{kCap} * exact, double{kCap} * 8 * 0x1p-24) << x[i];
    ASSERT_NEAR(double{slope[i]}, 1 - exact * exact, 20 * 0x1p-24) << x[i];
  }
}

TEST(Kernels, HalvesTurnAsPairsDoInAnotherOrder) {
  // Two heads of eight columns, of which six turn.
  const RopeShape shape{.heads = 2, .head_width = 8, .pairs = 3};
  const std::vector<float> cosines = {0.6F, 0.8F, 0.0F}, sines = {0.8F, 0.6F, 1.0F};
  std::vector<float> halves(16), pairs(16), turned_halves(16), turned_pairs(16), back(16);
  const auto as_pair = [](std::size_t i) {
    return i % 8 >= 6 ? i : i / 8 * 8 + i % 8 % 3 * 2 + i % 8 / 3;
  };
  for (std::size_t i = 0; i < 16; ++i) {
    halves[i] = static_cast<float>(i) + 1;
    pairs[as_pair(i)] = halves[i];
  }
  rotate_halves_row(halves.data(), cosines.data(), sines.data(), 1, shape, turned_halves.data());
  rotate_row(pairs.data(), cosines.data(), sines.data(), 1, shape, turned_pairs.data());
  rotate_halves_row(turned_halves.data(), cosines.data(), sines.data(), -1, shape, back.data());
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(turned_halves[i], turned_pairs[as_pair(i)]) << i;
    EXPECT_NEAR(back[i], halves[i], 1e-5F) << i;
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
