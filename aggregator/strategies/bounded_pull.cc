// SPDX-License-Identifier: Apache-2.0
// Averages with a bound on what one update can do: norm-bound (Sun et al. 2019), rfa, the smoothed
// geometric median (Pillutla et al. 2022), and centered-clip (Karimireddy, He, Jaggi 2021), whose
// centre is the last round's step. strategy.radius is the bound of the first and the last; 0 takes
// the median distance, which half of the updates are within.
#include <algorithm>
#include <cmath>

#include "aggregator/strategies/individual.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

double median_distance(UpdateRows updates, std::span<const double> centre) {
  std::vector<double> distances;
  for (const UpdateRow& row : updates) {
    const double squared = squared_distance(row, centre);
    if (std::isfinite(squared)) distances.push_back(std::sqrt(squared));
  }
  if (distances.empty()) return 1; // none can be counted, as the rule will say
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
  std::ranges::nth_element(distances, middle);
  return std::max(*middle, 1e-12);
}

class NormBound final : public IndividualStrategy {
 public:
  using IndividualStrategy::IndividualStrategy;

 protected:
  Result<RobustResult> combine(UpdateRows updates, std::span<const double> weights,
                               StrategyState&) const override {
    const std::vector<double> zero(updates.front().size());
    const double bound = settings().radius > 0 ? settings().radius : median_distance(updates, zero);
    return norm_bound(updates, bound, weights);
  }
};

class Rfa final : public IndividualStrategy {
 public:
  using IndividualStrategy::IndividualStrategy;

 protected:
  Result<RobustResult> combine(UpdateRows updates, std::span<const double> weights,
                               StrategyState&) const override {
    return coppice::rfa(updates, {}, weights);
  }
};

class CenteredClip final : public IndividualStrategy {
 public:
  using IndividualStrategy::IndividualStrategy;

 protected:
  Result<RobustResult> combine(UpdateRows updates, std::span<const double> weights,
                               StrategyState& state) const override {
    std::vector<double>& centre = state.at("centre", updates.front().size());
    const double radius =
        settings().radius > 0 ? settings().radius : median_distance(updates, centre);
    RobustResult result =
        COPPICE_TRY(centered_clip(updates, {.radius = radius, .passes = 1}, weights, centre));
    centre = result.update;
    return result;
  }
};

} // namespace

std::unique_ptr<Strategy> norm_bound_strategy(const StrategySettings& settings) {
  return std::make_unique<NormBound>(settings);
}
std::unique_ptr<Strategy> rfa_strategy(const StrategySettings& settings) {
  return std::make_unique<Rfa>(settings);
}
std::unique_ptr<Strategy> centered_clip_strategy(const StrategySettings& settings) {
  return std::make_unique<CenteredClip>(settings);
}

} // namespace coppice
