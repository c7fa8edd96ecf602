// SPDX-License-Identifier: Apache-2.0
// Where the losses of many sampled Gaussian steps lie that matter for one delta: what to tilt by,
// which window to cover, what may be neglected.
//
// Estimates from sketches. A bad layout makes privacy/loss_sum.h coarse, never optimistic.
// Pure functions; thread-safe.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "privacy/loss_grid.h"

namespace coppice {

// `steps` steps of one kind.
struct LossGroup {
  SampledStep step;
  std::uint64_t steps;
  LossSketch sketch; // made by sketch_groups()
};

double total_steps(std::span<const LossGroup> groups);

// Sketches every group, without the tails that don't matter for `delta`.
void sketch_groups(std::vector<LossGroup>& groups, double delta);

// log E exp(order * loss) of all steps together, estimated.
double sketched_log_moment(std::span<const LossGroup> groups, double order);

// Losses of z = 0.01 reach 1e4, those of z = 10^4 only 1e-3; orders worth a look are their inverse.
inline constexpr double kMinLossOrder = 1e-6;
inline constexpr double kMaxLossOrder = 1e9;

struct LossLayout {
  double tilt;  // losses are weighted by exp(tilt * loss)
  double order; // of the Chernoff bound on what lies above `high`
  double low;   // the window, for the sum of all losses
  double high;
  std::vector<LossRange> ranges; // of one step of each group
};

// For an epsilon and a delta of exp(log_delta), about which the sum is wanted to be sharp.
// Note [Window]: loss above `high` wraps around to the low end, where it is not seen; its
// probability is bounded and added to delta. Loss that wraps so far that it is seen again counts
// too much, as does what lies below `low` and wraps to the top; the window is wide enough to make
// both harmless.
LossLayout lay_out_losses(std::span<const LossGroup> groups, double tilt, double epsilon,
                          double log_delta);

// Where a function that falls and then rises is least, over log-spaced x; golden section.
template <typename F>
double minimize_over_logs(double low, double high, const F& f) {
  constexpr int kSteps = 28; // leaves 1.4e-6 of ln(high / low)
  constexpr double kGolden = 0.6180339887498949;
  double a = std::log(low);
  double b = std::log(high);
  double c = b - kGolden * (b - a);
  double d = a + kGolden * (b - a);
  double at_c = f(std::exp(c));
  double at_d = f(std::exp(d));
  for (int i = 0; i < kSteps; ++i) {
    if (at_c <= at_d) {
      b = d;
      d = c;
      at_d = at_c;
      c = b - kGolden * (b - a);
      at_c = f(std::exp(c));
    } else {
      a = c;
      c = d;
      at_c = at_d;
      d = a + kGolden * (b - a);
      at_d = f(std::exp(d));
    }
  }
  return std::exp(0.5 * (a + b));
}

} // namespace coppice
