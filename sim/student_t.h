// SPDX-License-Identifier: Apache-2.0
// Student's t distribution: how wide an interval of a mean of few values has to be.
//
// The distribution function through the regularized incomplete beta function (Abramowitz and
// Stegun, Handbook of Mathematical Functions, 26.7.1 and 26.5.27) by its continued fraction
// (26.5.8, evaluated after Lentz); the quantile by bisection of it. Relative errors below 1e-10 for
// the degrees and levels that intervals use. Pure.
#pragma once

namespace coppice {

// P(T <= t). `degrees` > 0, not only whole; infinite: the normal distribution.
double student_t_cdf(double t, double degrees);
// The t at which student_t_cdf() is `p`, 0 < p < 1. 12.706 for p = 0.975 and one degree.
double student_t_quantile(double p, double degrees);

} // namespace coppice
