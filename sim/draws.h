// SPDX-License-Identifier: Apache-2.0
// Normal, log-normal, gamma and Dirichlet draws that are the same bits on every machine.
//
// The C library's log and exp differ in their last bits from one library and one processor to the
// next, and one bit can move a piece of text from one client to another. The functions here use
// only what IEEE 754 rounds correctly (+, -, x, /, sqrt) and are built without fused
// multiply-adds. They are good to a few units in the last place, and meant for draws alone.
#pragma once

#include <span>
#include <vector>

#include "base/random.h"

namespace coppice {

double portable_log(double x); // x > 0, finite
double portable_exp(double x); // 0 below -708; x at most 709

// Mean 0, variance 1: Marsaglia and Bray's polar method (SIAM Review 6, 1964).
double draw_normal(KeyedRandom& random);

// The logarithm of a Gamma(shape, 1) draw, shape > 0: Marsaglia and Tsang (ACM TOMS 26, 2000),
// below shape 1 boosted by U^(1/shape). A logarithm, since small shapes give draws below any
// double: Gamma(0.001) is under 1e-308 half of the time.
double draw_log_gamma(KeyedRandom& random, double shape);

// Shares that sum to 1. `alphas` are positive.
std::vector<double> draw_dirichlet(KeyedRandom& random, std::span<const double> alphas);

} // namespace coppice
