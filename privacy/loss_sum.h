// SPDX-License-Identifier: Apache-2.0
// The sum of many privacy losses, and the (epsilon, delta) that it shows: an upper bound always.
//
// Losses are tilted exponentially (Esscher), so that a delta of 1e-12 has as many digits as one of
// 1e-2, and convolved through a transform (Koskela, Jaelkoe, Honkela, AISTATS 2020). Immutable once
// made; thread-safe.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "privacy/loss_layout.h"

namespace coppice {

// What is allowed for the transform's rounding, as a share of the tilted mass: ten times what was
// seen. Added to every delta.
double rounding_bound(double steps);

class LossSum {
 public:
  // All steps of all groups, on `points` (a power of two) points over the layout's window.
  // kInvalidArgument for another number of points, kUnsupported where losses overflow.
  static Result<LossSum> create(std::span<const LossGroup> groups, const LossLayout& layout,
                                std::size_t points);

  // The smallest epsilon >= 0 that is shown for `delta`; infinity if none is.
  double epsilon(double delta) const;

  // The smallest delta that is shown for `epsilon`; 1 if none is.
  double delta(double epsilon) const;

 private:
  double loss(std::int64_t i) const { return static_cast<double>(first_ + i) * interval_; }
  // What a tilted mass of 1 at `loss` is worth.
  double weight(double loss) const { return std::exp(log_scale_ - tilt_ * loss); }
  double untilted(std::int64_t i) const {
    return mass_[static_cast<std::size_t>(i)] * weight(loss(i));
  }
  // What is added to every delta that is read off at `loss`.
  double slack(double loss) const { return left_out_ + rounding_ * weight(loss); }

  std::int64_t first_ = 0;
  double interval_ = 0.0;
  double tilt_ = 0.0;
  double log_scale_ = 0.0;
  double left_out_ = 0.0; // probability beyond the window or at infinity
  double rounding_ = 0.0; // bound on the transform's errors, as tilted mass
  std::vector<double> mass_;
};

} // namespace coppice
