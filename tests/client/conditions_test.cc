// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "client/eligibility.h"
#include "client/linux_conditions.h"
#include "tests/aggregator/temporary_folder.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

// A device that may train; each test spoils one thing.
struct Situation {
  EligibilitySettings settings{.min_train_bytes = 2'000};
  DeviceReadings readings{.battery_percent = 80, .network = NetworkKind::kUnmetered};
  DeviceHistory history{.train_bytes = 5'000, .since_last_round = {}};

  std::string verdict() const {
    return not_eligible_because(check_eligibility(settings, readings, history))
        .value_or("may train");
  }
};

TEST(EligibilityTest, AnIdleDeviceWithTextMayTrain) {
  EXPECT_EQ(Situation().verdict(), "may train");
  EXPECT_EQ(check_eligibility({}, {}, {}).size(), 9U); // each condition is listed, met or not
}

TEST(EligibilityTest, AnOwnersPauseForbids) {
  Situation at;
  at.history.paused = true;
  EXPECT_THAT(at.verdict(), HasSubstr("paused by the owner"));
}

TEST(EligibilityTest, ALowOrUnpluggedBatteryForbidsAndNoBatteryIsMains) {
  Situation at;
  at.readings.battery_percent = 39;
  EXPECT_THAT(at.verdict(), HasSubstr("battery: 39 %"));
  at.readings.battery_percent = 40;
  EXPECT_EQ(at.verdict(), "may train");
  at.settings.require_charging = true;
  at.readings.charging = false;
  EXPECT_THAT(at.verdict(), HasSubstr("not charging"));
  at.readings.battery_percent.reset();
  EXPECT_EQ(at.verdict(), "may train");
}

TEST(EligibilityTest, MeteredAndUnknownNetworksAreTheOwnersToAllow) {
  Situation at;
  at.readings.network = NetworkKind::kMetered;
  EXPECT_THAT(at.verdict(), HasSubstr("network: metered"));
  at.settings.allow_metered = true;
  EXPECT_EQ(at.verdict(), "may train");
  at.readings.network = NetworkKind::kUnknown;
  EXPECT_EQ(at.verdict(), "may train");
  at.settings.allow_unknown_network = false;
  EXPECT_THAT(at.verdict(), HasSubstr("network: unknown"));
}

TEST(EligibilityTest, LoadAndHeatForbidAndAnUnknownTemperatureDoesNot) {
  Situation at;
  at.readings.load_per_core = 4.1;
  EXPECT_THAT(at.verdict(), HasSubstr("load: 4.10 a core"));
  at.readings.load_per_core = 4.0;
  at.readings.temperature_c = 86;
  EXPECT_THAT(at.verdict(), HasSubstr("temperature: 86 C"));
  at.readings.temperature_c.reset();
  EXPECT_EQ(at.verdict(), "may train");
}

TEST(EligibilityTest, WhatTheOwnerFeelsPausesWorkUnderWayAndTheRestOnlyKeepsItFromBeginning) {
  const auto pauses = [](auto spoil) {
    Situation at;
    spoil(at);
    EXPECT_NE(at.verdict(), "may train");
    return paused_because(check_eligibility(at.settings, at.readings, at.history)).has_value();
  };
  EXPECT_TRUE(pauses([](Situation& at) { at.history.paused = true; }));
  EXPECT_TRUE(pauses([](Situation& at) { at.readings.battery_percent = 39; }));
  EXPECT_TRUE(pauses([](Situation& at) { at.readings.load_per_core = 5; }));
  EXPECT_TRUE(pauses([](Situation& at) { at.readings.temperature_c = 95; }));
  EXPECT_TRUE(pauses([](Situation& at) { at.settings.allowed_from_hour = 22; }));
  EXPECT_FALSE(pauses([](Situation& at) { at.readings.network = NetworkKind::kMetered; }));
  EXPECT_FALSE(pauses([](Situation& at) { at.history.train_bytes = 0; }));
  // Its own round began a moment ago.
  EXPECT_FALSE(pauses([](Situation& at) {
    at.settings.min_between_rounds = Millis{1'000};
    at.history.since_last_round = Millis{5};
  }));
  EXPECT_FALSE(pauses([](Situation& at) {
    at.settings.max_bytes_per_day = 10;
    at.history.bytes_today = 10;
  }));
}

TEST(EligibilityTest, AllowedHoursMayGoOverMidnight) {
  Situation at;
  const auto hours = [&](int from, int to) {
    std::string allowed;
    at.settings.allowed_from_hour = from;
    at.settings.allowed_to_hour = to;
    for (at.readings.local_hour = 0; at.readings.local_hour < 24; ++at.readings.local_hour) {
      allowed += at.verdict() == "may train" ? 'x' : '.';
    }
    return allowed;
  };
  EXPECT_EQ(hours(0, 0), "xxxxxxxxxxxxxxxxxxxxxxxx");
  EXPECT_EQ(hours(9, 12), ".........xxx............");
  EXPECT_EQ(hours(22, 3), "xxx...................xx");
}

TEST(EligibilityTest, TooLittleTextRestAndTrafficForbid) {
  Situation at;
  at.history.train_bytes = 1'999;
  EXPECT_THAT(at.verdict(), HasSubstr("text:"));
  at.history.train_bytes = 2'000;
  at.settings.min_between_rounds = Millis{3'600'000};
  EXPECT_EQ(at.verdict(), "may train"); // never took part
  at.history.since_last_round = Millis{3'599'999};
  EXPECT_THAT(at.verdict(), HasSubstr("rest between rounds"));
  at.history.since_last_round = Millis{3'600'000};
  at.settings.max_bytes_per_day = 1'000;
  at.history.bytes_today = 1'000;
  EXPECT_THAT(at.verdict(), HasSubstr("traffic today"));
  at.history.bytes_today = 999;
  EXPECT_EQ(at.verdict(), "may train");
}

class LinuxConditionsTest : public ::testing::Test {
 protected:
  void put(const std::string& path, const std::string& text) {
    fs::create_directories((root_.path() / path).parent_path());
    ASSERT_TRUE(write_file_atomically(root_.path() / path, as_bytes(text)).ok());
  }
  DeviceReadings read() const { return LinuxConditions(root_.path()).read(); }
  TemporaryFolder root_;
};

TEST_F(LinuxConditionsTest, AMachineWithoutAnyOfTheFilesIsOnMainsAndCool) {
  const DeviceReadings readings = read();
  EXPECT_FALSE(readings.battery_percent);
  EXPECT_TRUE(readings.charging);
  EXPECT_FALSE(readings.temperature_c);
  EXPECT_EQ(readings.load_per_core, 0);
  EXPECT_EQ(readings.network, NetworkKind::kUnknown);
}

TEST_F(LinuxConditionsTest, ABatteryIsReadAndAMousesIsNot) {
  put("sys/class/power_supply/BAT0/type", "Battery\n");
  put("sys/class/power_supply/BAT0/capacity", "57\n");
  put("sys/class/power_supply/BAT0/status", "Discharging\n");
  put("sys/class/power_supply/hidpp_battery_0/type", "Battery\n");
  put("sys/class/power_supply/hidpp_battery_0/scope", "Device\n");
  put("sys/class/power_supply/hidpp_battery_0/capacity", "5\n");
  EXPECT_EQ(read().battery_percent, 57);
  EXPECT_FALSE(read().charging);
  put("sys/class/power_supply/BAT0/status", "Charging\n");
  EXPECT_TRUE(read().charging);
}

TEST_F(LinuxConditionsTest, AnAdapterThatIsPluggedInCharges) {
  put("sys/class/power_supply/BAT0/type", "Battery\n");
  put("sys/class/power_supply/BAT0/capacity", "100\n");
  put("sys/class/power_supply/BAT0/status", "Not charging\n");
  put("sys/class/power_supply/AC/type", "Mains\n");
  put("sys/class/power_supply/AC/online", "0\n");
  EXPECT_FALSE(read().charging);
  put("sys/class/power_supply/AC/online", "1\n");
  EXPECT_TRUE(read().charging);
}

TEST_F(LinuxConditionsTest, TheHottestSensorAndTheLoadCount) {
  put("sys/class/thermal/thermal_zone0/temp", "41500\n");
  put("sys/class/thermal/thermal_zone1/temp", "77000\n");
  put("sys/class/thermal/cooling_device0/type", "fan\n");
  put("proc/loadavg", "64.00 1.00 0.50 3/900 77\n");
  EXPECT_EQ(read().temperature_c, 77);
  EXPECT_GT(read().load_per_core, 0);
}

TEST_F(LinuxConditionsTest, NonsenseInAFileIsNoReading) {
  put("sys/class/power_supply/BAT0/type", "Battery\n");
  put("sys/class/power_supply/BAT0/capacity", "full\n");
  put("sys/class/thermal/thermal_zone0/temp", "");
  put("proc/loadavg", "?");
  EXPECT_FALSE(read().battery_percent);
  EXPECT_FALSE(read().temperature_c);
  EXPECT_EQ(read().load_per_core, 0);
}

} // namespace
} // namespace coppice
