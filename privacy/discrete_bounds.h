// SPDX-License-Identifier: Apache-2.0
// What integer noise on an integer vector costs, by bounds of its own: the continuous Gaussian's
// figures are not assumed of it.
//
// Units are those of the ring: variances per coordinate, sensitivities of the integer vector that
// is summed (after rounding). Renyi values hold in both directions, for one release at sampling
// rate 1, and compose by adding. Pure functions; thread-safe.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace coppice {

// One vector, and the noise on each of its coordinates. L1 and dimension are used where said.
struct NoisedVector {
  double variance;         // of the whole noise on a coordinate; 0 is no noise
  double l2_sensitivity;   // what one person can change
  double l1_sensitivity;   // at least the L2 sensitivity, since the vector is integer
  std::uint64_t dimension; // coordinates, at least 1
};

// kInvalidArgument, and which field, for a negative variance, sensitivities that are negative, NaN
// or contradict each other (L1 below L2), or dimension 0. Sensitivities may be larger than the
// truth.
Result<void> check_noised_vector(const NoisedVector& vector);

// The largest L1 norm of an integer vector of this L2 norm: L2 sqrt(dimension), and L2^2 at most.
double l1_sensitivity_bound(double l2_sensitivity, std::uint64_t dimension);

// The exact discrete Gaussian, one sampler for the whole noise: order * L2^2 / (2 variance), any
// order > 1 (Canonne, Kamath, Steinke, "The discrete Gaussian for differential privacy", NeurIPS
// 2020, theorem 14: 1/2 (L2 / sigma)^2 concentrated).
double discrete_gaussian_rdp(const NoisedVector& vector, double order);

// Note [Discrete from continuous]. The exact discrete Gaussian of variance v on Z^d around any
// integer vector x has, at every point, a probability within a factor exp(-slack) ... exp(slack) of
// what one gets by adding N(0, v - smoothing) to x and rounding at random: from y, to a discrete
// Gaussian of variance `smoothing` around y. (Peikert, "An efficient and parallel Gaussian sampler
// for lattices", CRYPTO 2010, theorem 3.1, on Z.) For, with e = 2 sum_j exp(-2 pi^2 smoothing j^2),
// the mass of that Gaussian over y + Z varies by 1 +- e at most (Poisson summation), the integral
// over y of the two Gaussians is the wanted one up to these factors, and normalizing costs them
// once more: slack = d log((1 + e) / (1 - e)). Rounding is post-processing, so that release is
// exactly as private as the continuous Gaussian of variance v - smoothing, sampled rounds and
// adaptive composition included; and the discrete one is (epsilon + 2 T slack, exp(T slack) delta)
// private where T rounds of the continuous one are (epsilon, delta). The smoothing is chosen such
// that the slack is at most 1e-18, about 2.9 for d = 2^20: nothing for variances of hundreds.
// Condition: v > smoothing_variance(d), else nothing is claimed beyond rate 1.
inline constexpr double kSmoothingSlack = 1e-18;
double smoothing_variance(std::uint64_t dimension);

// The multiplier z of the continuous Gaussian in the note: sqrt(v - smoothing) / L2; 0 where the
// condition doesn't hold, infinity where L2 is 0.
double continuous_noise_multiplier(const NoisedVector& vector);

// The variance that gives `noise_multiplier` there: z^2 L2^2 + smoothing.
double discrete_gaussian_variance(double noise_multiplier, double l2_sensitivity,
                                  std::uint64_t dimension);

// The sum of `shares` independent discrete Gaussians of variance / shares each; any order > 1.
// (Kairouz, Liu, Steinke, "The distributed discrete Gaussian mechanism for federated learning with
// secure aggregation", ICML 2021, theorem 1 and proposition 14: the least of
//   a L2^2 / 2v + tau d,  a/2 (L2^2 / v + 2 L1 tau / sqrt(v) + tau^2 d),  a/2 (L2 / sqrt(v) + tau
//   sqrt(d))^2,  with tau = 10 sum_{k < shares} exp(-2 pi^2 (v / shares) k / (k + 1)).)
// Infinity where a share's variance is below 1/4: the theorem's condition.
double discrete_gaussian_sum_rdp(const NoisedVector& vector, std::uint64_t shares, double order);

// Skellam noise of `variance`, the difference of two Poisson variables of half of it each; sums of
// shares are Skellam again. Integer orders >= 2 only; others are rounded up, which is sound.
// (Agarwal, Kairouz, Liu, "The Skellam mechanism for differentially private federated learning",
// NeurIPS 2021, theorem 3.5: a L2^2 / 2v + min(((2a - 1) L2^2 + 6 L1) / 4v^2, 3 L1 / 2v).)
double skellam_rdp(const NoisedVector& vector, double order);

// Note [Banded]. The L2 sensitivity of a whole series of releases with correlated noise C^-1 Z,
// where one person takes part at most `participations` times, at least as many rounds apart as C
// has bands: columns of C then don't overlap, so it is sqrt(participations) * column_norm *
// per_round. (Choquette-Choo et al., "(Amplified) banded matrix factorization", NeurIPS 2023,
// theorem 2.)
double banded_sensitivity(double column_norm, std::uint64_t participations, double per_round);

} // namespace coppice
