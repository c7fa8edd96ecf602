// SPDX-License-Identifier: Apache-2.0
// When devices can be asked: cyclic traces of intervals in which a device is idle, charging and on
// an unmetered network.
//
// Stateless: a question about any time is a binary search, and doesn't depend on earlier questions.
// Thread-safe to read.
#pragma once

#include <cstdint>
#include <vector>

#include "base/file.h"
#include "base/random.h"
#include "sim/virtual_time.h"

namespace coppice {

// In seconds from the period's start: [begin, end), sorted, disjoint, not touching.
struct AvailableInterval {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  bool operator==(const AvailableInterval&) const = default;
};
struct AvailabilityTrace {
  std::vector<AvailableInterval> intervals;
};

class Availability {
 public:
  // One trace that is always available.
  static Availability always();
  // `traces` weeks, drawn by a model of phones: charging overnight in local time, short plug-ins by
  // day, unmetered at home. Shares by hour follow what studies of phone fleets report (docs).
  static Availability by_hours(std::uint64_t seed, std::uint32_t traces = 4096);
  // Text, one trace a line: "BEGIN-END BEGIN-END ...", seconds; the first line is
  // "coppice-trace 1 PERIOD_SECONDS". Bounded, checked before use. kCorrupt names the line.
  static Result<Availability> read(const fs::path& path);
  Result<void> write(const fs::path& path) const;

  std::uint32_t traces() const { return static_cast<std::uint32_t>(begins_.size() - 1); }
  std::uint32_t period_seconds() const { return period_; }
  bool available(std::uint32_t trace, std::int64_t second) const; // any second: cyclic
  // Seconds from `second`, which must be available, to the end of its interval; an interval that
  // reaches the period's end goes on in the next. A trace without gaps: the largest number.
  std::uint64_t seconds_left(std::uint32_t trace, std::int64_t second) const;
  double share(std::uint32_t trace) const; // of the period

 private:
  std::uint32_t period_ = 1;
  std::vector<AvailableInterval> intervals_; // of all traces, one after another
  std::vector<std::uint64_t> begins_{0};     // of each trace's intervals, and the end
};

} // namespace coppice
