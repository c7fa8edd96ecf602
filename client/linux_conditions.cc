// SPDX-License-Identifier: Apache-2.0
#include "client/linux_conditions.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <ctime>
#include <thread>

#include "base/text.h"

namespace coppice {
namespace {

// sysfs says 4096 for every file's size: read what is there.
std::string read_line(const fs::path& path) {
  const auto raw = read_file(path, 1 << 16);
  return raw.ok() ? std::string(trim(as_text(*raw))) : std::string();
}

std::optional<double> read_number(const fs::path& path) {
  const std::string text = read_line(path);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code)) found.push_back(entry.path());
  std::ranges::sort(found);
  return found;
}

void read_battery(const fs::path& root, DeviceReadings& readings) {
  bool mains = false;
  std::string status;
  for (const fs::path& supply : entries(root / "sys/class/power_supply")) {
    const std::string type = read_line(supply / "type");
    if (type == "Battery" && read_line(supply / "scope") != "Device") {
      const auto percent = read_number(supply / "capacity");
      if (percent) readings.battery_percent = std::min(100.0, *percent);
      status = read_line(supply / "status");
    } else if (read_number(supply / "online").value_or(0) > 0) {
      mains = true;
    }
  }
  if (readings.battery_percent) {
    readings.charging = mains || status == "Charging" || status == "Full";
  }
}

} // namespace

DeviceReadings LinuxConditions::read() const {
  DeviceReadings readings;
  read_battery(root_, readings);
  const std::string load = read_line(root_ / "proc/loadavg");
  double one_minute = 0;
  std::from_chars(load.data(), load.data() + load.size(), one_minute);
  readings.load_per_core = one_minute / std::max(1U, std::thread::hardware_concurrency());
  for (const fs::path& zone : entries(root_ / "sys/class/thermal")) {
    const auto millidegrees = read_number(zone / "temp");
    if (!millidegrees) continue;
    const double celsius = *millidegrees / 1000.0;
    readings.temperature_c = std::max(celsius, readings.temperature_c.value_or(celsius));
  }
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  if (::localtime_r(&now, &local) != nullptr) readings.local_hour = local.tm_hour;
  return readings;
}

void be_nice(int level) {
  errno = 0;
  static_cast<void>(::nice(level) == -1 && errno != 0);
}

} // namespace coppice
