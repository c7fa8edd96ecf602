// SPDX-License-Identifier: Apache-2.0
#include "sim/availability.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::string_view kFormat = "coppice-trace";
constexpr std::string_view kVersion = "1";

// The interval that holds `second`, if one does.
const AvailableInterval* holding(std::span<const AvailableInterval> trace, std::uint32_t second) {
  const auto after = std::ranges::upper_bound(trace, second, {}, &AvailableInterval::begin);
  if (after == trace.begin()) return nullptr;
  const AvailableInterval& last = *(after - 1);
  return second < last.end ? &last : nullptr;
}

// Digits alone, as std::to_chars writes them: no sign, no leading zero.
std::optional<std::uint32_t> number_of(std::string_view digits) {
  std::uint32_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stopped, error] = std::from_chars(digits.data(), end, value);
  const bool leading_zero = digits.size() > 1 && digits.front() == '0';
  if (error != std::errc() || stopped != end || leading_zero) return std::nullopt;
  return value;
}

// Takes from `text` what stands before the next `separator`, and that with it.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t at = std::min(text.find(separator), text.size());
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return taken;
}

Error corrupt(std::size_t line, std::string_view what) {
  return {ErrorCode::kCorrupt, cat("line ", line, " ", what)};
}

Result<std::uint32_t> period_of(std::string_view line) {
  if (take_until(line, ' ') != kFormat) {
    return corrupt(1, "is not 'coppice-trace 1 PERIOD_SECONDS': this is no file of traces");
  }
  if (take_until(line, ' ') != kVersion) {
    return Error{ErrorCode::kUnsupported,
                 "this program reads version 1 of traces, and the file states another"};
  }
  const auto period = number_of(line);
  if (!period || *period == 0 || *period > Availability::kLongestPeriod) {
    return corrupt(1, cat("must end with the period: 1 to ", Availability::kLongestPeriod,
                          " seconds, digits alone"));
  }
  return *period;
}

Result<AvailabilityTrace> trace_of(std::string_view text, std::size_t line) {
  AvailabilityTrace trace;
  if (text.ends_with(' ')) return corrupt(line, "ends with a space");
  while (!text.empty()) {
    std::string_view interval = take_until(text, ' ');
    const auto begin = number_of(take_until(interval, '-'));
    const auto end = number_of(interval);
    if (!begin || !end) {
      return corrupt(line, cat("must be intervals BEGIN-END, one space between them; number ",
                               trace.size() + 1, " is none"));
    }
    trace.push_back({*begin, *end});
  }
  return trace;
}

} // namespace

Availability Availability::always() {
  Availability made(1);
  made.add(std::vector<AvailableInterval>{{0, 1}}).value();
  return made;
}

Result<Availability> Availability::make(std::uint32_t period_seconds,
                                        std::span<const AvailabilityTrace> traces) {
  if (period_seconds == 0 || period_seconds > kLongestPeriod) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("a period has 1 to ", kLongestPeriod, " seconds, not ", period_seconds)};
  }
  if (traces.empty()) return Error{ErrorCode::kInvalidArgument, "give at least one trace"};
  Availability made(period_seconds);
  for (std::size_t i = 0; i < traces.size(); ++i) {
    auto added = made.add(traces[i]);
    if (!added.ok()) return std::move(added).error().with_context(cat("trace ", i + 1));
  }
  return made;
}

Result<void> Availability::add(std::span<const AvailableInterval> trace) {
  const auto refuse = [&](const AvailableInterval& interval, std::string_view why) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the interval ", interval.begin, "-", interval.end, " ", why)};
  };
  for (std::size_t i = 0; i < trace.size(); ++i) {
    if (trace[i].begin >= trace[i].end) return refuse(trace[i], "ends before it has begun");
    if (trace[i].end > period_) return refuse(trace[i], cat("leaves the period of ", period_));
    if (i > 0 && trace[i].begin <= trace[i - 1].end) {
      return refuse(trace[i], "must begin after the end of the one before, not at it or earlier");
    }
  }
  if (begins_.size() > kMostTraces) {
    return Error{ErrorCode::kTooLarge, cat("more than ", kMostTraces, " traces don't fit")};
  }
  intervals_.insert(intervals_.end(), trace.begin(), trace.end());
  begins_.push_back(intervals_.size());
  return {};
}

