// SPDX-License-Identifier: Apache-2.0
// Progress on stderr: a bar that redraws on a terminal, a plain line now and then elsewhere.
//
// Off a terminal a line comes with each tenth of the work, at least every ten seconds and at most
// once a second, so that a log of a long run stays readable, and a last one at the end; none at all
// for work of less than a second. For one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

#include "base/clock.h"
#include "cli/console.h"

namespace coppice {

struct ProgressState {
  std::uint64_t done = 0;
  std::uint64_t total = 0; // 0: unknown, then neither bar nor time left
  Millis elapsed{0};
  std::string note; // "loss 3.412"
};

struct ProgressText {
  std::string label; // "training"
  std::string unit;  // "steps"
};

// "training  [######----------]  38 %  12/32 steps  4.1 steps/s  5 s left  loss 3.412"
std::string progress_bar(const ProgressText& text, const ProgressState& state, unsigned columns);
// "training: 12 of 32 steps, 4.1 steps/s, 5 s left, loss 3.412"
std::string progress_line(const ProgressText& text, const ProgressState& state);
// "48 s", "3 min 20 s", "2 h 05 min".
std::string duration_text(Millis span);
// "3 min ago", "never".
std::string ago(Millis then_wall, Millis now_wall);

class Progress {
 public:
  // Silent in JSON mode unless stderr is a terminal. `clock` is monotonic and must outlive it.
  Progress(Console& console, ProgressText text, std::uint64_t total, const Clock& clock);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { finish(); }

  void update(std::uint64_t done, std::string note = {});
  // Clears the bar; idempotent. Call it before printing anything else.
  void finish();

 private:
  bool due(const ProgressState& state) const;

  Console& console_;
  ProgressText text_;
  const Clock& clock_;
  std::uint64_t total_;
  Millis started_;
  Millis shown_{0};
  std::uint64_t shown_tenth_ = 0;
  bool drawn_ = false;
  bool finished_ = false;
};

} // namespace coppice
