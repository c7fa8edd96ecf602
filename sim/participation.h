// SPDX-License-Identifier: Apache-2.0
// Who takes part how often: distinct devices, and how unevenly rounds are spread over all of them.
//
// A count of devices for each number of rounds, so that a round costs its cohort and its own
// number, whatever the population. Thread-compatible.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/population.h"

namespace coppice {

class Participation {
 public:
  explicit Participation(const Population& population); // O(population)
  // A device that had taken part `before` times takes part once more.
  void add(std::uint16_t before);

  std::uint64_t participants() const; // devices that took part at all
  // Gini coefficient over all devices, those that never took part included: 0 if all took part
  // equally often, near 1 if few did all of it. Of x sorted upwards (Sen 1973, eq. 2.8.2, there
  // sorted downwards): 2 sum(i x_i) / (n sum(x)) - (n + 1) / n. NaN before anybody did.
  double gini() const;

 private:
  std::vector<std::uint64_t> devices_; // by the number of rounds taken part in
};

} // namespace coppice
