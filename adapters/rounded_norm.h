// SPDX-License-Identifier: Apache-2.0
// How long an integer vector can get that stands for a clipped delta: what one client can move the
// sum by, in ring units. These bounds, not the clip, are the sensitivities that noise is set by.
//
// Lengths are L2 norms in ring units: a delta clipped to C, at scale s and weight w, is w C s long.
// With weights the largest one counts. Pure functions; thread-safe.
//
// Note [Rounded norm]
// x is rounded stochastically to R(x): floor(x_i), plus one with probability f_i = x_i -
// floor(x_i). With k_i = floor(x_i) and B_i the coin, R(x)_i^2 = k_i^2 + (2 k_i + 1) B_i: affine in
// the coin. So E |R(x)|^2 = |x|^2 + sum f_i (1 - f_i) <= |x|^2 + d / 4, and by Hoeffding's lemma
// the excess over the mean is sub-Gaussian with variance at most sum (k_i + 1/2)^2 <= (|x| +
// sqrt(d) / 2)^2. Hence, with probability at least 1 - beta,
//   |R(x)|^2 < |x|^2 + d / 4 + sqrt(2 ln(1 / beta)) (|x| + sqrt(d) / 2),
// while |R(x)| <= |x| + sqrt(d) always. (Kairouz, Liu, Steinke, "The distributed discrete Gaussian
// mechanism for federated learning with secure aggregation", ICML 2021: the bound Delta_2 of its
// main theorem, with granularity 1. beta = exp(-1/2), as there, makes the root 1.)
#pragma once

#include <cstdint>

namespace coppice {

// Longer vectors in ring units are not encoded: a float holds no more digits than these anyway, and
// sums of squares stay exact.
inline constexpr double kLargestScaledNorm = 0x1p24;
// And no more elements than these, so that the bounds on rounding errors hold.
inline constexpr std::uint64_t kMostEncodedElements = std::uint64_t{1} << 28U;
// Above beta by a margin for coins that are exact to 2^-32 only: these raise the mean of |R(x)|^2
// by at most 2^-31 sqrt(d) (|x| + sqrt(d) / 2), 2^-17 of the deviation, for the most elements.
inline constexpr double kRedrawProbability = 0.607;

// The square of Delta_2, Note [Rounded norm]: one draw is within it with probability 1 -
// kRedrawProbability at least. A plan states its floor, since squares of integers are integers.
double rounded_norm_squared(double scaled_norm, std::uint64_t elements);

// The least scaled norm w C s at which rounding lengthens it by at most the factor 1 + inflation.
// inflation > 0 (checked).
double least_norm_for_inflation(std::uint64_t elements, double inflation);

// The L1 norm of an integer vector whose L2 norm is `norm` is at most min(sqrt(d) norm, norm^2): by
// Cauchy and Schwarz, and since |k| <= k^2 for integers.
double l1_bound(double norm, std::uint64_t elements);

} // namespace coppice
