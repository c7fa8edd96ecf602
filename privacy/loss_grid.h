// SPDX-License-Identifier: Apache-2.0
// The privacy loss of one Poisson-sampled Gaussian step: where it lies, and a discrete version on a
// grid that is never more favourable than the truth.
//
// With N0 = N(0, z^2), N1 = N(1, z^2) and M = (1 - q) N0 + q N1, the pairs (M, N0) (someone is
// removed) and (N0, M) (added) dominate the step (Zhu, Dong, Wang, "Optimal accounting of
// differential privacy via characteristic function", AISTATS 2022, theorem 11). Pure; thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace coppice {

enum class Neighbour { kRemoved, kAdded };

struct SampledStep {
  double sampling_rate;    // q, in (0, 1]
  double noise_multiplier; // z, above 0 and finite
  Neighbour neighbour;
};

// Nodes of a quadrature in the noise, for sums of smooth functions of the loss over the first
// distribution of the pair, good to about 1e-6 where z >= 0.01. Estimates, no bounds.
struct LossSketch {
  std::vector<double> loss;
  std::vector<double> log_mass;
};
LossSketch sketch_losses(const SampledStep& step, double tail_mass);

struct LossRange {
  double low;
  double high;
};
// Losses outside have at most `tail_mass` on either side, under the first distribution.
LossRange loss_range(const SampledStep& step, double tail_mass);

// mass[i] at loss (first + i) * interval, and `infinite` at infinity; together 1.
struct LossGrid {
  std::int64_t first;
  std::vector<double> mass;
  double infinite;
};

// Connect the dots (Doroshenko, Ghazi, Kamath, Kumar, Manurangsi, "Connect the dots: tighter
// discrete approximations of privacy loss distributions", PETS 2022, section 3): within each cell
// of the grid, both distributions of the pair keep their mass, so delta is exact at the grid's
// points and too large between them. Masses outside `range` move up: to the lowest point, or to
// infinity. Exact but for the rounding of erfc; (range / interval + 2) points.
LossGrid discretize_losses(const SampledStep& step, double interval, const LossRange& range);

} // namespace coppice
