// SPDX-License-Identifier: Apache-2.0
#include "adapters/rounded_norm.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace coppice {

double rounded_norm_squared(double scaled_norm, std::uint64_t elements) {
  const double root = std::sqrt(static_cast<double>(elements));
  const double likely = scaled_norm * scaled_norm + root * root / 4 + scaled_norm +
                        root / 2; // sqrt(2 ln(1/beta)) = 1
  const double certain = (scaled_norm + root) * (scaled_norm + root);
  return std::min(likely, certain);
}

double least_norm_for_inflation(std::uint64_t elements, double inflation) {
  COPPICE_CHECK(inflation > 0);
  // x^2 + x + r = (1 + inflation)^2 x^2, solved for x > 0. For one element or more the likely bound
  // is the smaller one.
  const double root = std::sqrt(static_cast<double>(elements));
  const double rest = root * root / 4 + root / 2;
  const double excess = inflation * (2 + inflation);
  return (1 + std::sqrt(1 + 4 * excess * rest)) / (2 * excess);
}

double l1_bound(double norm, std::uint64_t elements) {
  return std::min(std::sqrt(static_cast<double>(elements)) * norm, norm * norm);
}

} // namespace coppice