Result<Availability> Availability::parse(std::string_view text) {
  if (!text.ends_with('\n')) {
    return Error{ErrorCode::kCorrupt, "the last line has no end: the file was cut off"};
  }
  Availability made(COPPICE_TRY(period_of(take_until(text, '\n'))));
  for (std::size_t line = 2; !text.empty(); ++line) {
    auto added = made.add(COPPICE_TRY(trace_of(take_until(text, '\n'), line)));
    if (added.ok()) continue;
    return added.error().code == ErrorCode::kTooLarge
               ? added.error()
               : corrupt(line, cat("is no trace: ", added.error().message));
  }
  if (made.traces() == 0) return corrupt(2, "is missing: a file holds at least one trace");
  return made;
}

std::string Availability::text() const {
  std::string out = cat(kFormat, " ", kVersion, " ", period_, "\n");
  for (std::uint32_t trace = 0; trace < traces(); ++trace) {
    std::string_view separator;
    for (const AvailableInterval& interval : intervals_of(trace)) {
      out.append(separator)
          .append(std::to_string(interval.begin))
          .append("-")
          .append(std::to_string(interval.end));
      separator = " ";
    }
    out += '\n';
  }
  return out;
}

Result<Availability> Availability::read(const fs::path& path) {
  const Bytes bytes = COPPICE_TRY(read_file(path, kMostBytes));
  auto parsed = parse(as_text(bytes));
  if (!parsed.ok()) return std::move(parsed).error().with_context(path.string());
  return parsed;
}

Result<void> Availability::write(const fs::path& path) const {
  return write_file_atomically(path, as_bytes(text()));
}

std::span<const AvailableInterval> Availability::intervals_of(std::uint32_t trace) const {
  return std::span(intervals_).subspan(begins_[trace], begins_[trace + 1] - begins_[trace]);
}

std::uint32_t Availability::within_period(std::int64_t second) const {
  const auto period = static_cast<std::int64_t>(period_);
  const std::int64_t rest = second % period;
  return static_cast<std::uint32_t>(rest < 0 ? rest + period : rest);
}

bool Availability::available(std::uint32_t trace, std::int64_t second) const {
  return holding(intervals_of(trace), within_period(second)) != nullptr;
}

std::uint64_t Availability::seconds_left(std::uint32_t trace, std::int64_t second) const {
  const std::uint32_t at = within_period(second);
  const std::span<const AvailableInterval> intervals = intervals_of(trace);
  const AvailableInterval* const interval = holding(intervals, at);
  COPPICE_CHECK(interval != nullptr, "asked how long a device stays that isn't there");
  const bool goes_on = interval->end == period_ && intervals.front().begin == 0;
  if (!goes_on) return interval->end - at;
  if (intervals.size() == 1) return std::numeric_limits<std::uint64_t>::max();
  return std::uint64_t{interval->end - at} + intervals.front().end;
}

double Availability::share(std::uint32_t trace) const {
  std::uint64_t seconds = 0;
  for (const AvailableInterval& interval : intervals_of(trace)) {
    seconds += interval.end - interval.begin;
  }
  return static_cast<double>(seconds) / period_;
}

std::vector<double> Availability::share_by_hour() const {
  const std::uint32_t hours = (period_ - 1) / kSecondsPerHour + 1;
  std::vector<std::uint64_t> seconds(hours);
  for (const AvailableInterval& interval : intervals_) {
    for (std::uint32_t at = interval.begin; at < interval.end;) {
      const std::uint32_t hour = at / kSecondsPerHour;
      const std::uint32_t end = std::min(interval.end, (hour + 1) * kSecondsPerHour);
      seconds[hour] += end - at;
      at = end;
    }
  }
  std::vector<double> shares;
  for (std::uint32_t hour = 0; hour < hours; ++hour) {
    const std::uint32_t begin = hour * kSecondsPerHour;
    const double all = static_cast<double>(std::min(period_ - begin, kSecondsPerHour)) * traces();
    shares.push_back(static_cast<double>(seconds[hour]) / all);
  }
  return shares;
}

} // namespace coppice
