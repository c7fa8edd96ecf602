// SPDX-License-Identifier: Apache-2.0
#include "adapters/adapter_stats.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

using Dense = std::vector<double>;

// scale * B A of one target, formed in full.
Dense dense_product(const Adapter& adapter, std::size_t t) {
  const AdapterTarget& target = adapter.spec().targets[t];
  Dense product(std::size_t{target.out} * target.in, 0.0);
  for (std::size_t o = 0; o < target.out; ++o) {
    for (std::size_t i = 0; i < target.in; ++i) {
      for (std::size_t k = 0; k < target.rank; ++k) {
        product[o * target.in + i] += static_cast<double>(adapter.b(t)[o * target.rank + k]) *
                                      static_cast<double>(adapter.a(t)[k * target.in + i]);
      }
      product[o * target.in + i] *= static_cast<double>(adapter.spec().scale(t));
    }
  }
  return product;
}

double dense_norm(std::span<const double> values) {
  double squared = 0;
  for (const double value : values) squared += value * value;
  return std::sqrt(squared);
}

Dense minus(const Dense& left, const Dense& right) {
  Dense difference(left);
  for (std::size_t i = 0; i < left.size(); ++i) difference[i] -= right[i];
  return difference;
}

// Sums of at most 2,000 doubles of like size: their rounding is below 2,000 * 2^-53 of the result,
// and random factors cancel no more than a few digits of it.
constexpr double kRelative = 1e-11;

TEST(AdapterStatsTest, NormsAreThoseOfTheDenseComputation) {
  AdapterSpec spec = small_spec(4, 5);
  spec.scaling = LoraScaling::kRankStabilized;
  const Adapter adapter = random_adapter(spec, 1);
  const auto norms = target_norms(adapter);
  ASSERT_EQ(norms.size(), adapter.targets());
  for (std::size_t t = 0; t < norms.size(); ++t) {
    EXPECT_EQ(norms[t].tensor, spec.targets[t].tensor);
    const double a = dense_norm(Dense(adapter.a(t).begin(), adapter.a(t).end()));
    const double b = dense_norm(Dense(adapter.b(t).begin(), adapter.b(t).end()));
    const double product = dense_norm(dense_product(adapter, t));
    EXPECT_NEAR(norms[t].a, a, a * kRelative);
    EXPECT_NEAR(norms[t].b, b, b * kRelative);
    EXPECT_NEAR(norms[t].product, product, product * kRelative);
  }
}

TEST(AdapterStatsTest, DifferencesAreThoseOfTheDenseComputation) {
  const Adapter left = random_adapter(small_spec(3, 5), 1);
  for (const std::uint32_t rank : {2U, 3U, 4U}) {
    const Adapter right = random_adapter(small_spec(rank, 7), 2);
    const auto differences = target_differences(left, right);
    ASSERT_TRUE(differences.ok()) << differences.error().message;
    ASSERT_EQ(differences->size(), left.targets());
    for (std::size_t t = 0; t < differences->size(); ++t) {
      const TargetDifference& entry = (*differences)[t];
      const Dense ours = dense_product(left, t);
      const Dense theirs = dense_product(right, t);
      const double apart = dense_norm(minus(ours, theirs));
      EXPECT_NEAR(entry.left, dense_norm(ours), dense_norm(ours) * kRelative);
      EXPECT_NEAR(entry.right, dense_norm(theirs), dense_norm(theirs) * kRelative);
      EXPECT_NEAR(entry.difference, apart, apart * kRelative);
    }
  }
}

TEST(AdapterStatsTest, EqualAdaptersDifferByNothingAndNearOnesByTheRightAmount) {
  const Adapter left = random_adapter(small_spec(), 1);
  const auto none = target_differences(left, left).value();
  for (const auto& entry : none) EXPECT_EQ(entry.difference, 0.0);
  // One value of A moved by d moves the product by scale * d * |column of B|.
  Adapter near = left;
  near.a(4)[5] = std::nextafter(near.a(4)[5], 2.0F);
  const auto small = target_differences(left, near).value();
  const double apart = dense_norm(minus(dense_product(left, 4), dense_product(near, 4)));
  ASSERT_GT(apart, 0.0);
  // The dense difference itself has lost digits: its terms are 2^-24 of the products.
  EXPECT_NEAR(small[4].difference, apart, apart * 1e-6);
  EXPECT_EQ(small[3].difference, 0.0);
}

TEST(AdapterStatsTest, ProductsThatCancelAcrossDifferentFactorsComeOutNearZero) {
  const Adapter left = random_adapter(small_spec(2, 2), 1);
  Adapter right = left; // the same products, from factors of twice and half the size
  for (std::size_t t = 0; t < right.targets(); ++t) {
    for (float& value : right.a(t)) value *= 2;
    for (float& value : right.b(t)) value /= 2;
  }
  const auto differences = target_differences(left, right).value();
  for (const auto& entry : differences) {
    EXPECT_LE(entry.difference, 1e-7 * (entry.left + entry.right));
  }
}

TEST(AdapterStatsTest, ATargetThatOneAdapterLacksIsAllDifference) {
  AdapterSpec fewer = small_spec();
  fewer.targets.erase(fewer.targets.begin());
  const Adapter left = random_adapter(fewer, 1);
  AdapterSpec others = small_spec();
  others.targets.pop_back();
  const Adapter right = random_adapter(others, 2);
  const auto differences = target_differences(left, right).value();
  ASSERT_EQ(differences.size(), 14U);
  EXPECT_EQ(differences[12].tensor, "blk.1.ffn_down"); // the left's own
  EXPECT_EQ(differences[12].right, 0.0);
  EXPECT_EQ(differences[12].difference, differences[12].left);
  EXPECT_EQ(differences[13].tensor, "blk.0.attn_q"); // the right's own, at the end
  EXPECT_EQ(differences[13].left, 0.0);
  EXPECT_GT(differences[13].difference, 0.0);
}

TEST(AdapterStatsTest, AdaptersOfDifferentBasesAreRefused) {
  AdapterSpec other = small_spec();
  other.targets[6].in = 24;
  const auto differences =
      target_differences(random_adapter(small_spec(), 1), random_adapter(other, 1));
  ASSERT_FALSE(differences.ok());
  EXPECT_THAT(differences.error().message, ::testing::HasSubstr("blk.0.ffn_down"));
}

} // namespace
} // namespace coppice
