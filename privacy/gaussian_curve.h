// SPDX-License-Identifier: Apache-2.0
// The exact privacy curve of the Gaussian mechanism at sampling rate 1, one release or many.
//
// `mu` is sensitivity over standard deviation; T releases of noise multiplier z are one mechanism
// with mu = sqrt(T) / z, and releases with mu_1, mu_2, ... one with the root of the sum of squares.
// Real-valued noise: what is sampled on integers is accounted in privacy/discrete_bounds.h.
// Source: Balle and Wang, "Improving the Gaussian mechanism for differential privacy", ICML 2018,
// theorem 8. Pure functions; thread-safe.
#pragma once

#include "base/result.h"

namespace coppice {

// The smallest delta for `epsilon` >= 0; mu >= 0, and 0 for mu = 0.
double gaussian_delta(double epsilon, double mu);

// The smallest epsilon >= 0 with gaussian_delta(epsilon, mu) <= delta, rounded up by at most
// 2^-40 of itself. kInvalidArgument unless 0 < delta < 1 and mu is finite and not negative.
Result<double> gaussian_epsilon(double delta, double mu);

// The smallest standard deviation for sensitivity 1, rounded up by at most 2^-40 of itself.
// kInvalidArgument unless 0 < delta < 1 and epsilon > 0 is finite.
Result<double> gaussian_sigma(double epsilon, double delta);

} // namespace coppice
