// SPDX-License-Identifier: Apache-2.0
#include "config/units.h"

#include <array>
#include <charconv>
#include <limits>

#include "base/text.h"

namespace coppice {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::uint64_t kK = 1000;
constexpr std::uint64_t kKi = 1024;
// Largest first: the first that divides a value is the one to write it in.
constexpr std::array kDurations{
    Unit{"d", 24 * 60 * 60 * kK},
    Unit{"h", 60 * 60 * kK},
    Unit{"m", 60 * kK},
    Unit{"s", kK},
    Unit{"ms", 1},
};
constexpr std::array kSizes{
    Unit{"TiB", kKi* kKi* kKi* kKi},
    Unit{"TB", kK* kK* kK* kK},
    Unit{"GiB", kKi* kKi* kKi},
    Unit{"GB", kK* kK* kK},
    Unit{"MiB", kKi* kKi},
    Unit{"MB", kK* kK},
    Unit{"KiB", kKi},
    Unit{"kB", kK},
    Unit{"B", 1},
};

// The number and its unit, multiplied; what can't be one says so. `bare` is the factor without a
// unit.
Result<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                      std::uint64_t bare, std::string_view what) {
  const Error unlike{ErrorCode::kInvalidArgument, cat("\"", text, "\" is not ", what)};
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, problem] = std::from_chars(text.data(), end, number);
  if (problem != std::errc()) return unlike;
  const std::string_view name = trim({stopped, static_cast<std::size_t>(end - stopped)});
  std::uint64_t factor = name.empty() ? (number == 0 ? 1 : bare) : 0;
  for (const Unit& unit : units) {
    if (unit.name == name) factor = unit.factor;
  }
  if (factor == 0) return unlike;
  if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / factor) {
    return Error{ErrorCode::kInvalidArgument, cat("\"", text, "\" is too large")};
  }
  return number * factor;
}

std::string format_with_unit(std::uint64_t value, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) return cat(value / unit.factor, unit.name);
  }
  return cat("0", units.back().name);
}

} // namespace

Result<Millis> parse_duration(std::string_view text) {
  const auto count = COPPICE_TRY(parse_with_unit(
      text, kDurations, 0, "a duration: a whole number and ms, s, m, h or d, such as \"90s\""));
  return Millis{static_cast<std::int64_t>(count)};
}

std::string format_duration(Millis span) {
  if (span.count < 0) return "-" + format_duration({-span.count});
  return format_with_unit(static_cast<std::uint64_t>(span.count), kDurations);
}

Result<std::uint64_t> parse_size(std::string_view text) {
  return parse_with_unit(
      text, kSizes, 1,
      "a size: a whole number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as "
      "\"20MB\"");
}

std::string format_size(std::uint64_t bytes) { return format_with_unit(bytes, kSizes); }

} // namespace coppice
