// SPDX-License-Identifier: Apache-2.0
#include "sim/population.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/check.h"
#include "base/text.h"
#include "sim/permutation.h"

namespace coppice {
namespace {

constexpr std::uint64_t kMostDevices = std::uint64_t{1} << 32U;
constexpr std::size_t kMostClasses = 256;
constexpr std::uint64_t kRowStep = 5; // of kSimulation's
constexpr double kBytesPerMegabyte = 1e6;

struct ClassConstant {
  const char* key;
  double DeviceClass::*value;
};
constexpr ClassConstant kConstants[] = {
    {"share", &DeviceClass::share},
    {"tokens_per_second", &DeviceClass::tokens_per_second},
    {"down_bytes_per_second", &DeviceClass::down_bytes_per_second},
    {"up_bytes_per_second", &DeviceClass::up_bytes_per_second},
    {"train_watts", &DeviceClass::train_watts},
    {"radio_joules_per_megabyte", &DeviceClass::radio_joules_per_megabyte},
    {"spread", &DeviceClass::spread},
};
constexpr double kLargestConstant = 1e15; // of any: products of two stay finite
constexpr double kWidestSpread = 5;       // e^5 is 148 times the median, for one sigma
constexpr Nanos kLargestSkew{24 * std::int64_t{86'400} * kNanosPerSecond}; // fits 32 bits of ms

Result<void> check_classes(const std::vector<DeviceClass>& classes) {
  if (classes.size() > kMostClasses) {
    return Error{ErrorCode::kTooLarge, cat(classes.size(), " classes of devices are more than ",
                                           kMostClasses, "; merge some")};
  }
  double shares = 0;
  for (const DeviceClass& each : classes) {
    for (const ClassConstant& constant : kConstants) {
      const double value = each.*constant.value;
      if (!(value >= 0 && value <= kLargestConstant)) {
        return invalid_argument(cat("class '", each.name, "': ", constant.key,
                                    " must be from 0 to ", kLargestConstant, ", not ", value));
      }
    }
    if (each.spread > kWidestSpread) {
      return invalid_argument(
          cat("class '", each.name, "': spread must be at most ", kWidestSpread));
    }
    if (each.latency < Nanos{} || each.latency > Population::kLongestSpan) {
      return invalid_argument(cat("class '", each.name, "': latency must be from 0 to 31 years"));
    }
    shares += each.share;
  }
  if (shares > 0) return {};
  return invalid_argument(
      "no class of devices has a share of the population; give one of them a share");
}

// By shares that needn't sum to one.
std::size_t pick_class(const std::vector<DeviceClass>& classes, double shares, double uniform) {
  double left = uniform * shares;
  std::size_t last = 0;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (classes[i].share == 0) continue;
    last = i; // where rounding leaves a little over
    if (left < classes[i].share) break;
    left -= classes[i].share;
  }
  return last;
}

// Box and Muller, "A note on the generation of random normal deviates", 1958: the cosine half.
double standard_normal(KeyedRandom& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform_double()));
  return radius * std::cos(2 * std::numbers::pi * random.uniform_double());
}

struct RowMaker {
  const PopulationSettings& settings;
  double shares = 0; // of the classes, together
  std::uint32_t traces = 1;
  std::uint64_t seed = 0;

  DeviceRow row_of(DeviceNumber device) const;
};

DeviceRow RowMaker::row_of(DeviceNumber device) const {
  KeyedRandom random({.experiment = seed,
                      .client = device,
                      .purpose = RandomPurpose::kSimulation,
                      .step = kRowStep});
  DeviceRow row;
  const std::size_t which = pick_class(settings.classes, shares, random.uniform_double());
  row.device_class = static_cast<std::uint8_t>(which);
  row.speed =
      static_cast<float>(std::exp(settings.classes[which].spread * standard_normal(random)));
  const auto most_skew = static_cast<std::uint64_t>(millis(settings.clock_skew).count);
  row.skew_ms = static_cast<std::int32_t>(
      static_cast<std::int64_t>(random.below(2 * most_skew + 1) - most_skew));
  if (settings.availability == AvailabilityKind::kHours) {
    row.trace = static_cast<std::uint32_t>(random.below(traces));
    row.phase = static_cast<std::int32_t>(random.below(settings.time_zones)) *
                std::int32_t{kSecondsPerHour};
  } else {
    row.trace = static_cast<std::uint32_t>(device % traces);
  }
  return row;
}

Nanos span_of_seconds(double seconds) {
  return std::min(nanos_of_seconds(std::min(seconds, Population::kLongestSpan.seconds())),
                  Population::kLongestSpan);
}

double seconds_at(double amount, double rate, float speed) {
  return rate == 0 ? 0 : amount / (rate * static_cast<double>(speed));
}

// Rounds down, before time 0 too.
std::int64_t whole_seconds(Nanos at) {
  return at.count / kNanosPerSecond - (at.count % kNanosPerSecond < 0 ? 1 : 0);
}

} // namespace

