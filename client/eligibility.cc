// SPDX-License-Identifier: Apache-2.0
#include "client/eligibility.h"

#include <algorithm>

#include "base/text.h"

namespace coppice {
namespace {

const char* network_name(NetworkKind kind) {
  switch (kind) {
    case NetworkKind::kUnmetered: return "unmetered";
    case NetworkKind::kMetered: return "metered";
    case NetworkKind::kUnknown: return "unknown";
  }
  return "unknown";
}

ConditionVerdict battery(const EligibilitySettings& settings, const DeviceReadings& readings) {
  ConditionVerdict verdict;
  verdict.condition = "battery";
  verdict.pauses = true;
  verdict.threshold = cat("at least ", fixed(settings.min_battery_percent, 0), " %",
                          settings.require_charging ? ", charging" : "");
  if (!readings.battery_percent) {
    verdict.reading = "no battery: mains";
    verdict.met = true;
    return verdict;
  }
  verdict.reading = cat(fixed(*readings.battery_percent, 0), " %",
                        readings.charging ? ", charging" : ", not charging");
  verdict.met = *readings.battery_percent >= settings.min_battery_percent &&
                (readings.charging || !settings.require_charging);
  return verdict;
}

bool hour_allowed(const EligibilitySettings& settings, int hour) {
  const int from = settings.allowed_from_hour;
  const int to = settings.allowed_to_hour;
  if (from == to) return true;
  if (from < to) return hour >= from && hour < to;
  return hour >= from || hour < to; // over midnight
}

ConditionVerdict rest_between(const EligibilitySettings& settings, const DeviceHistory& history) {
  const auto hours = [](Millis span) {
    return cat(fixed(static_cast<double>(span.count) / 3.6e6, 1), " h");
  };
  return {"rest between rounds",
          history.since_last_round ? hours(*history.since_last_round) : "never took part",
          cat("at least ", hours(settings.min_between_rounds)),
          !history.since_last_round || *history.since_last_round >= settings.min_between_rounds};
}

std::string sentence(const ConditionVerdict& verdict) {
  return cat(verdict.condition, ": ", verdict.reading, ", wanted: ", verdict.threshold);
}

} // namespace

std::vector<ConditionVerdict> check_eligibility(const EligibilitySettings& settings,
                                                const DeviceReadings& readings,
                                                const DeviceHistory& history) {
  std::vector<ConditionVerdict> verdicts;
  verdicts.push_back({"not paused", history.paused ? "paused by the owner" : "running", "running",
                      !history.paused, true});
  verdicts.push_back(battery(settings, readings));
  verdicts.push_back(
      {"network", network_name(readings.network), settings.allow_metered ? "any" : "not metered",
       readings.network == NetworkKind::kUnmetered ||
           (readings.network == NetworkKind::kMetered && settings.allow_metered) ||
           (readings.network == NetworkKind::kUnknown && settings.allow_unknown_network)});
  verdicts.push_back({"load", cat(fixed(readings.load_per_core, 2), " a core"),
                      cat("at most ", fixed(settings.max_load_per_core, 2)),
                      readings.load_per_core <= settings.max_load_per_core, true});
  verdicts.push_back(
      {"temperature",
       readings.temperature_c ? cat(fixed(*readings.temperature_c, 0), " C") : "unknown",
       cat("at most ", fixed(settings.max_temperature_c, 0), " C"),
       !readings.temperature_c || *readings.temperature_c <= settings.max_temperature_c, true});
  verdicts.push_back(
      {"hours", cat(readings.local_hour, ":00"),
       settings.allowed_from_hour == settings.allowed_to_hour
           ? std::string("any")
           : cat(settings.allowed_from_hour, ":00 to ", settings.allowed_to_hour, ":00"),
       hour_allowed(settings, readings.local_hour), true});
  verdicts.push_back({"text", human_bytes(static_cast<double>(history.train_bytes)),
                      cat("at least ", human_bytes(static_cast<double>(settings.min_train_bytes))),
                      history.train_bytes >= settings.min_train_bytes});
  verdicts.push_back(rest_between(settings, history));
  verdicts.push_back(
      {"traffic today", human_bytes(static_cast<double>(history.bytes_today)),
       settings.max_bytes_per_day == 0
           ? std::string("any")
           : cat("less than ", human_bytes(static_cast<double>(settings.max_bytes_per_day))),
       settings.max_bytes_per_day == 0 || history.bytes_today < settings.max_bytes_per_day});
  return verdicts;
}

std::optional<std::string> not_eligible_because(const std::vector<ConditionVerdict>& verdicts) {
  const auto unmet = std::ranges::find(verdicts, false, &ConditionVerdict::met);
  return unmet == verdicts.end() ? std::nullopt : std::optional(sentence(*unmet));
}

std::optional<std::string> paused_because(const std::vector<ConditionVerdict>& verdicts) {
  const auto unmet = std::ranges::find_if(
      verdicts, [](const ConditionVerdict& verdict) { return verdict.pauses && !verdict.met; });
  return unmet == verdicts.end() ? std::nullopt : std::optional(sentence(*unmet));
}

} // namespace coppice
