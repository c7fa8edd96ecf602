// SPDX-License-Identifier: Apache-2.0
#include "sim/population.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <set>

#include "base/text.h"
#include "tests/sim/chi_square.h"

namespace coppice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::int64_t kHourNanos = 3'600 * kNanosPerSecond;

DeviceClass device_class(std::string name, double share = 1) {
  DeviceClass made;
  made.name = std::move(name);
  made.share = share;
  return made;
}

bool nobody(DeviceNumber /*device*/) { return false; }

PopulationSettings two_classes() {
  PopulationSettings settings;
  DeviceClass fast = device_class("fast", 3);
  fast.tokens_per_second = 2'000;
  fast.down_bytes_per_second = 4e6;
  fast.up_bytes_per_second = 1e6;
  fast.latency = {50 * kNanosPerMilli};
  fast.train_watts = 4;
  fast.radio_joules_per_megabyte = 0.5;
  DeviceClass slow = device_class("slow");
  slow.tokens_per_second = 300;
  slow.down_bytes_per_second = 1e6;
  slow.up_bytes_per_second = 2e5;
  slow.train_watts = 2;
  slow.spread = 0.6;
  settings.classes = {fast, slow};
  settings.clock_skew = {500 * kNanosPerMilli};
  return settings;
}

PopulationSettings phones() {
  PopulationSettings settings = two_classes();
  settings.availability = AvailabilityKind::kHours;
  return settings;
}

Population made(const PopulationSettings& settings, std::uint64_t devices, std::uint64_t seed = 1) {
  Availability availability = settings.availability == AvailabilityKind::kHours
                                  ? Availability::by_hours(seed, 500)
                                  : Availability::always();
  return Population::make(settings, std::move(availability), devices, seed).value();
}

auto fields(const DeviceRow& row) {
  return std::tuple(row.trace, row.phase, row.skew_ms, row.speed, row.device_class);
}

