// SPDX-License-Identifier: Apache-2.0
#include "formats/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/random.h"

namespace coppice {
namespace {

// The definition, in doubles: sign * 2^(e - 25) * (1024 + fraction), or 2^-24 * fraction if e is 0.
double half_by_definition(std::uint16_t half) {
  const int exponent = (half >> 10) & 0x1F;
  const int fraction = half & 0x3FF;
  double magnitude = std::ldexp(1024 + fraction, exponent - 25);
  if (exponent == 0) magnitude = std::ldexp(fraction, -24);
  if (exponent == 31) magnitude = std::numeric_limits<double>::infinity();
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

bool is_nan(std::uint16_t half) { return (half & 0x7FFF) > 0x7C00; }

TEST(Half, widens_all_65536_patterns_as_defined) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = half_to_float(half);
    if (is_nan(half)) {
      ASSERT_TRUE(std::isnan(value)) << bits;
    } else {
      ASSERT_EQ(static_cast<double>(value), half_by_definition(half)) << bits;
      ASSERT_EQ(std::signbit(value), (half & 0x8000) != 0) << bits;
    }
  }
}

TEST(Half, narrows_what_it_widened_to_the_same_pattern) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const std::uint16_t back = float_to_half(half_to_float(half));
    if (is_nan(half)) {
      ASSERT_EQ(back, half | 0x200) << bits; // quiet
    } else {
      ASSERT_EQ(back, half) << bits;
    }
  }
}

// Between every two neighbours: the midpoint goes to the even one, and the floats next to the
// midpoint to their own side.
TEST(Half, rounds_to_nearest_and_ties_to_even_between_all_neighbours) {
  for (std::uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const auto low = static_cast<std::uint16_t>(bits);
    const auto high = static_cast<std::uint16_t>(bits + 1);
    const auto middle =
        static_cast<float>((half_by_definition(low) + half_by_definition(high)) / 2);
    const std::uint16_t even = (low & 1) == 0 ? low : high;
    ASSERT_EQ(float_to_half(middle), even) << bits;
    ASSERT_EQ(float_to_half(-middle), even | 0x8000) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0F)), low) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 1e9F)), high) << bits;
  }
}

TEST(Half, overflows_to_infinity_from_65520) {
  EXPECT_EQ(float_to_half(std::nextafter(65520.0F, 0.0F)), 0x7BFF);
  EXPECT_EQ(float_to_half(65520.0F), 0x7C00);
  EXPECT_EQ(float_to_half(-std::numeric_limits<float>::max()), 0xFC00);
  EXPECT_EQ(float_to_half(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(Bfloat16, is_the_upper_half_of_a_float_for_all_patterns) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto pattern = static_cast<std::uint16_t>(bits);
    const float value = bfloat16_to_float(pattern);
    ASSERT_EQ(std::bit_cast<std::uint32_t>(value), bits << 16U);
    const std::uint16_t quiet = std::isnan(value) ? 0x40 : 0;
    ASSERT_EQ(float_to_bfloat16(value), pattern | quiet);
  }
}

// Oracle: of the two neighbours the nearer by exact difference in double, the even one at a tie.
TEST(Bfloat16, rounds_random_floats_to_the_nearest) {
  KeyedRandom random({.experiment = 16});
  for (int i = 0; i < 200000; ++i) {
    const std::uint32_t bits = random.next_u32() & 0x7FFFFFFFU;
    const auto value = std::bit_cast<float>(bits);
    const auto low = static_cast<std::uint16_t>(bits >> 16U);
    const auto high = static_cast<std::uint16_t>(low + 1);
    if (!std::isfinite(value) || !std::isfinite(bfloat16_to_float(high))) continue;
    const double down = static_cast<double>(value) - static_cast<double>(bfloat16_to_float(low));
    const double up = static_cast<double>(bfloat16_to_float(high)) - static_cast<double>(value);
    const bool to_low = down < up || (down == up && (low & 1) == 0);
    ASSERT_EQ(float_to_bfloat16(value), to_low ? low : high) << bits;
  }
  EXPECT_EQ(float_to_bfloat16(std::numeric_limits<float>::max()), 0x7F80);
}

} // namespace
} // namespace coppice
