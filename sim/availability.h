// SPDX-License-Identifier: Apache-2.0
// When devices can be asked: cyclic traces of intervals in which a device is idle, charging and on
// an unmetered network. docs/formats.md has the file.
//
// Stateless: a question about any time is a binary search, and doesn't depend on earlier questions.
// Thread-safe to read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace coppice {

// In seconds from the period's start: [begin, end).
struct AvailableInterval {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  bool operator==(const AvailableInterval&) const = default;
};
// Sorted, disjoint, not touching. None: a device that is never there.
using AvailabilityTrace = std::vector<AvailableInterval>;

inline constexpr std::uint32_t kSecondsPerHour = 3'600;
inline constexpr std::uint32_t kSecondsPerDay = 24 * kSecondsPerHour;
inline constexpr std::uint32_t kSecondsPerWeek = 7 * kSecondsPerDay;

class Availability {
 public:
  // Bounds of what is read or made.
  static constexpr std::uint32_t kLongestPeriod = 10 * 366 * kSecondsPerDay;
  static constexpr std::size_t kMostTraces = std::size_t{1} << 24U;
  static constexpr std::size_t kMostBytes = std::size_t{1} << 30U; // of a file

  // One trace that is always available.
  static Availability always();
  // `traces` weeks, from Monday 0:00 in local time, drawn by a model of phones
  // (sim/phone_weeks.cc): charging overnight, short plug-ins by day, unmetered mostly at home,
  // later nights at the weekend. Integer arithmetic only: the same on every machine.
  static Availability by_hours(std::uint64_t seed, std::uint32_t traces = 4096);
  // kInvalidArgument names the trace, from 1, and what is wrong with it.
  static Result<Availability> make(std::uint32_t period_seconds,
                                   std::span<const AvailabilityTrace> traces);

  // Text, one trace a line: "BEGIN-END BEGIN-END ...", seconds; the first line is
  // "coppice-trace 1 PERIOD_SECONDS". One text for one value: text(parse(x)) is x. kCorrupt names
  // the line, kUnsupported another version of the format.
  static Result<Availability> parse(std::string_view text);
  std::string text() const;
  static Result<Availability> read(const fs::path& path);
  Result<void> write(const fs::path& path) const;

  std::uint32_t traces() const { return static_cast<std::uint32_t>(begins_.size() - 1); }
  std::uint32_t period_seconds() const { return period_; }
  bool available(std::uint32_t trace, std::int64_t second) const; // any second: cyclic
  // Seconds from `second`, which must be available, to the end of its interval; an interval that
  // reaches the period's end goes on in the next. A trace without gaps: the largest number.
  std::uint64_t seconds_left(std::uint32_t trace, std::int64_t second) const;
  double share(std::uint32_t trace) const; // of the period
  // Over all traces, for each hour of the period; what is left of the last one counts as an hour.
  std::vector<double> share_by_hour() const;

 private:
  explicit Availability(std::uint32_t period) : period_(period) {}
  Result<void> add(std::span<const AvailableInterval> trace); // the sentence lacks which trace
  std::span<const AvailableInterval> intervals_of(std::uint32_t trace) const;
  std::uint32_t within_period(std::int64_t second) const;

  std::uint32_t period_;
  std::vector<AvailableInterval> intervals_; // of all traces, one after another
  std::vector<std::uint64_t> begins_{0};     // of each trace's intervals, and the end
};

} // namespace coppice
