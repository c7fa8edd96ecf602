// SPDX-License-Identifier: Apache-2.0
// The simulated devices: a table row each, and what follows from the row.
//
// An idle device costs its row of at most 32 bytes: no object, no queued event. Everything else is
// computed from (seed, device), so it doesn't depend on the population's size or on who was asked
// before. Availability is a binary search in a cyclic trace (sim/availability.h).
//
// Time 0 is Monday 0:00 UTC where traces are weeks in local time (by hours): each device then has a
// trace and a time zone by chance. Of traces from a file device i has trace i modulo their number,
// as it stands there.
// Thread-compatible.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/random.h"
#include "sim/availability.h"
#include "sim/scenario.h"

namespace coppice {

using DeviceNumber = std::uint64_t; // 0, 1, ... of the population

struct DeviceRow {
  std::uint32_t trace = 0;  // of Availability
  std::int32_t phase = 0;   // seconds that its trace is ahead by: its time zone
  std::int32_t skew_ms = 0; // of its clock
  float speed = 1;          // factor on its class's speed and bandwidths
  float joules = 0;         // spent so far
  std::uint32_t last_round = 0;
  std::uint16_t rounds = 0; // taken part in
  std::uint8_t device_class = 0;
  bool used() const { return rounds > 0 || joules > 0; }
};
static_assert(sizeof(DeviceRow) <= 32);

class Population {
 public:
  // kInvalidArgument for classes without a share or with constants that are none, with the class
  // and the key; kTooLarge above 2^32 devices or 256 classes.
  static Result<Population> make(const PopulationSettings& settings, Availability availability,
                                 std::uint64_t devices, std::uint64_t seed);

  std::uint64_t size() const { return rows_.size(); }
  const DeviceRow& row(DeviceNumber device) const { return rows_[device]; }
  DeviceRow& row(DeviceNumber device) { return rows_[device]; }
  const DeviceClass& class_of(DeviceNumber device) const {
    return settings_.classes[rows_[device].device_class];
  }

  bool available(DeviceNumber device, Nanos at) const;
  // The end of the interval that holds `at`; the device must be available then. After `at`, and
  // the largest point of time for a device that never leaves.
  Nanos available_until(DeviceNumber device, Nanos at) const;
  // O(population): how many are available.
  std::uint64_t count_available(Nanos at) const;

  // Times and energy of one device's parts of a round:
  //   latency + bytes / (class's bytes a second * speed), tokens / (class's tokens a second *
  //   speed) watts * time, joules a megabyte (10^6 bytes) * bytes
  // A class's rate of 0 takes no time. No time is beyond kLongestSpan.
  static constexpr Nanos kLongestSpan{1'000'000'000 * kNanosPerSecond}; // 31 years
  Nanos download_time(DeviceNumber device, std::uint64_t bytes) const;  // with latency
  Nanos upload_time(DeviceNumber device, std::uint64_t bytes) const;
  Nanos training_time(DeviceNumber device, std::uint64_t tokens) const;
  double training_joules(DeviceNumber device, Nanos time) const;
  double radio_joules(DeviceNumber device, std::uint64_t bytes) const;

  // Distinct devices that are available at `at` and for which `rests` is false, uniformly, up to
  // `wanted`: walks a keyed pseudorandom permutation of the population (sim/permutation.h), so it
  // costs about wanted over the share that is available, whatever the population. Fewer if there
  // aren't as many, after a look at each. Sorted. `rests` is asked of available devices only.
  std::vector<DeviceNumber> draw(std::uint64_t wanted, Nanos at, const RandomKey& key,
                                 const std::function<bool(DeviceNumber)>& rests) const;
  // Each available device that doesn't rest by itself with chance `rate`, by geometric skips: costs
  // about rate times the population. Sorted.
  std::vector<DeviceNumber> draw_each(double rate, Nanos at, const RandomKey& key,
                                      const std::function<bool(DeviceNumber)>& rests) const;

 private:
  Population(PopulationSettings settings, Availability availability, std::vector<DeviceRow> rows)
      : settings_(std::move(settings)),
        availability_(std::move(availability)),
        rows_(std::move(rows)) {}
  bool can_take_part(DeviceNumber device, Nanos at,
                     const std::function<bool(DeviceNumber)>& rests) const;

  PopulationSettings settings_;
  Availability availability_;
  std::vector<DeviceRow> rows_;
};

} // namespace coppice
