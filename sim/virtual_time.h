// SPDX-License-Identifier: Apache-2.0
// Time in a simulation: integer nanoseconds since its start, so that no sum of delays rounds.
#pragma once

#include <cmath>
#include <compare>
#include <cstdint>

#include "base/clock.h"

namespace coppice {

// A span or a point of virtual time. 2^63 ns are 292 years.
struct Nanos {
  std::int64_t count = 0;
  auto operator<=>(const Nanos&) const = default;
  friend constexpr Nanos operator+(Nanos a, Nanos b) { return {a.count + b.count}; }
  friend constexpr Nanos operator-(Nanos a, Nanos b) { return {a.count - b.count}; }
  double seconds() const { return static_cast<double>(count) * 1e-9; }
};

inline constexpr std::int64_t kNanosPerMilli = 1'000'000;
inline constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

constexpr Nanos nanos(Millis span) { return {span.count * kNanosPerMilli}; }
// Rounds down: what a machine's clock shows.
constexpr Millis millis(Nanos span) { return {span.count / kNanosPerMilli}; }
// Rounds to the nearest nanosecond.
inline Nanos nanos_of_seconds(double seconds) { return {std::llround(seconds * 1e9)}; }

} // namespace coppice
