// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_timing.h"

#include <time.h>

#include <algorithm>

namespace coppice {
namespace {

double seconds_on(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double seconds_of(const std::function<void()>& work) {
  const double start = thread_seconds();
  work();
  return thread_seconds() - start;
}

} // namespace

double thread_seconds() { return seconds_on(CLOCK_THREAD_CPUTIME_ID); }
double process_seconds() { return seconds_on(CLOCK_PROCESS_CPUTIME_ID); }
double wall_seconds() { return seconds_on(CLOCK_MONOTONIC); }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

PairedTimes time_pairs(unsigned tries, const std::function<void()>& work,
                       const std::function<void()>& floor) {
  std::vector<double> works;
  std::vector<double> floors;
  std::vector<double> ratios;
  for (unsigned pair = 0; pair <= tries; ++pair) {
    const double beneath = seconds_of(floor);
    const double above = seconds_of(work);
    if (pair == 0) continue;
    works.push_back(above);
    floors.push_back(beneath);
    ratios.push_back(above / beneath);
  }
  return {.work = median(works), .floor = median(floors), .ratio = median(ratios)};
}

} // namespace coppice
