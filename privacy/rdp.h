// SPDX-License-Identifier: Apache-2.0
// Renyi differential privacy of the Gaussian under Poisson sampling, and what it says in
// (epsilon, delta). Add or remove one; `noise_multiplier` is standard deviation over L2
// sensitivity.
//
// Quick, and an upper bound: for display, for orders of mechanisms that have no better bound, and
// as a bracket. The number that is published comes from privacy/pld.h. Real-valued noise.
// Steps compose by adding their values order by order. Pure functions; thread-safe.
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"

namespace coppice {

// D_order(mixture || base) of one step, order > 1. Integer orders: Mironov, Talwar, Zhang, "Renyi
// differential privacy of the sampled Gaussian mechanism", 2019, section 3.3, less its leading 1,
// so nothing cancels. Fractional orders: their two signed series; dp_accounting 0.6.0 drops the
// signs, which is still a bound, but 3 % looser at order 1.5. Rate 1: order / (2 z^2); rate 0: 0.
// Noise of 0 gives infinity. kInvalidArgument outside 0 <= rate <= 1, z >= 0, 1 < order < infinity.
Result<double> sampled_gaussian_rdp(double sampling_rate, double noise_multiplier, double order);

// 1.1 to 10.9 by 0.1, 11 to 63, then 128, 256, 512 and 1024: those of dp_accounting.
std::span<const double> default_rdp_orders();

struct RdpEpsilon {
  double epsilon; // 0 or more; infinity if no order gives a bound
  double order;   // the one that gives it; 0 if none does
};

// The best epsilon over the orders (Canonne, Kamath, Steinke 2020, proposition 12; the same as
// Balle et al. 2020, theorem 21), and 0 where delta^2 >= 1 - exp(-rdp) (Bretagnolle and Huber).
// Orders up to 1.01 are passed over: the formula isn't stable there. kInvalidArgument unless
// 0 < delta < 1, the lengths agree, orders are above 1 and values not negative (NaN is refused).
Result<RdpEpsilon> rdp_to_epsilon(std::span<const double> orders, std::span<const double> rdp,
                                  double delta);

// The best delta over the orders, at most 1; the same formula solved for delta. Errors alike.
Result<double> rdp_to_delta(std::span<const double> orders, std::span<const double> rdp,
                            double epsilon);

} // namespace coppice
