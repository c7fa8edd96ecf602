// SPDX-License-Identifier: Apache-2.0
#include "config/units.h"

#include <gtest/gtest.h>

#include <limits>

namespace coppice {
namespace {

TEST(Durations, are_a_whole_number_and_a_unit) {
  EXPECT_EQ(parse_duration("500ms").value(), Millis{500});
  EXPECT_EQ(parse_duration("90s").value(), Millis{90000});
  EXPECT_EQ(parse_duration("15m").value(), Millis{900000});
  EXPECT_EQ(parse_duration("6h").value(), Millis{21600000});
  EXPECT_EQ(parse_duration("7d").value(), Millis{604800000});
  EXPECT_EQ(parse_duration("7 d").value(), Millis{604800000});
  EXPECT_EQ(parse_duration("0").value(), Millis{0});
  for (const char* const text : {"", "7", "d", "-1s", "1.5h", "7w", "1s2", "99999999999999999d"}) {
    EXPECT_EQ(parse_duration(text).error().code, ErrorCode::kInvalidArgument) << text;
  }
}

TEST(Sizes, are_a_whole_number_and_a_unit_or_bytes) {
  EXPECT_EQ(parse_size("20MB").value(), 20000000U);
  EXPECT_EQ(parse_size("64MiB").value(), 67108864U);
  EXPECT_EQ(parse_size("3 kB").value(), 3000U);
  EXPECT_EQ(parse_size("512").value(), 512U);
  EXPECT_EQ(parse_size("512B").value(), 512U);
  for (const char* const text : {"", "MB", "-1", "1.5MB", "20mb", "8388608TiB"}) {
    EXPECT_EQ(parse_size(text).error().code, ErrorCode::kInvalidArgument) << text;
  }
}

TEST(DurationsAndSizes, come_back_as_they_were_written) {
  for (const char* const text : {"500ms", "90s", "15m", "6h", "7d", "1001ms"}) {
    EXPECT_EQ(format_duration(parse_duration(text).value()), text);
  }
  for (const char* const text : {"20MB", "64MiB", "3kB", "5TB", "1025B", "1KiB"}) {
    EXPECT_EQ(format_size(parse_size(text).value()), text);
  }
  EXPECT_EQ(format_duration({0}), "0ms");
  EXPECT_EQ(format_duration({-90000}), "-90s");
  EXPECT_EQ(format_size(0), "0B");
}

TEST(DurationsAndSizes, of_any_value_are_written_exactly) {
  for (std::int64_t value = 1; value < std::numeric_limits<std::int64_t>::max() / 7;
       value = value * 7 + 3) {
    EXPECT_EQ(parse_duration(format_duration({value})).value(), Millis{value});
    const auto bytes = static_cast<std::uint64_t>(value);
    EXPECT_EQ(parse_size(format_size(bytes)).value(), bytes);
  }
}

} // namespace
} // namespace coppice
