// SPDX-License-Identifier: Apache-2.0
#include "adapters/rank_slices.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

AdapterSpec scaled_spec(LoraScaling scaling, std::uint32_t rank) {
  AdapterSpec spec = small_spec(rank, 6);
  spec.scaling = scaling;
  return spec;
}

// The (out, in) product of one target, with its scale.
std::vector<double> scaled_product(const Adapter& adapter, std::size_t target) {
  const AdapterTarget& of = adapter.spec().targets[target];
  const auto scale = static_cast<double>(adapter.spec().scale(target));
  std::vector<double> product(std::size_t{of.out} * of.in);
  for (std::size_t o = 0; o < of.out; ++o) {
    for (std::size_t k = 0; k < of.rank; ++k) {
      const double b = scale * static_cast<double>(adapter.b(target)[o * of.rank + k]);
      for (std::size_t i = 0; i < of.in; ++i) {
        product[o * of.in + i] += b * static_cast<double>(adapter.a(target)[k * of.in + i]);
      }
    }
  }
  return product;
}

class RankSlices : public ::testing::TestWithParam<LoraScaling> {};

TEST_P(RankSlices, TheWholeIsTheMeanOfItsSlices) {
  const Adapter whole = random_adapter(scaled_spec(GetParam(), 4), 1);
  for (const std::uint32_t slices : {1U, 2U, 4U}) {
    std::vector<double> mean(scaled_product(whole, 0).size());
    for (std::uint32_t slice = 0; slice < slices; ++slice) {
      const Adapter part = slice_of(whole, slices, slice);
      EXPECT_EQ(part.spec().targets[0].rank, 4U / slices);
      const std::vector<double> product = scaled_product(part, 0);
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += product[i] / slices;
    }
    const std::vector<double> wanted = scaled_product(whole, 0);
    for (std::size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(mean[i], wanted[i], 1e-6);
  }
}

TEST_P(RankSlices, EachOfACopyEqualsTheOriginalAndSoDoesTheWhole) {
  const Adapter one = random_adapter(scaled_spec(GetParam(), 1), 2);
  const Adapter whole = repeat_as_slices(one, 3);
  EXPECT_EQ(whole.spec().targets[0].rank, 3U);
  for (std::uint32_t slice = 0; slice < 3; ++slice) {
    const Adapter part = slice_of(whole, 3, slice);
    EXPECT_TRUE(same_bits(part.values(), one.values()));
    EXPECT_FLOAT_EQ(part.spec().scale(0), one.spec().scale(0));
  }
  const auto wanted = scaled_product(one, 5), made = scaled_product(whole, 5);
  for (std::size_t i = 0; i < made.size(); ++i) EXPECT_NEAR(made[i], wanted[i], 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Scalings, RankSlices,
                         ::testing::Values(LoraScaling::kStandard, LoraScaling::kRankStabilized));

TEST(RankSlice, InItsPlaceLeavesTheOthersZero) {
  const Adapter whole = random_adapter(small_spec(4), 3);
  std::vector<float> sum(whole.values().size());
  for (std::uint32_t slice = 0; slice < 2; ++slice) {
    const auto part = slice_of(whole, 2, slice);
    const auto all = slice_in_place(whole.spec(), 2, slice, part.values());
    EXPECT_EQ(std::ranges::count_if(all, [](float value) { return value != 0; }),
              static_cast<std::ptrdiff_t>(all.size() / 2));
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += all[i];
  }
  EXPECT_TRUE(same_bits(sum, whole.values()));
}

TEST(RankSlice, RanksThatDontDivideCantBeCut) {
  EXPECT_TRUE(can_be_sliced(small_spec(4), 4));
  EXPECT_FALSE(can_be_sliced(small_spec(4), 3));
  EXPECT_FALSE(can_be_sliced(small_spec(4), 0));
}

} // namespace
} // namespace coppice
