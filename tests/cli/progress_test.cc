// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <gtest/gtest.h>

#include <sstream>

namespace coppice {
namespace {

constexpr unsigned kWide = 200;

TEST(Progress, ABarHasShareRateAndTimeLeft) {
  const ProgressState state{.done = 12, .total = 32, .elapsed = Millis{3000}, .note = "loss 3.412"};
  EXPECT_EQ(progress_bar({"training", "steps"}, state, kWide),
            "training  [#########---------------]  37 %  12/32 steps  4.00 steps/s  5 s left  "
            "loss 3.412");
}

TEST(Progress, ALineSaysTheSameInWords) {
  const ProgressState state{.done = 12, .total = 32, .elapsed = Millis{3000}, .note = "loss 3.412"};
  EXPECT_EQ(progress_line({"training", "steps"}, state),
            "training: 12 of 32 steps, 4.00 steps/s, 5 s left, loss 3.412");
}

TEST(Progress, WithoutATotalThereIsNeitherBarNorTimeLeft) {
  const ProgressState state{.done = 500, .total = 0, .elapsed = Millis{2000}, .note = ""};
  EXPECT_EQ(progress_bar({"reading", "files"}, state, kWide), "reading  500 files  250 files/s");
}

TEST(Progress, ABarNeverWraps) {
  const ProgressState state{.done = 1, .total = 32, .elapsed = Millis{3000}, .note = "loss 3.412"};
  EXPECT_EQ(progress_bar({"training", "steps"}, state, 40).size(), 39U);
}

TEST(Progress, TellsTimesAsPeopleDo) {
  EXPECT_EQ(duration_text(Millis{499}), "0 s");
  EXPECT_EQ(duration_text(Millis{59'000}), "59 s");
  EXPECT_EQ(duration_text(Millis{200'000}), "3 min 20 s");
  EXPECT_EQ(duration_text(Millis{3'600'000 + 300'000}), "1 h 05 min");
}

TEST(Progress, OffATerminalItIsPlainLinesAMostOnceASecond) {
  std::ostringstream out;
  std::ostringstream error;
  Console console(out, error, Terminal{});
  ManualClock clock;
  Progress progress(console, {"training", "steps"}, 10, clock);
  for (std::uint64_t step = 1; step <= 10; ++step) {
    clock.advance(Millis{500});
    progress.update(step);
  }
  progress.finish();
  EXPECT_EQ(error.str(),
            "training: 2 of 10 steps, 2.00 steps/s, 4 s left\n"
            "training: 4 of 10 steps, 2.00 steps/s, 3 s left\n"
            "training: 6 of 10 steps, 2.00 steps/s, 2 s left\n"
            "training: 8 of 10 steps, 2.00 steps/s, 1 s left\n"
            "training: 10 of 10 steps, 2.00 steps/s\n");
  EXPECT_EQ(out.str(), "");
}

TEST(Progress, WorkOfLessThanASecondIsSilent) {
  std::ostringstream out;
  std::ostringstream error;
  Console console(out, error, Terminal{});
  ManualClock clock;
  Progress progress(console, {"training", "steps"}, 2, clock);
  clock.advance(Millis{300});
  progress.update(1);
  clock.advance(Millis{300});
  progress.update(2);
  EXPECT_EQ(error.str(), "");
}

TEST(Progress, OnATerminalItRedrawsAndClearsItsLine) {
  std::ostringstream out;
  std::ostringstream error;
  Console console(out, error, Terminal{.out = true, .error = true, .color = false, .columns = 80});
  ManualClock clock;
  Progress progress(console, {"training", "steps"}, 4, clock);
  clock.advance(Millis{1000});
  progress.update(1);
  clock.advance(Millis{10}); // too soon to redraw
  progress.update(2);
  progress.finish();
  EXPECT_EQ(error.str(),
            "\rtraining  [######------------------]  25 %  1/4 steps  1.00 steps/s  3 s left\033[K"
            "\r\033[K");
}

TEST(Progress, InJsonModeOffATerminalItIsSilent) {
  std::ostringstream out;
  std::ostringstream error;
  Console console(out, error, Terminal{});
  console.set_format(OutputFormat::kJson);
  ManualClock clock;
  Progress progress(console, {"training", "steps"}, 1, clock);
  clock.advance(Millis{20'000});
  progress.update(1);
  EXPECT_EQ(error.str() + out.str(), "");
}

} // namespace
} // namespace coppice
