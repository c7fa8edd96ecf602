// SPDX-License-Identifier: Apache-2.0
#include "sim/availability.h"

#include <gmock/gmock.h>

#include <limits>

#include "base/random.h"
#include "base/text.h"
#include "tests/aggregator/temporary_folder.h"

namespace coppice {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

constexpr std::uint64_t kForever = std::numeric_limits<std::uint64_t>::max();

// A trace as one bit a second: everything else is counted from it.
using Bitmap = std::vector<bool>;

Bitmap random_bitmap(KeyedRandom& random, std::uint32_t period) {
  Bitmap bits(period);
  const std::uint64_t sparse = 1 + random.below(8); // long runs, or none
  bool there = random.below(2) == 0;
  for (std::uint32_t i = 0; i < period; ++i) {
    if (random.below(sparse) == 0) there = random.below(2) == 0;
    bits[i] = there;
  }
  return bits;
}

AvailabilityTrace trace_of(const Bitmap& bits) {
  AvailabilityTrace trace;
  for (std::uint32_t i = 0; i < bits.size(); ++i) {
    if (!bits[i]) continue;
    if (i == 0 || !bits[i - 1]) trace.push_back({i, i});
    trace.back().end = i + 1;
  }
  return trace;
}

bool bit_at(const Bitmap& bits, std::int64_t second) {
  const auto period = static_cast<std::int64_t>(bits.size());
  return bits[static_cast<std::size_t>((second % period + period) % period)];
}

std::uint64_t count_left(const Bitmap& bits, std::int64_t second) {
  std::uint64_t left = 0;
  while (bit_at(bits, second + static_cast<std::int64_t>(left))) {
    if (++left > 2 * bits.size()) return kForever;
  }
  return left;
}

TEST(Availability, AgreesWithABitmapAtEachSecondOfThreePeriods) {
  KeyedRandom random({.experiment = 1});
  for (int times = 0; times < 300; ++times) {
    const auto period = static_cast<std::uint32_t>(1 + random.below(40));
    std::vector<Bitmap> bitmaps;
    std::vector<AvailabilityTrace> traces;
    for (int i = 0; i < 3; ++i) {
      bitmaps.push_back(random_bitmap(random, period));
      traces.push_back(trace_of(bitmaps.back()));
    }
    const Availability made = Availability::make(period, traces).value();
    ASSERT_EQ(made.traces(), 3U);
    for (std::uint32_t trace = 0; trace < 3; ++trace) {
      const Bitmap& bits = bitmaps[trace];
      EXPECT_DOUBLE_EQ(made.share(trace),
                       static_cast<double>(std::ranges::count(bits, true)) / period);
      for (std::int64_t second = -std::int64_t{period}; second < 2 * std::int64_t{period};
           ++second) {
        ASSERT_EQ(made.available(trace, second), bit_at(bits, second));
        if (!bit_at(bits, second)) continue;
        ASSERT_EQ(made.seconds_left(trace, second), count_left(bits, second));
      }
    }
  }
}

TEST(Availability, IsCyclicAtTheEndsOfTime) {
  const Availability made =
      Availability::make(10, std::vector<AvailabilityTrace>{{{3, 5}}}).value();
  constexpr std::int64_t kFirst = std::numeric_limits<std::int64_t>::min(); // 2 of the period
  constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();  // 7 of it
  EXPECT_FALSE(made.available(0, kFirst));
  EXPECT_TRUE(made.available(0, kFirst + 1));
  EXPECT_EQ(made.seconds_left(0, kFirst + 1), 2U);
  EXPECT_FALSE(made.available(0, kLast));
  EXPECT_TRUE(made.available(0, kLast - 3));
}

TEST(Availability, AlwaysHasNoEnd) {
  const Availability always = Availability::always();
  EXPECT_EQ(always.traces(), 1U);
  EXPECT_EQ(always.seconds_left(0, -12'345), kForever);
  EXPECT_EQ(always.share(0), 1.0);
  EXPECT_EQ(Availability::parse(always.text())->text(), "coppice-trace 1 1\n0-1\n");
}

TEST(Availability, AFileComesBackAsItWasWritten) {
  const TemporaryFolder folder;
  const Availability made = Availability::by_hours(7, 50);
  ASSERT_TRUE(made.write(folder / "weeks.trace").ok());
  const Availability again = Availability::read(folder / "weeks.trace").value();
  EXPECT_EQ(again.text(), made.text());
  EXPECT_EQ(again.period_seconds(), kSecondsPerWeek);
  EXPECT_EQ(again.traces(), 50U);
}

TEST(Availability, AnEmptyLineIsADeviceThatIsNeverThere) {
  const Availability made = Availability::parse("coppice-trace 1 100\n\n20-30 40-100\n").value();
  ASSERT_EQ(made.traces(), 2U);
  EXPECT_EQ(made.share(0), 0.0);
  EXPECT_EQ(made.share(1), 0.7);
}

struct Refused {
  const char* text;
  const char* why;
};

TEST(Availability, WhatBreaksTheFormatIsRefusedWithItsLine) {
  constexpr Refused kRefused[] = {
      {"", "cut off"},
      {"coppice-trace 1 100", "cut off"},
      {"coppice-trace 1 100\n1-2", "cut off"},
      {"coppice-trace 1 100\n", "line 2 is missing"},
      {"FL-trace 1 100\n1-2\n", "line 1 is not"},
      {"coppice-trace 1\n1-2\n", "line 1 must end with the period"},
      {"coppice-trace 1 0\n1-2\n", "line 1 must end with the period"},
      {"coppice-trace 1 0100\n1-2\n", "line 1 must end with the period"},
      {"coppice-trace 1 100 \n1-2\n", "line 1 must end with the period"},
      {"coppice-trace 1 100\r\n1-2\r\n", "line 1 must end with the period"},
      {"coppice-trace 1 316224001\n1-2\n", "line 1 must end with the period"},
      {"coppice-trace 1 99999999999999999999\n1-2\n", "line 1 must end with the period"},
      {"coppice-trace 1 100\n1-2\n5-5\n", "line 3 is no trace: the interval 5-5 ends before"},
      {"coppice-trace 1 100\n7-5\n", "line 2 is no trace: the interval 7-5 ends before"},
      {"coppice-trace 1 100\n90-101\n", "line 2 is no trace: the interval 90-101 leaves"},
      {"coppice-trace 1 100\n1-5 4-8\n", "line 2 is no trace: the interval 4-8 must begin after"},
      {"coppice-trace 1 100\n1-5 5-8\n", "line 2 is no trace: the interval 5-8 must begin after"},
      {"coppice-trace 1 100\n4-8 1-2\n", "line 2 is no trace: the interval 1-2 must begin after"},
      {"coppice-trace 1 100\n1-4294967296\n", "line 2 must be intervals"},
      {"coppice-trace 1 100\n1-2 3\n", "number 2 is none"},
      {"coppice-trace 1 100\n1-2  3-4\n", "number 2 is none"},
      {"coppice-trace 1 100\n1-2 \n", "line 2 ends with a space"},
      {"coppice-trace 1 100\n 1-2\n", "number 1 is none"},
      {"coppice-trace 1 100\n-1-2\n", "number 1 is none"},
      {"coppice-trace 1 100\n+1-2\n", "number 1 is none"},
      {"coppice-trace 1 100\n01-2\n", "number 1 is none"},
      {"coppice-trace 1 100\n1-2-3\n", "number 1 is none"},
      {"coppice-trace 1 100\n1,2\n", "number 1 is none"},
  };
  for (const Refused& row : kRefused) {
    const auto parsed = Availability::parse(row.text);
    ASSERT_FALSE(parsed.ok()) << row.text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(parsed.error().message, HasSubstr(row.why)) << row.text;
  }
  EXPECT_EQ(Availability::parse("coppice-trace 2 100\n1-2\n").error().code,
            ErrorCode::kUnsupported);
}

TEST(Availability, NoMoreTracesThanTheBound) {
  std::string text = "coppice-trace 1 100\n";
  text.append(Availability::kMostTraces, '\n');
  EXPECT_EQ(Availability::parse(text)->traces(), Availability::kMostTraces);
  text += '\n';
  EXPECT_EQ(Availability::parse(text).error().code, ErrorCode::kTooLarge);
}

// One text for one value, so whatever is accepted is written again as the same bytes.
TEST(Availability, DamagedTextIsRefusedOrMeansWhatItSays) {
  const std::string whole = Availability::by_hours(3, 4).text();
  KeyedRandom random({.experiment = 2});
  constexpr std::string_view kLetters = "0123456789- \n\r\tx";
  int accepted = 0;
  for (int times = 0; times < 20'000; ++times) {
    std::string text = whole;
    for (std::uint64_t edits = 1 + random.below(3); edits > 0 && !text.empty(); --edits) {
      const auto at = static_cast<std::size_t>(random.below(text.size()));
      const char letter = kLetters[static_cast<std::size_t>(random.below(kLetters.size()))];
      switch (random.below(4)) {
        case 0: text[at] = letter; break;
        case 1: text.insert(at, 1, letter); break;
        case 2: text.erase(at, 1 + static_cast<std::size_t>(random.below(8))); break;
        default: text.resize(at + 1); break;
      }
    }
    const auto parsed = Availability::parse(text);
    if (!parsed.ok()) continue;
    ++accepted;
    ASSERT_EQ(parsed->text(), text);
  }
  EXPECT_GT(accepted, 500); // a digit became another one
  EXPECT_LT(accepted, 19'000);
}

TEST(Availability, MakeNamesTheTraceThatIsNone) {
  const auto made = Availability::make(50, std::vector<AvailabilityTrace>{{{1, 2}}, {{1, 51}}});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(made.error().message, AllOf(HasSubstr("trace 2"), HasSubstr("1-51")));
  EXPECT_FALSE(Availability::make(50, {}).ok());
  EXPECT_FALSE(Availability::make(0, std::vector<AvailabilityTrace>{{}}).ok());
}

TEST(Availability, SharesByHourAreThoseOfTheBitmap) {
  const AvailabilityTrace first{{0, 1'800}, {3'000, 7'200}};
  const AvailabilityTrace second{{7'199, 9'000}};
  const Availability made =
      Availability::make(9'000, std::vector<AvailabilityTrace>{first, second}).value();
  const std::vector<double> shares = made.share_by_hour(); // the last is half an hour long
  ASSERT_EQ(shares.size(), 3U);
  EXPECT_DOUBLE_EQ(shares[0], 2'400.0 / 7'200);
  EXPECT_DOUBLE_EQ(shares[1], 3'601.0 / 7'200);
  EXPECT_DOUBLE_EQ(shares[2], 1'800.0 / 3'600);
}

// What docs/formats.md says of the model: far more at night, and never nobody.
TEST(PhoneWeeks, HaveThePlausibleSharesOfTheDay) {
  const std::vector<double> shares = Availability::by_hours(11).share_by_hour();
  ASSERT_EQ(shares.size(), 168U);
  const auto at = [&](std::size_t day, std::size_t hour) { return shares[day * 24 + hour]; };
  for (std::size_t day = 0; day < 7; ++day) {
    for (std::size_t hour = 2; hour < 5; ++hour) {
      EXPECT_THAT(at(day, hour), AllOf(Ge(0.35), Le(0.60))) << day << " " << hour;
    }
    for (std::size_t hour = 10; hour < 18; ++hour) {
      EXPECT_THAT(at(day, hour), AllOf(Ge(0.05), Le(0.12))) << day << " " << hour;
    }
  }
  for (const double share : shares) EXPECT_GT(share, 0.03);
  EXPECT_LT(at(4, 23), 0.8 * at(1, 23)); // Friday's bedtime is later
  EXPECT_GT(at(5, 7), 1.5 * at(1, 7));   // and Saturday's rising too
}

TEST(PhoneWeeks, FollowFromTheSeedAndTheNumberAlone) {
  const Availability few = Availability::by_hours(5, 10);
  const Availability many = Availability::by_hours(5, 20);
  EXPECT_TRUE(many.text().starts_with(few.text()));
  EXPECT_NE(Availability::by_hours(6, 10).text(), few.text());
}

} // namespace
} // namespace coppice
