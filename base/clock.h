// SPDX-License-Identifier: Apache-2.0
// Time is an argument: pure code gets `now`, programs hold a Clock, tests and the simulator move
// one.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <ostream>

namespace coppice {

// A span of time, or a point on one clock, in milliseconds. Signed: differences are meaningful.
struct Millis {
  std::int64_t count = 0;
  auto operator<=>(const Millis&) const = default;
  friend Millis operator+(Millis a, Millis b) { return {a.count + b.count}; }
  friend Millis operator-(Millis a, Millis b) { return {a.count - b.count}; }
  friend std::ostream& operator<<(std::ostream& out, Millis span) {
    return out << span.count << " ms";
  }
};

class Clock {
 public:
  virtual ~Clock() = default;
  // Monotonic; its zero has no meaning. Deadlines and leases are measured on it.
  virtual Millis monotonic() const = 0;
  // Since 1970-01-01 UTC; jumps. Only for expiry dates, logs and allowed hours.
  virtual Millis wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  Millis monotonic() const override {
    return {std::chrono::duration_cast<std::chrono::milliseconds>(
                std::chrono::steady_clock::now().time_since_epoch())
                .count()};
  }
  Millis wall() const override {
    return {std::chrono::duration_cast<std::chrono::milliseconds>(
                std::chrono::system_clock::now().time_since_epoch())
                .count()};
  }
};

// Moves only when told. Thread-compatible.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Millis wall_start = {0}) : wall_start_(wall_start) {}
  Millis monotonic() const override { return now_; }
  Millis wall() const override { return wall_start_ + now_; }
  void advance(Millis by) { now_ = now_ + by; }

 private:
  Millis wall_start_;
  Millis now_{0};
};

} // namespace coppice
