// SPDX-License-Identifier: Apache-2.0
// The L2 norm of an update and the clip that bounds it: what one client can move the sum by.
//
// Both run in one fixed order, on one thread, in double: same input, same bits, everywhere.
// Thread-safe on different data.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"

namespace coppice {

// Above so many values the rounding argument of Note [Strict clip] would no longer hold.
inline constexpr std::size_t kMaxClipValues = std::size_t{1} << 28U;
// Below this bound float's subnormals would spoil it.
inline constexpr double kMinClipNorm = 1e-30;

// sqrt(sum of squares), summed from front to back in double. Squares of floats are exact in double
// and can't overflow, so for n values the relative error is at most about (n + 1) 2^-54.
// kInvalidArgument for NaN or infinity, with the position; kTooLarge beyond kMaxClipValues.
Result<double> l2_norm(std::span<const float> values);

// Scales `values` down to an L2 norm of at most `max_norm`, and returns the factor used: 1, and not
// a bit changed, where the norm was within the bound. The bound is strict: l2_norm(values) <=
// max_norm afterwards (Note [Strict clip]), and the norm is never more than 2^-22 max_norm below
// the bound because of it. Idempotent. kInvalidArgument, and nothing changed, for NaN or infinity
// among the values, or unless max_norm is finite and at least kMinClipNorm; kTooLarge as above.
// (Abadi et al., "Deep learning with differential privacy", CCS 2016, algorithm 1: clip gradient.)
Result<double> clip_l2(std::span<float> values, double max_norm);

} // namespace coppice
