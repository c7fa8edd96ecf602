// SPDX-License-Identifier: Apache-2.0
// Devices whose losses are parabolas, sum_j a_kj / 2 (w_j - c_kj)^2: what rounds of them come to is
// known in closed form.
#pragma once

#include <cstddef>
#include <vector>

#include "base/random.h"

namespace coppice {

struct Parabola {
  std::vector<double> curvature, centre; // a in 0.5..3, c in -1..1
};

// The same for the same numbers.
inline std::vector<Parabola> parabolas(std::size_t devices, std::size_t values) {
  std::vector<Parabola> all(devices);
  for (std::size_t k = 0; k < devices; ++k) {
    KeyedRandom random({.experiment = 5, .client = k});
    for (std::size_t j = 0; j < values; ++j) {
      all[k].curvature.push_back(0.5 + 2.5 * random.uniform_double());
      all[k].centre.push_back(2 * random.uniform_double() - 1);
    }
  }
  return all;
}

} // namespace coppice
