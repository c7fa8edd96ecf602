// SPDX-License-Identifier: Apache-2.0
#include "adapters/core_basis.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

// U^T U of a target, against the identity.
double distance_from_orthonormal(const CoreBasis& basis, std::size_t target) {
  const AdapterTarget& of = basis.spec().targets[target];
  const auto u = basis.target(target);
  double largest = 0;
  for (std::size_t i = 0; i < of.rank; ++i) {
    for (std::size_t j = 0; j < of.rank; ++j) {
      double dot = 0;
      for (std::size_t row = 0; row < of.out; ++row)
        dot += u[row * of.rank + i] * u[row * of.rank + j];
      largest = std::max(largest, std::abs(dot - (i == j ? 1.0 : 0.0)));
    }
  }
  return largest;
}

TEST(CoreBasis, IsOrthonormalAndSpansTheReleasesB) {
  const Adapter release = random_adapter(small_spec(4), 3);
  const CoreBasis basis(release);
  EXPECT_EQ(core_count(release.spec()), 14U * 16U);
  for (std::size_t t = 0; t < release.targets(); ++t) {
    EXPECT_LT(distance_from_orthonormal(basis, t), 1e-14);
  }
  // B lies in its own span, so going there and back leaves it as it is, and A is none of it.
  const std::vector<double> back = basis.in_place(basis.cores(release.values()));
  std::size_t at = 0;
  for (const AdapterTarget& target : release.spec().targets) {
    for (std::size_t i = 0; i < target.a_elements(); ++i) EXPECT_EQ(back[at + i], 0);
    at += target.a_elements();
    for (std::size_t i = 0; i < target.b_elements(); ++i) {
      EXPECT_NEAR(back[at + i], static_cast<double>(release.values()[at + i]), 1e-13);
    }
    at += target.b_elements();
  }
}

TEST(CoreBasis, CoresAndTheirPlacesAreInverse) {
  const CoreBasis basis(random_adapter(small_spec(3), 4));
  std::vector<double> cores(core_count(basis.spec()));
  KeyedRandom random({.experiment = 5});
  for (double& core : cores) core = std::round(64 * random.uniform_float()) / 64;
  const std::vector<double> all = basis.in_place(cores);
  const std::vector<double> back = basis.cores(std::vector<float>(all.begin(), all.end()));
  for (std::size_t i = 0; i < cores.size(); ++i) EXPECT_NEAR(back[i], cores[i], 1e-6);
}

// Version 0's B is zero, and one direction may be another's double: the basis is whole all the
// same.
TEST(CoreBasis, GoesOnWithSingleRowsWhereBHasTooFewDirections) {
  const CoreBasis of_zeros(Adapter(share(small_spec(4))));
  Adapter doubled = random_adapter(small_spec(4), 6);
  Adapter infinite = doubled;
  for (std::size_t t = 0; t < doubled.targets(); ++t) {
    const auto b = doubled.b(t);
    for (std::size_t at = 0; at < b.size(); at += 4) b[at + 2] = 2 * b[at] - b[at + 1];
    infinite.b(t)[1] = INFINITY;
  }
  for (const CoreBasis& basis : {of_zeros, CoreBasis(doubled), CoreBasis(infinite)}) {
    for (std::size_t t = 0; t < basis.spec().targets.size(); ++t) {
      EXPECT_LT(distance_from_orthonormal(basis, t), 1e-12);
    }
  }
  // As many directions as rows: attn_k has four.
  EXPECT_EQ(of_zeros.target(1)[0], 1);
  EXPECT_EQ(of_zeros.target(1)[5], 1);
}

} // namespace
} // namespace coppice
