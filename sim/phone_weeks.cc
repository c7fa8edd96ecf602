// SPDX-License-Identifier: Apache-2.0
// The model behind Availability::by_hours(): weeks of people with phones. docs/formats.md says what
// it is held against.
//
// A person has a bedtime, a rising time, and a habit of charging at night; each night differs a
// little. By day and in the evening there are short plug-ins, of which those at home are on an
// unmetered network. Integers only, so that a trace file is the same wherever it is made.
#include <algorithm>

#include "base/random.h"
#include "sim/availability.h"

namespace coppice {
namespace {

constexpr std::int64_t kMinute = 60;
constexpr std::int64_t kHour = kSecondsPerHour;
constexpr std::int64_t kDay = kSecondsPerDay;
constexpr std::int64_t kWeek = kSecondsPerWeek;
constexpr std::int64_t kFriday = 4; // Monday is 0
constexpr std::int64_t kSaturday = 5;

struct Span { // of seconds from Monday 0:00; may leave the week
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// One in the first column of a hundred people charges at night with the chance in the second.
struct ChargingHabit {
  std::uint64_t percent_of_people;
  std::uint64_t percent_of_nights;
};
constexpr ChargingHabit kHabits[] = {{50, 78}, {35, 42}, {15, 8}};

class PhoneWeek {
 public:
  PhoneWeek(std::uint64_t seed, std::uint32_t number)
      : random_({.experiment = seed,
                 .client = number,
                 .purpose = RandomPurpose::kSimulation,
                 .step = kPhoneWeekStep}),
        bedtime_(around(22 * kHour + 50 * kMinute, 2 * kHour)),
        rising_(around(6 * kHour + 50 * kMinute, 2 * kHour)),
        weekend_delay_(between(20 * kMinute, 100 * kMinute)),
        night_percent_(habit()),
        plug_ins_percent_(between(20, 180)) {}

  AvailabilityTrace draw() {
    for (std::int64_t day = 0; day < 7; ++day) {
      night_after(day);
      plug_ins(day);
    }
    return tidy();
  }

 private:
  static constexpr std::uint64_t kPhoneWeekStep = 4; // of kSimulation's

  bool chance(std::int64_t percent) {
    return random_.below(100) < static_cast<std::uint64_t>(percent);
  }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(high - low)));
  }
  // Bell-shaped: the mean of three uniform draws from within `reach` of `middle`; its standard
  // deviation is a third of the reach.
  std::int64_t around(std::int64_t middle, std::int64_t reach) {
    std::int64_t sum = 0;
    for (int i = 0; i < 3; ++i) sum += between(-reach, reach);
    return middle + sum / 3;
  }
  std::int64_t habit() {
    std::uint64_t at = random_.below(100);
    for (const ChargingHabit& row : kHabits) {
      if (at < row.percent_of_people) return static_cast<std::int64_t>(row.percent_of_nights);
      at -= row.percent_of_people;
    }
    return 0;
  }

  // Idle from bedtime to rising; one night in eight is broken by a look at the screen.
  void night_after(std::int64_t day) {
    const bool late = day == kFriday || day == kSaturday;
    const std::int64_t delay = late ? weekend_delay_ : 0;
    const std::int64_t begin = day * kDay + around(bedtime_ + delay, kHour);
    const std::int64_t end = (day + 1) * kDay + around(rising_ + delay, kHour);
    if (!chance(night_percent_)) return;
    if (!chance(12)) {
      spans_.push_back({begin, end});
      return;
    }
    const std::int64_t looked = between(begin + kMinute, end - 20 * kMinute);
    spans_.push_back({begin, looked});
    spans_.push_back({looked + between(2 * kMinute, 15 * kMinute), end});
  }

  // Up to four of a quarter of an hour to some 100 minutes. At home, in the evening and at the
  // weekend, the network is mostly unmetered; elsewhere less often.
  void plug_ins(std::int64_t day) {
    for (int i = 0; i < 4; ++i) {
      if (!chance(plug_ins_percent_ / 2)) continue;
      const std::int64_t at = between(8 * kHour, 22 * kHour);
      const bool home = day >= kSaturday || at >= 18 * kHour;
      const std::int64_t length =
          15 * kMinute + between(0, 50 * kMinute) + between(0, 40 * kMinute);
      if (chance(home ? 75 : 60)) spans_.push_back({day * kDay + at, day * kDay + at + length});
    }
  }

  // Wrapped into the week, sorted, and joined where they touch.
  AvailabilityTrace tidy() const {
    AvailabilityTrace wrapped;
    const auto put = [&](std::int64_t begin, std::int64_t end) {
      if (begin < end) {
        wrapped.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
      }
    };
    for (const Span& span : spans_) { // each ends in this week or the next
      put(span.begin, std::min(span.end, kWeek));
      put(std::max(span.begin - kWeek, std::int64_t{0}), span.end - kWeek);
    }
    std::ranges::sort(wrapped, {}, &AvailableInterval::begin);
    AvailabilityTrace joined;
    for (const AvailableInterval& interval : wrapped) {
      if (joined.empty() || joined.back().end < interval.begin) {
        joined.push_back(interval);
      } else {
        joined.back().end = std::max(joined.back().end, interval.end);
      }
    }
    return joined;
  }

  KeyedRandom random_;
  std::int64_t bedtime_; // of the day, as the next
  std::int64_t rising_;
  std::int64_t weekend_delay_;
  std::int64_t night_percent_;
  std::int64_t plug_ins_percent_; // of the average person's
  std::vector<Span> spans_;
};

} // namespace

Availability Availability::by_hours(std::uint64_t seed, std::uint32_t traces) {
  COPPICE_CHECK(traces > 0 && traces <= kMostTraces);
  Availability made(kSecondsPerWeek);
  for (std::uint32_t i = 0; i < traces; ++i) made.add(PhoneWeek(seed, i).draw()).value();
  return made;
}

} // namespace coppice
