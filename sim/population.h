// SPDX-License-Identifier: Apache-2.0
// The simulated devices: a table row each, and what follows from the row.
//
// An idle device costs its row of at most 32 bytes: no object, no queued event. Everything else is
// computed from (seed, device), so it doesn't depend on the population's size or on who was asked
// before. Availability is a binary search in a cyclic trace (sim/availability.h).
// Thread-compatible.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "sim/availability.h"
#include "sim/scenario.h"

namespace coppice {

using DeviceNumber = std::uint64_t; // 0, 1, ... of the population

struct DeviceRow {
  std::uint32_t trace = 0;    // of Availability
  std::int32_t phase = 0;     // seconds that its trace is shifted by
  std::int32_t skew_ms = 0;   // of its clock
  float speed = 1;            // factor on its class's speed and bandwidths
  float joules = 0;           // spent so far
  std::uint32_t last_round = 0;
  std::uint16_t rounds = 0; // taken part in
  std::uint8_t device_class = 0;
  bool used() const { return rounds > 0 || joules > 0; }
};
static_assert(sizeof(DeviceRow) <= 32);

class Population {
 public:
  // kInvalidArgument for classes without a share; kTooLarge above 2^32 devices.
  static Result<Population> make(const PopulationSettings& settings, Availability availability,
                                 std::uint64_t devices, std::uint64_t seed);

  std::uint64_t size() const { return rows_.size(); }
  const DeviceRow& row(DeviceNumber device) const { return rows_[device]; }
  DeviceRow& row(DeviceNumber device) { return rows_[device]; }
  const DeviceClass& class_of(DeviceNumber device) const {
    return settings_.classes[rows_[device].device_class];
  }

  bool available(DeviceNumber device, Nanos at) const;
  // The end of the interval that holds `at`; the device must be available then. Never in the past.
  Nanos available_until(DeviceNumber device, Nanos at) const;
  // O(population): how many are available.
  std::uint64_t count_available(Nanos at) const;

  // Times and energy of one device's parts of a round.
  Nanos download_time(DeviceNumber device, std::uint64_t bytes) const; // with latency
  Nanos upload_time(DeviceNumber device, std::uint64_t bytes) const;
  Nanos training_time(DeviceNumber device, std::uint64_t tokens) const;
  double training_joules(DeviceNumber device, Nanos time) const;
  double radio_joules(DeviceNumber device, std::uint64_t bytes) const;

  // Distinct devices that are available at `at` and for which `rests` is false, uniformly, up to
  // `wanted`: walks a keyed pseudorandom permutation of the population, so it costs about wanted
  // over the share that is available, whatever the population. Fewer if there aren't as many.
  // Sorted.
  std::vector<DeviceNumber> draw(std::uint64_t wanted, Nanos at, const RandomKey& key,
                                 const std::function<bool(DeviceNumber)>& rests) const;
  // Each available device by itself with chance `rate`, by geometric skips. Sorted.
  std::vector<DeviceNumber> draw_each(double rate, Nanos at, const RandomKey& key,
                                      const std::function<bool(DeviceNumber)>& rests) const;

 private:
  Population(PopulationSettings settings, Availability availability, std::vector<DeviceRow> rows)
      : settings_(std::move(settings)),
        availability_(std::move(availability)),
        rows_(std::move(rows)) {}
  PopulationSettings settings_;
  Availability availability_;
  std::vector<DeviceRow> rows_;
};

} // namespace coppice
