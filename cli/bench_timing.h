// SPDX-License-Identifier: Apache-2.0
// Work and the floor that it can't beat, timed by turns in one process, so that both see the same
// machine.
//
// Times are of processors and not of clocks on the wall: what else the machine does counts for
// little in them, and for less in their ratios. Thread-safe.
#pragma once

#include <functional>
#include <vector>

namespace coppice {

double thread_seconds();  // of this thread on a processor
double process_seconds(); // of all threads of this process
double wall_seconds();    // since some moment

// The middle one; of an even number the higher of both. Not empty.
double median(std::vector<double> values);

struct PairedTimes {
  double work = 0; // seconds: medians
  double floor = 0;
  double ratio = 0; // median of the pairs' ratios
};
// floor, work, floor, work, ...: `tries` pairs, after one that doesn't count. Both on this thread.
PairedTimes time_pairs(unsigned tries, const std::function<void()>& work,
                       const std::function<void()>& floor);

} // namespace coppice