TEST(Population, RowsDependOnSeedAndDeviceAlone) {
  const Population few = made(phones(), 100);
  const Population many = made(phones(), 5'000);
  const Population other = made(phones(), 100, 2);
  int equal = 0;
  for (DeviceNumber device = 0; device < few.size(); ++device) {
    EXPECT_EQ(fields(few.row(device)), fields(many.row(device)));
    equal += fields(few.row(device)) == fields(other.row(device)) ? 1 : 0;
  }
  EXPECT_EQ(equal, 0);
}

TEST(Population, ClassesComeByTheirShares) {
  constexpr std::uint64_t kDevices = 40'000;
  const Population population = made(two_classes(), kDevices);
  std::uint64_t fast = 0;
  for (DeviceNumber i = 0; i < kDevices; ++i) fast += population.class_of(i).name == "fast" ? 1 : 0;
  const double deviation = std::sqrt(0.75 * 0.25 * double{kDevices});
  EXPECT_NEAR(static_cast<double>(fast), 0.75 * double{kDevices}, 4 * deviation);
}

TEST(Population, AClassWithoutAShareHasNoDevices) {
  PopulationSettings settings = two_classes();
  settings.classes.push_back(device_class("none", 0));
  settings.classes.insert(settings.classes.begin(), device_class("none", 0));
  const Population population = made(settings, 1'000);
  for (DeviceNumber i = 0; i < 1'000; ++i) EXPECT_NE(population.class_of(i).name, "none");
}

// The logarithm of the factor is normal with mean 0 and the class's sigma.
TEST(Population, SpeedsAreSpreadLogNormally) {
  constexpr std::uint64_t kDevices = 40'000;
  PopulationSettings settings;
  settings.classes = {device_class("any")};
  settings.classes.front().spread = 0.6;
  const Population population = made(settings, kDevices);
  double sum = 0;
  double squares = 0;
  std::uint64_t within_one = 0;
  for (DeviceNumber i = 0; i < kDevices; ++i) {
    const double log = std::log(static_cast<double>(population.row(i).speed));
    sum += log;
    squares += log * log;
    within_one += std::abs(log) < 0.6 ? 1 : 0;
  }
  const double count{kDevices};
  EXPECT_NEAR(sum / count, 0, 4 * 0.6 / std::sqrt(count));
  EXPECT_NEAR(std::sqrt(squares / count), 0.6, 4 * 0.6 / std::sqrt(2 * count));
  EXPECT_NEAR(static_cast<double>(within_one) / count, 0.6827,
              4 * std::sqrt(0.6827 * 0.3173 / count));
  EXPECT_EQ(made(two_classes(), 1).row(0).speed, 1.0F); // "fast" has no spread
}

TEST(Population, ClocksAreOffByAtMostTheSkewInBothDirections) {
  const Population population = made(two_classes(), 10'000);
  std::set<std::int32_t> seen;
  for (DeviceNumber i = 0; i < population.size(); ++i) seen.insert(population.row(i).skew_ms);
  EXPECT_EQ(*seen.begin(), -500);
  EXPECT_EQ(*seen.rbegin(), 500);
  EXPECT_GT(seen.size(), 990U); // of 1,001
}

TEST(Population, TimeZonesShiftWeeksByWholeHours) {
  PopulationSettings settings = phones();
  settings.time_zones = 3;
  const Availability weeks = Availability::by_hours(1, 500);
  const Population population = made(settings, 3'000);
  std::set<std::int32_t> phases;
  for (DeviceNumber i = 0; i < population.size(); ++i) {
    const DeviceRow& row = population.row(i);
    phases.insert(row.phase);
    const Nanos at{static_cast<std::int64_t>(i) * kHourNanos / 7 - 40 * kHourNanos};
    const auto second = static_cast<std::int64_t>(std::floor(at.seconds()));
    EXPECT_EQ(population.available(i, at), weeks.available(row.trace, second + row.phase));
  }
  EXPECT_THAT(phases, ::testing::ElementsAre(0, 3'600, 7'200));
}

TEST(Population, TracesOfAFileAreTakenInTurnAsTheyStand) {
  PopulationSettings settings = two_classes();
  settings.availability = AvailabilityKind::kTrace;
  const auto file = Availability::parse("coppice-trace 1 10\n0-5\n5-10\n\n").value();
  const Population population = Population::make(settings, file, 7, 1).value();
  for (DeviceNumber i = 0; i < 7; ++i) {
    EXPECT_EQ(population.available(i, {2 * kNanosPerSecond}), i % 3 == 0);
    EXPECT_EQ(population.available(i, {7 * kNanosPerSecond}), i % 3 == 1);
  }
  EXPECT_EQ(population.count_available({}), 3U);
}

TEST(Population, AvailabilityEndsOnAWholeSecondAfterNow) {
  PopulationSettings settings = two_classes();
  settings.availability = AvailabilityKind::kTrace;
  const auto file = Availability::parse("coppice-trace 1 10\n0-3 8-10\n").value();
  const Population population = Population::make(settings, file, 1, 1).value();
  const auto until = [&](std::int64_t at) { return population.available_until(0, {at}).count; };
  EXPECT_EQ(until(0), 3 * kNanosPerSecond);
  EXPECT_EQ(until(3 * kNanosPerSecond - 1), 3 * kNanosPerSecond);
  EXPECT_EQ(until(8 * kNanosPerSecond), 13 * kNanosPerSecond); // on into the next period
  EXPECT_EQ(until(-1), 3 * kNanosPerSecond);
  EXPECT_FALSE(population.available(0, {3 * kNanosPerSecond}));
  EXPECT_FALSE(population.available(0, {-2 * kNanosPerSecond - 1}));
  constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(made(two_classes(), 1).available_until(0, {5}).count, kEnd);
}

TEST(Population, TimesAndEnergyAreTheFormulas) {
  const Population population = made(two_classes(), 100);
  for (DeviceNumber i = 0; i < 100; ++i) {
    const DeviceClass& its = population.class_of(i);
    const double speed{population.row(i).speed};
    // Rounded to the nearest nanosecond.
    EXPECT_NEAR(population.download_time(i, 1'000'000).seconds(),
                its.latency.seconds() + 1e6 / (its.down_bytes_per_second * speed), 1e-9);
    EXPECT_NEAR(population.upload_time(i, 500'000).seconds(),
                its.latency.seconds() + 5e5 / (its.up_bytes_per_second * speed), 1e-9);
    const Nanos time = population.training_time(i, 4'096);
    EXPECT_NEAR(time.seconds(), 4'096 / (its.tokens_per_second * speed), 1e-9);
    EXPECT_DOUBLE_EQ(population.training_joules(i, time), its.train_watts * time.seconds());
    EXPECT_DOUBLE_EQ(population.radio_joules(i, 3'000'000), 3 * its.radio_joules_per_megabyte);
  }
}

TEST(Population, NoRateTakesNoTimeAndNoTimeIsWithoutEnd) {
  PopulationSettings settings;
  settings.classes = {device_class("instant")};
  EXPECT_EQ(made(settings, 1).download_time(0, 1'000'000'000), Nanos{});
  EXPECT_EQ(made(settings, 1).training_time(0, 1'000'000'000), Nanos{});
  settings.classes.front().tokens_per_second = 1e-300;
  settings.classes.front().up_bytes_per_second = 1e-300;
  constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
  EXPECT_EQ(made(settings, 1).upload_time(0, kAll), Population::kLongestSpan);
  EXPECT_EQ(made(settings, 1).training_time(0, kAll), Population::kLongestSpan);
}

TEST(Population, WhatIsNoPopulationIsRefusedByName) {
  const auto refusal = [](const PopulationSettings& settings, std::uint64_t devices = 1) {
    const auto result = Population::make(settings, Availability::always(), devices, 1);
    EXPECT_FALSE(result.ok());
    return result.ok() ? Error{} : result.error();
  };
  const auto class_refusal = [&](const std::function<void(DeviceClass&)>& spoil) {
    PopulationSettings settings;
    settings.classes = {device_class("phone")};
    spoil(settings.classes.front());
    return refusal(settings).message;
  };
  EXPECT_THAT(class_refusal([](DeviceClass& its) { its.share = 0; }), HasSubstr("share"));
  EXPECT_THAT(class_refusal([](DeviceClass& its) { its.share = std::nan(""); }),
              AllOf(HasSubstr("phone"), HasSubstr("share")));
  EXPECT_THAT(class_refusal([](DeviceClass& its) { its.up_bytes_per_second = -1; }),
              AllOf(HasSubstr("phone"), HasSubstr("up_bytes_per_second")));
  EXPECT_THAT(class_refusal([](DeviceClass& its) { its.latency = {-1}; }), HasSubstr("latency"));
  EXPECT_THAT(class_refusal([](DeviceClass& its) { its.spread = 6; }), HasSubstr("spread"));
  EXPECT_THAT(refusal({}).message, HasSubstr("share"));
  PopulationSettings settings = two_classes();
  settings.clock_skew = {-1};
  EXPECT_THAT(refusal(settings).message, HasSubstr("clock_skew"));
  settings = two_classes();
  settings.time_zones = 25;
  EXPECT_THAT(refusal(settings).message, HasSubstr("time_zones"));
  EXPECT_EQ(refusal(two_classes(), (std::uint64_t{1} << 32U) + 1).code, ErrorCode::kTooLarge);
  settings = two_classes();
  settings.classes.resize(257, settings.classes.front());
  EXPECT_EQ(refusal(settings).code, ErrorCode::kTooLarge);
}

TEST(PopulationDraw, TakesAvailableDevicesThatDoNotRestEachOnceInOrder) {
  const Population population = made(phones(), 2'000);
  const Nanos noon{12 * kHourNanos};
  const auto odd_rest = [](DeviceNumber device) { return device % 2 == 1; };
  const auto drawn = population.draw(40, noon, {.round = 3}, odd_rest);
  ASSERT_EQ(drawn.size(), 40U);
  EXPECT_TRUE(std::ranges::is_sorted(drawn, std::less_equal<>())); // strictly
  for (const DeviceNumber device : drawn) {
    EXPECT_TRUE(population.available(device, noon));
    EXPECT_EQ(device % 2, 0U);
  }
  EXPECT_EQ(population.draw(40, noon, {.round = 3}, odd_rest), drawn);
  EXPECT_NE(population.draw(40, noon, {.round = 4}, odd_rest), drawn);
}

TEST(PopulationDraw, GivesAllWhereThereAreNoMore) {
  const Population population = made(phones(), 300);
  const Nanos noon{12 * kHourNanos};
  EXPECT_EQ(population.draw(10'000, noon, {}, nobody).size(), population.count_available(noon));
  EXPECT_EQ(population.draw_each(1, noon, {}, nobody).size(), population.count_available(noon));
  EXPECT_TRUE(population.draw(0, noon, {}, nobody).empty());
  EXPECT_TRUE(made(phones(), 0).draw(5, noon, {}, nobody).empty());
  EXPECT_TRUE(made(phones(), 0).draw_each(1, noon, {}, nobody).empty());
}

TEST(PopulationDraw, EachAvailableDeviceIsEquallyLikely) {
  const Population population = made(phones(), 400);
  const Nanos noon{12 * kHourNanos};
  const auto all = population.draw(400, noon, {}, nobody);
  ASSERT_GT(all.size(), 20U);
  std::vector<std::uint64_t> singles(400);
  std::vector<std::uint64_t> poisson(400);
  for (std::uint64_t round = 0; round < 20'000; ++round) {
    for (const DeviceNumber device : population.draw(1, noon, {.round = round}, nobody)) {
      ++singles[device];
    }
    for (const DeviceNumber device : population.draw_each(0.1, noon, {.round = round}, nobody)) {
      ++poisson[device];
    }
  }
  std::vector<std::uint64_t> of_singles;
  std::vector<std::uint64_t> of_poisson;
  for (const DeviceNumber device : all) {
    of_singles.push_back(singles[device]);
    of_poisson.push_back(poisson[device]);
  }
  EXPECT_LT(chi_square_deviations(of_singles), kChiSquareBound);
  EXPECT_LT(chi_square_deviations(of_poisson), kChiSquareBound);
}

// Sizes of a draw by itself are binomial: mean n q, variance n q (1 - q).
TEST(PopulationDraw, EachByItselfGivesBinomialSizes) {
  const Population population = made(two_classes(), 1'000);
  constexpr double kRounds = 4'000;
  for (const double rate : {0.003, 0.2, 0.97}) {
    double sum = 0;
    double squares = 0;
    for (std::uint64_t round = 0; round < std::uint64_t{4'000}; ++round) {
      const auto size = static_cast<double>(
          population.draw_each(rate, {}, {.experiment = 8, .round = round}, nobody).size());
      sum += size;
      squares += size * size;
    }
    const double variance = 1'000 * rate * (1 - rate);
    const double mean = sum / kRounds;
    EXPECT_NEAR(mean, 1'000 * rate, 4 * std::sqrt(variance / kRounds)) << rate;
    // The variance of a variance is 2 s^4 / n, and kurtosis adds s^2 / n at most.
    EXPECT_NEAR(squares / kRounds - mean * mean, variance,
                4 * std::sqrt((2 * variance * variance + variance) / kRounds))
        << rate;
  }
}

TEST(PopulationDraw, ARateThatIsNoneDrawsNobody) {
  const Population population = made(two_classes(), 100);
  EXPECT_TRUE(population.draw_each(0, {}, {}, nobody).empty());
  EXPECT_TRUE(population.draw_each(-1, {}, {}, nobody).empty());
  EXPECT_TRUE(population.draw_each(std::nan(""), {}, {}, nobody).empty());
  EXPECT_TRUE(population.draw_each(1e-300, {}, {}, nobody).empty());
  EXPECT_EQ(population.draw_each(7, {}, {}, nobody).size(), 100U);
}

// Each row that is looked at asks `rests`, since all are available.
TEST(PopulationDraw, CostsAsManyLooksWhateverThePopulation) {
  constexpr std::uint64_t kWanted = 200;
  for (const std::uint64_t devices : {10'000U, 100'000U, 400'000U}) {
    const Population population = made(two_classes(), devices);
    std::uint64_t looks = 0;
    const auto nine_of_ten_rest = [&](DeviceNumber device) {
      ++looks;
      return device % 10 != 0;
    };
    EXPECT_EQ(population.draw(kWanted, {}, {.experiment = devices}, nine_of_ten_rest).size(),
              kWanted);
    // 200 successes of chance 0.1: negative binomial, 2,000 with deviation sqrt(200 * 0.9) / 0.1.
    EXPECT_NEAR(static_cast<double>(looks), 2'000, 4 * 134) << devices;
    looks = 0;
    (void)population.draw_each(2'000.0 / static_cast<double>(devices), {}, {}, nine_of_ten_rest);
    EXPECT_NEAR(static_cast<double>(looks), 2'000, 4 * 45) << devices; // Poisson
  }
}

} // namespace
} // namespace coppice
