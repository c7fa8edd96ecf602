// SPDX-License-Identifier: Apache-2.0
#include "base/sum_of_squares.h"

#include "base/instruction_levels.h"

namespace coppice {

COPPICE_LEVELS double sum_of_squares(std::span<const float> values) {
  constexpr std::size_t kLanes = 16;
  double sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double value = values[i + lane];
      sums[lane] += value * value;
    }
  }
  for (; i < values.size(); ++i) sums[i % kLanes] += double{values[i]} * double{values[i]};
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

} // namespace coppice
