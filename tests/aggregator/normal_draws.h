// SPDX-License-Identifier: Apache-2.0
// Standard normal draws of a key, by Box and Muller.
#pragma once

#include <cmath>
#include <numbers>

#include "base/random.h"

namespace coppice {

class NormalDraws {
 public:
  explicit NormalDraws(const RandomKey& key) : random_(key) {}
  double operator()() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - random_.uniform_double()));
    return radius * std::cos(2.0 * std::numbers::pi * random_.uniform_double());
  }
  // An array of arrays.
  template <typename Matrix>
  Matrix matrix(double deviation = 1) {
    Matrix made{};
    for (auto& row : made) {
      for (double& value : row) value = deviation * (*this)();
    }
    return made;
  }
  KeyedRandom& random() { return random_; }

 private:
  KeyedRandom random_;
};

} // namespace coppice
