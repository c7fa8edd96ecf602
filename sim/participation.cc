// SPDX-License-Identifier: Apache-2.0
#include "sim/participation.h"

#include <cmath>
#include <limits>
#include <numeric>

namespace coppice {

Participation::Participation(const Population& population) : devices_(1) {
  for (DeviceNumber device = 0; device < population.size(); ++device) {
    const std::uint16_t rounds = population.row(device).rounds;
    if (devices_.size() <= rounds) devices_.resize(rounds + std::size_t{1});
    devices_[rounds] += 1;
  }
}

void Participation::add(std::uint16_t before) {
  if (before == std::numeric_limits<std::uint16_t>::max()) return; // rows count no further
  if (devices_.size() == before + std::size_t{1}) devices_.push_back(0);
  devices_[before] -= 1;
  devices_[before + std::size_t{1}] += 1;
}

std::uint64_t Participation::participants() const {
  return std::accumulate(devices_.begin() + 1, devices_.end(), std::uint64_t{0});
}

double Participation::gini() const {
  double seen = 0; // devices that took part less often
  double sum = 0;
  double ranked = 0; // sum of i x_i
  for (std::size_t rounds = 0; rounds < devices_.size(); ++rounds) {
    const auto count = static_cast<double>(devices_[rounds]);
    const auto each = static_cast<double>(rounds);
    sum += count * each;
    ranked += each * (count * seen + count * (count + 1) / 2);
    seen += count;
  }
  return sum > 0 ? 2 * ranked / (seen * sum) - (seen + 1) / seen : NAN;
}

} // namespace coppice