Result<Population> Population::make(const PopulationSettings& settings, Availability availability,
                                    std::uint64_t devices, std::uint64_t seed) {
  COPPICE_TRY(check_classes(settings.classes));
  if (devices > kMostDevices) {
    return Error{ErrorCode::kTooLarge,
                 cat(devices, " devices are more than ", kMostDevices, "; take fewer")};
  }
  if (settings.clock_skew < Nanos{} || settings.clock_skew > kLargestSkew) {
    return invalid_argument("clock_skew must be from 0 to 24 days");
  }
  if (settings.time_zones < 1 || settings.time_zones > 24) {
    return invalid_argument(cat("time_zones must be from 1 to 24, not ", settings.time_zones));
  }
  double shares = 0;
  for (const DeviceClass& each : settings.classes) shares += each.share;
  const RowMaker maker{
      .settings = settings, .shares = shares, .traces = availability.traces(), .seed = seed};
  std::vector<DeviceRow> rows;
  rows.reserve(devices);
  for (DeviceNumber device = 0; device < devices; ++device) rows.push_back(maker.row_of(device));
  return Population(settings, std::move(availability), std::move(rows));
}

bool Population::available(DeviceNumber device, Nanos at) const {
  const DeviceRow& row = rows_[device];
  return availability_.available(row.trace, whole_seconds(at) + row.phase);
}

Nanos Population::available_until(DeviceNumber device, Nanos at) const {
  const DeviceRow& row = rows_[device];
  const std::int64_t second = whole_seconds(at);
  const std::uint64_t left = availability_.seconds_left(row.trace, second + row.phase);
  constexpr Nanos kEndOfTime{std::numeric_limits<std::int64_t>::max()};
  const std::int64_t most = whole_seconds(kEndOfTime) - second;
  if (left > static_cast<std::uint64_t>(most)) return kEndOfTime;
  return {(second + static_cast<std::int64_t>(left)) * kNanosPerSecond};
}

std::uint64_t Population::count_available(Nanos at) const {
  std::uint64_t count = 0;
  for (DeviceNumber device = 0; device < size(); ++device) count += available(device, at) ? 1 : 0;
  return count;
}

Nanos Population::download_time(DeviceNumber device, std::uint64_t bytes) const {
  const DeviceClass& its = class_of(device);
  const double seconds =
      seconds_at(static_cast<double>(bytes), its.down_bytes_per_second, row(device).speed);
  return std::min(its.latency + span_of_seconds(seconds), kLongestSpan);
}

Nanos Population::upload_time(DeviceNumber device, std::uint64_t bytes) const {
  const DeviceClass& its = class_of(device);
  const double seconds =
      seconds_at(static_cast<double>(bytes), its.up_bytes_per_second, row(device).speed);
  return std::min(its.latency + span_of_seconds(seconds), kLongestSpan);
}

Nanos Population::training_time(DeviceNumber device, std::uint64_t tokens) const {
  return span_of_seconds(seconds_at(static_cast<double>(tokens), class_of(device).tokens_per_second,
                                    row(device).speed));
}

double Population::training_joules(DeviceNumber device, Nanos time) const {
  return class_of(device).train_watts * time.seconds();
}

double Population::radio_joules(DeviceNumber device, std::uint64_t bytes) const {
  return class_of(device).radio_joules_per_megabyte * static_cast<double>(bytes) /
         kBytesPerMegabyte;
}

bool Population::can_take_part(DeviceNumber device, Nanos at,
                               const std::function<bool(DeviceNumber)>& rests) const {
  return available(device, at) && !rests(device);
}

std::vector<DeviceNumber> Population::draw(std::uint64_t wanted, Nanos at, const RandomKey& key,
                                           const std::function<bool(DeviceNumber)>& rests) const {
  std::vector<DeviceNumber> drawn;
  if (size() == 0) return drawn;
  const Permutation order(size(), key);
  for (std::uint64_t place = 0; place < size() && drawn.size() < wanted; ++place) {
    const DeviceNumber device = order(place);
    if (can_take_part(device, at, rests)) drawn.push_back(device);
  }
  std::ranges::sort(drawn);
  return drawn;
}

std::vector<DeviceNumber> Population::draw_each(
    double rate, Nanos at, const RandomKey& key,
    const std::function<bool(DeviceNumber)>& rests) const {
  std::vector<DeviceNumber> drawn;
  if (!(rate > 0)) return drawn;
  KeyedRandom random(key);
  const double log_rest = std::log1p(-std::min(rate, 1.0)); // -infinity: every device
  for (DeviceNumber device = 0; device < size(); ++device) {
    // How many are passed over before the next: geometric, by its inverse distribution function.
    const double skip = std::floor(std::log1p(-random.uniform_double()) / log_rest);
    if (skip >= static_cast<double>(size() - device)) break;
    device += static_cast<std::uint64_t>(skip);
    if (can_take_part(device, at, rests)) drawn.push_back(device);
  }
  return drawn;
}

} // namespace coppice
