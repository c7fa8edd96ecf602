// SPDX-License-Identifier: Apache-2.0
// Tails of the normal distribution without underflow or cancellation: what every accountant here
// is built on. Relative error about 1e-14, limited by libm's erfc, exp and log. Thread-safe.
#pragma once

namespace coppice {

// P(N(0, 1) > x). Underflows to 0 above 38.
double normal_tail(double x);

// exp(x^2) erfc(x); grows like 2 exp(x^2) below 0, infinity below -26.
double scaled_erfc(double x);

// log(exp(x^2) erfc(x)) for every x.
double log_scaled_erfc(double x);

} // namespace coppice
