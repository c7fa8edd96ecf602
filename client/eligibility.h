// SPDX-License-Identifier: Apache-2.0
// May this device train now, and go on with what it began? Readings against the owner's thresholds,
// each with a verdict.
//
// Pure: readings come through DeviceConditions (Linux: sysfs and /proc; scripted in tests and in
// the simulator). What can't be read doesn't forbid, but for the network where the owner says so.
// What a device declines for stays on the device. Thread-compatible.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace coppice {

enum class NetworkKind { kUnmetered, kMetered, kUnknown };

struct DeviceReadings {
  std::optional<double> battery_percent; // none: no battery, the device is on mains
  bool charging = true;
  NetworkKind network = NetworkKind::kUnknown;
  double load_per_core = 0;            // 1-minute load over cores
  std::optional<double> temperature_c; // the hottest sensor
  int local_hour = 0;                  // 0..23
};

class DeviceConditions {
 public:
  virtual ~DeviceConditions() = default;
  virtual DeviceReadings read() const = 0;
};

struct EligibilitySettings {
  double min_battery_percent = 40;
  bool require_charging = false; // devices without a battery are always on mains
  bool allow_metered = false;
  bool allow_unknown_network = true;
  double max_load_per_core = 4.0; // of others' work and ours
  double max_temperature_c = 85;
  int allowed_from_hour = 0; // [from, to) in local time; equal: always
  int allowed_to_hour = 0;
  std::uint64_t min_train_bytes = 2000;
  Millis min_between_rounds{0};
  std::uint64_t max_bytes_per_day = 0; // up and down; 0: no limit
};

struct DeviceHistory {
  std::uint64_t train_bytes = 0;          // of text at hand
  std::optional<Millis> since_last_round; // time since the last participation
  std::uint64_t bytes_today = 0;
  bool paused = false; // by the owner
};

struct ConditionVerdict {
  std::string condition; // "battery"
  std::string reading;   // "81 %, charging"
  std::string threshold; // "at least 40 %"
  bool met = false;
  // Work under way pauses while it isn't met. The others matter only before it begins.
  bool pauses = false;
};

std::vector<ConditionVerdict> check_eligibility(const EligibilitySettings& settings,
                                                const DeviceReadings& readings,
                                                const DeviceHistory& history);
// The first condition that isn't met, as a sentence; none if the device may train.
std::optional<std::string> not_eligible_because(const std::vector<ConditionVerdict>& verdicts);
// The first that pauses what is under way, likewise.
std::optional<std::string> paused_because(const std::vector<ConditionVerdict>& verdicts);

} // namespace coppice
