// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <algorithm>
#include <cmath>
#include <ostream>

#include "base/text.h"

namespace coppice {
namespace {

constexpr Millis kRedraw{100}; // of a bar
constexpr Millis kLineAtLeast{10'000};
constexpr Millis kLineAtMost{1'000};
constexpr std::size_t kBarCells = 24;

double rate_of(const ProgressState& state) {
  return state.elapsed.count > 0
             ? static_cast<double>(state.done) * 1000.0 / static_cast<double>(state.elapsed.count)
             : 0.0;
}

std::string rate_text(double rate) {
  if (rate >= 100) return fixed(rate, 0);
  return fixed(rate, rate >= 10 ? 1 : 2);
}

// Empty while it can't be told.
std::string left_text(const ProgressState& state) {
  const double rate = rate_of(state);
  if (state.total == 0 || rate <= 0 || state.done >= state.total) return "";
  const double seconds = static_cast<double>(state.total - state.done) / rate;
  return duration_text({static_cast<std::int64_t>(std::ceil(seconds)) * 1000}) + " left";
}

} // namespace

std::string duration_text(Millis span) {
  const std::int64_t seconds = std::max<std::int64_t>(0, (span.count + 500) / 1000);
  const auto two = [](std::int64_t number) { return cat(number < 10 ? "0" : "", number); };
  if (seconds < 60) return cat(seconds, " s");
  if (seconds < 3600) return cat(seconds / 60, " min ", two(seconds % 60), " s");
  return cat(seconds / 3600, " h ", two(seconds / 60 % 60), " min");
}

std::string progress_bar(const ProgressText& text, const ProgressState& state, unsigned columns) {
  std::string line = text.label;
  if (state.total > 0) {
    const double share =
        std::min(1.0, static_cast<double>(state.done) / static_cast<double>(state.total));
    const auto full = static_cast<std::size_t>(share * static_cast<double>(kBarCells));
    const auto percent = static_cast<int>(share * 100);
    line += cat("  [", std::string(full, '#'), std::string(kBarCells - full, '-'), "] ",
                percent < 10 ? "  " : (percent < 100 ? " " : ""), percent, " %");
  }
  line += cat("  ", state.done);
  if (state.total > 0) line += cat("/", state.total);
  line += cat(" ", text.unit);
  if (const double rate = rate_of(state); rate > 0) {
    line += cat("  ", rate_text(rate), " ", text.unit, "/s");
  }
  if (const std::string left = left_text(state); !left.empty()) line += "  " + left;
  if (!state.note.empty()) line += "  " + state.note;
  if (columns > 1 && line.size() > columns - 1) line.resize(columns - 1); // never wraps
  return line;
}

std::string progress_line(const ProgressText& text, const ProgressState& state) {
  std::string line = cat(text.label, ": ", state.done);
  if (state.total > 0) line += cat(" of ", state.total);
  line += cat(" ", text.unit);
  if (const double rate = rate_of(state); rate > 0) {
    line += cat(", ", rate_text(rate), " ", text.unit, "/s");
  }
  if (const std::string left = left_text(state); !left.empty()) line += ", " + left;
  if (!state.note.empty()) line += ", " + state.note;
  return line;
}

Progress::Progress(Console& console, ProgressText text, std::uint64_t total, const Clock& clock)
    : console_(console),
      text_(std::move(text)),
      clock_(clock),
      total_(total),
      started_(clock.monotonic()),
      shown_(started_) {}

bool Progress::due(const ProgressState& state) const {
  const Millis since = clock_.monotonic() - shown_;
  const bool last = state.total > 0 && state.done >= state.total;
  if (console_.terminal().error) return last || !drawn_ || since >= kRedraw;
  if (console_.json()) return false;
  const std::uint64_t tenth = state.total > 0 ? state.done * 10 / state.total : 0;
  return since >= kLineAtLeast || (last && state.elapsed >= kLineAtMost) ||
         (tenth > shown_tenth_ && since >= kLineAtMost);
}

void Progress::update(std::uint64_t done, std::string note) {
  if (finished_) return;
  const ProgressState state{.done = done,
                            .total = total_,
                            .elapsed = clock_.monotonic() - started_,
                            .note = std::move(note)};
  if (!due(state)) return;
  if (console_.terminal().error) {
    console_.error_stream() << '\r' << progress_bar(text_, state, console_.terminal().columns)
                            << "\033[K" << std::flush;
    drawn_ = true;
  } else {
    console_.note(progress_line(text_, state));
  }
  shown_ = clock_.monotonic();
  if (total_ > 0) shown_tenth_ = done * 10 / total_;
}

void Progress::finish() {
  if (drawn_ && !finished_) console_.error_stream() << "\r\033[K" << std::flush;
  finished_ = true;
}

std::string ago(Millis then_wall, Millis now_wall) {
  if (then_wall.count == 0) return "never";
  return duration_text(std::max(Millis{0}, now_wall - then_wall)) + " ago";
}

} // namespace coppice
