// SPDX-License-Identifier: Apache-2.0
#include "adapters/adapter.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

TEST(AdapterTest, ValuesAreAThenBOfEachTargetInOrder) {
  Adapter adapter(share(small_spec()));
  float next = 0;
  for (std::size_t t = 0; t < adapter.targets(); ++t) {
    EXPECT_EQ(adapter.a(t).size(), adapter.spec().targets[t].a_elements());
    EXPECT_EQ(adapter.b(t).size(), adapter.spec().targets[t].b_elements());
    for (float& value : adapter.a(t)) value = next++;
    for (float& value : adapter.b(t)) value = next++;
  }
  ASSERT_EQ(adapter.values().size(), adapter.spec().parameters());
  for (std::size_t i = 0; i < adapter.values().size(); ++i) {
    EXPECT_EQ(adapter.values()[i], static_cast<float>(i));
  }
}

TEST(AdapterTest, StartsWithUniformAWithinPeftsBoundAndZeroB) {
  const Adapter adapter = Adapter::initial(share(small_spec(4)), 7);
  for (std::size_t t = 0; t < adapter.targets(); ++t) {
    const float bound = 1.0F / std::sqrt(static_cast<float>(adapter.spec().targets[t].in));
    const auto a = adapter.a(t);
    EXPECT_LE(std::ranges::max(a), bound);
    EXPECT_GE(std::ranges::min(a), -bound);
    // 48 draws or more: all within 9/10 of the bound with probability 0.9^48 = 0.6 %; the seed is
    // fixed.
    EXPECT_GT(std::abs(*std::ranges::max_element(a, {}, [](float v) { return std::abs(v); })),
              0.9F * bound);
    EXPECT_TRUE(std::ranges::all_of(adapter.b(t), [](float v) { return v == 0.0F; }));
  }
}

TEST(AdapterTest, ATargetsStartDependsOnSeedAndNameAlone) {
  const Adapter all = Adapter::initial(share(small_spec()), 7);
  AdapterSpec fewer = small_spec();
  fewer.targets.erase(fewer.targets.begin(), fewer.targets.begin() + 3);
  const Adapter some = Adapter::initial(share(fewer), 7);
  EXPECT_TRUE(same_bits(some.a(0), all.a(3)));
  EXPECT_FALSE(same_bits(all.a(4), all.a(5))); // two targets of one shape
  EXPECT_FALSE(same_bits(all.a(0), Adapter::initial(share(small_spec()), 8).a(0)));
}

TEST(AdapterTest, DeltaIsAfterMinusBefore) {
  const Adapter before = random_adapter(small_spec(), 1);
  const Adapter after = random_adapter(small_spec(), 2); // an equal spec, another object
  const auto delta = delta_between(after, before);
  ASSERT_TRUE(delta.ok());
  for (std::size_t i = 0; i < delta->size(); ++i) {
    EXPECT_EQ((*delta)[i], after.values()[i] - before.values()[i]);
  }
}

TEST(AdapterTest, AdaptersOfDifferentSpecsHaveNoDelta) {
  const Adapter before = random_adapter(small_spec(2, 4), 1);
  const Adapter other_rank = random_adapter(small_spec(3, 4), 1);
  const Adapter other_alpha = random_adapter(small_spec(2, 5), 1);
  EXPECT_EQ(delta_between(other_rank, before).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(delta_between(other_alpha, before).error().code, ErrorCode::kInvalidArgument);
}

TEST(AdapterTest, FiniteSeesEveryPlace) {
  Adapter adapter = random_adapter(small_spec(), 1);
  EXPECT_TRUE(adapter.finite());
  adapter.values().back() = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(adapter.finite());
  adapter.values().back() = 0;
  adapter.values().front() = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(adapter.finite());
}

} // namespace
} // namespace coppice
