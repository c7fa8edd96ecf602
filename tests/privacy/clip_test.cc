// SPDX-License-Identifier: Apache-2.0
#include "privacy/clip.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/random.h"

namespace coppice {
namespace {

using Floats = std::vector<float>;

bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Values of very different sizes, both signs: 2^-exponents to 2^exponents.
Floats random_update(KeyedRandom& random, std::size_t count, int exponents) {
  Floats update(count);
  for (float& value : update) {
    const auto span = static_cast<std::uint64_t>(2 * exponents + 1);
    const int exponent = static_cast<int>(random.below(span)) - exponents;
    value = std::ldexp(2.0F * random.uniform_float() - 1.0F, exponent);
  }
  return update;
}

TEST(L2NormTest, IsTheLengthOfTheVector) {
  EXPECT_EQ(l2_norm(Floats{3.0F, -4.0F}).value(), 5.0);
  EXPECT_EQ(l2_norm(Floats{}).value(), 0.0);
  EXPECT_EQ(l2_norm(Floats(1U << 20U, 0.5F)).value(), 512.0); // every partial sum is exact
}

TEST(L2NormTest, NeitherTheLargestNorTheSmallestFloatsAreLost) {
  const float largest = std::numeric_limits<float>::max();
  const float smallest = std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(l2_norm(Floats(4, largest)).value(), 2.0 * static_cast<double>(largest));
  EXPECT_EQ(l2_norm(Floats(4, smallest)).value(), 2.0 * static_cast<double>(smallest));
}

TEST(L2NormTest, NaNAndInfinityAreRefusedWithTheirPlace) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const std::size_t place : {0U, 7U, 99U}) {
      Floats update(100, 1.0F);
      update[place] = bad;
      const Floats before = update;
      const auto norm = l2_norm(update);
      ASSERT_FALSE(norm.ok());
      EXPECT_EQ(norm.error().code, ErrorCode::kInvalidArgument);
      EXPECT_THAT(norm.error().message,
                  ::testing::HasSubstr("value " + std::to_string(place) + " "));
      EXPECT_EQ(clip_l2(update, 1.0).error().code, ErrorCode::kInvalidArgument);
      EXPECT_TRUE(same_bits(update, before));
    }
  }
}

TEST(ClipTest, AnUpdateWithinTheBoundIsNotTouched) {
  Floats update = {3.0F, -4.0F, 0.0F, -0.0F};
  const Floats before = update;
  EXPECT_EQ(clip_l2(update, 5.0).value(), 1.0);
  EXPECT_TRUE(same_bits(update, before));
  Floats none;
  EXPECT_EQ(clip_l2(none, 1.0).value(), 1.0);
}

TEST(ClipTest, ALongerOneKeepsItsDirection) {
  Floats update = {30.0F, -40.0F};
  const double factor = clip_l2(update, 5.0).value();
  EXPECT_NEAR(factor, 0.1, 0.1 * 0x1p-22);
  // Each value: the factor's margin 2^-23 and one rounding 2^-24, together below 2^-22.
  EXPECT_NEAR(static_cast<double>(update[0]), 3.0, 3.0 * 0x1p-22);
  EXPECT_NEAR(static_cast<double>(update[1]), -4.0, 4.0 * 0x1p-22);
}

TEST(ClipTest, TheNormAfterwardsIsNeverAboveTheBoundNorFarBelow) {
  KeyedRandom random({.step = 1});
  for (int turn = 0; turn < 2000; ++turn) {
    const auto count = static_cast<std::size_t>(1 + random.below(300));
    Floats update = random_update(random, count, turn % 30);
    const double before = l2_norm(update).value();
    if (before == 0.0) continue;
    const double bound =
        before * (turn % 4 == 0 ? 1.0 - 0x1p-40 : 0.999 * random.uniform_double() + 1e-4);
    const double factor = clip_l2(update, bound).value();
    ASSERT_LT(factor, 1.0);
    const double after = l2_norm(update).value();
    // Strict above, by Note [Strict clip]; below, the margin 2^-23 and the roundings of 2^-24.
    ASSERT_LE(after, bound);
    ASSERT_GE(after, bound * (1.0 - 0x1p-22));
    const Floats clipped = update;
    ASSERT_EQ(clip_l2(update, bound).value(), 1.0) << "clipping twice changes nothing";
    ASSERT_TRUE(same_bits(update, clipped));
  }
}

TEST(ClipTest, TheBoundHoldsWhereEveryRoundingGoesUp) {
  // One value repeated rounds the same way each time, so the errors add up instead of cancelling;
  // without the margin about half of these end above the bound.
  KeyedRandom random({.step = 2});
  int up = 0;
  for (int turn = 0; turn < 500; ++turn) {
    const float value = 1.0F + random.uniform_float();
    Floats update(64, value); // sums of 64 equal squares are near exact: the norm is 8 * value
    const double bound = 8.0 * (0.5 + 0.4 * random.uniform_double());
    ASSERT_LT(clip_l2(update, bound).value(), 1.0);
    ASSERT_LE(l2_norm(update).value(), bound);
    const auto without_margin = static_cast<float>(static_cast<double>(value) *
                                                   (bound / (8.0 * static_cast<double>(value))));
    if (8.0 * static_cast<double>(without_margin) > bound) ++up;
  }
  EXPECT_GT(up, 150) << "the case that the margin is for must occur";
}

TEST(ClipTest, TheBoundHoldsAtTheEdgesOfFloat) {
  Floats large(1000, std::numeric_limits<float>::max());
  ASSERT_TRUE(clip_l2(large, 1e-3).ok());
  EXPECT_LE(l2_norm(large).value(), 1e-3);
  Floats into_subnormals(1U << 20U, 1.0F); // 2^20 values of 1e-33 each
  into_subnormals[0] = 1e10F;
  ASSERT_TRUE(clip_l2(into_subnormals, kMinClipNorm).ok());
  EXPECT_LE(l2_norm(into_subnormals).value(), kMinClipNorm);
}

TEST(ClipTest, TheSameUpdateGivesTheSameBits) {
  KeyedRandom first_random({.step = 3});
  KeyedRandom second_random({.step = 3});
  Floats first = random_update(first_random, 155648, 10);
  Floats second = random_update(second_random, 155648, 10);
  EXPECT_EQ(clip_l2(first, 1.0).value(), clip_l2(second, 1.0).value());
  EXPECT_TRUE(same_bits(first, second));
}

TEST(ClipTest, ABoundThatBoundsNothingIsRefused) {
  Floats update = {1.0F};
  for (const double bound : {0.0, -1.0, 1e-31, std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_EQ(clip_l2(update, bound).error().code, ErrorCode::kInvalidArgument) << bound;
    EXPECT_EQ(update[0], 1.0F);
  }
}

} // namespace
} // namespace coppice
