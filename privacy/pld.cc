// SPDX-License-Identifier: Apache-2.0
#include "privacy/pld.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/text.h"
#include "privacy/loss_sum.h"

namespace coppice {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMinLogDelta = -340.0; // smaller deltas are not told apart
constexpr std::size_t kMinPoints = std::size_t{1} << 16U;
constexpr std::size_t kMaxPoints = std::size_t{1} << 18U;
constexpr std::size_t kCoarsePoints = std::size_t{1} << 14U;
constexpr double kPointsPerRootStep = 1000.0; // the grid then adds some 1e-4 of the variance
constexpr int kMaxLooks = 40;                 // each but the last improves on the one before
constexpr double kRoundingShare = 1e-6;       // of delta
constexpr double kSettled = 0.97;             // of the epsilon before
constexpr double kLogSettled = 1.0;           // below the delta before
// How far below the worse direction's delta, in logarithms, the other one need be known.
constexpr double kOtherDirection = 12.0;

std::size_t points_for(std::span<const LossGroup> groups) {
  const double wanted = kPointsPerRootStep * std::sqrt(total_steps(groups));
  std::size_t points = kMinPoints;
  while (points < kMaxPoints && static_cast<double>(points) < wanted) points *= 2;
  return points;
}

// Groups of rate 1 are one Gaussian, exactly; equal groups are counted together.
std::vector<LossGroup> merge(std::span<const SampledGaussian> groups) {
  std::vector<LossGroup> merged;
  double full_mu2 = 0.0;
  for (const SampledGaussian& group : groups) {
    const double z = group.noise_multiplier;
    if (group.steps == 0 || group.sampling_rate == 0.0 || std::isinf(z)) continue;
    if (group.sampling_rate == 1.0) {
      full_mu2 += static_cast<double>(group.steps) / (z * z);
      continue;
    }
    const auto same = std::find_if(merged.begin(), merged.end(), [&](const LossGroup& other) {
      return other.step.noise_multiplier == z && other.step.sampling_rate == group.sampling_rate;
    });
    if (same != merged.end()) {
      same->steps += group.steps;
    } else {
      merged.push_back({{group.sampling_rate, z, Neighbour::kRemoved}, group.steps, {}});
    }
  }
  if (full_mu2 > 0.0)
    merged.push_back({{1.0, 1.0 / std::sqrt(full_mu2), Neighbour::kRemoved}, 1, {}});
  return merged;
}

Result<void> check(std::span<const SampledGaussian> groups) {
  std::uint64_t steps = 0;
  for (const SampledGaussian& group : groups) {
    if (!(group.noise_multiplier >= 0.0) ||
        !(group.sampling_rate >= 0.0 && group.sampling_rate <= 1.0)) {
      return Error{
          ErrorCode::kInvalidArgument,
          cat("a noise multiplier of ", group.noise_multiplier, " at sampling rate ",
              group.sampling_rate, "; the one must not be negative, the other lie in [0, 1]")};
    }
    if (group.steps > kMaxPldSteps - steps) {
      return Error{ErrorCode::kTooLarge,
                   cat("more than ", kMaxPldSteps, " steps can't be composed")};
    }
    steps += group.steps;
  }
  return {};
}

bool noiseless(std::span<const SampledGaussian> groups) {
  return std::any_of(groups.begin(), groups.end(), [](const SampledGaussian& group) {
    return group.noise_multiplier == 0.0 && group.sampling_rate > 0.0 && group.steps > 0;
  });
}

// As much tilt as makes rounding harmless to a delta of exp(log_delta) at `epsilon`, and no more:
// what is tilted further spreads over a wider window. At most the saddle point, where the Chernoff
// bound is least and the tilted mean is epsilon.
double tilt_for(std::span<const LossGroup> groups, double epsilon, double log_delta) {
  const double enough = log_delta + std::log(kRoundingShare / rounding_bound(total_steps(groups)));
  return minimize_over_logs(kMinLossOrder, kMaxLossOrder, [&](double t) {
    return std::max(sketched_log_moment(groups, t) - t * epsilon, enough);
  });
}

// Begins with what Renyi accounting would answer (Canonne, Kamath, Steinke 2020, proposition 12,
// order = t + 1), which is far too large where losses are rare, and looks again around
// each better answer, coarsely at first.
Result<double> epsilon_of(std::vector<LossGroup>& groups, double delta) {
  sketch_groups(groups, delta);
  const double log_delta = std::log(delta);
  const auto renyi = [&](double t) {
    return (sketched_log_moment(groups, t) - log_delta - std::log1p(t)) / t +
           std::log(t / (1.0 + t));
  };
  double epsilon = renyi(minimize_over_logs(kMinLossOrder, kMaxLossOrder, renyi));
  for (const std::size_t points : {kCoarsePoints, points_for(groups)}) {
    bool settled = false;
    for (int look = 0; look < kMaxLooks && !settled; ++look) {
      const double tilt = tilt_for(groups, epsilon, log_delta);
      const LossLayout layout = lay_out_losses(groups, tilt, epsilon, log_delta);
      const double closer = COPPICE_TRY(LossSum::create(groups, layout, points)).epsilon(delta);
      settled = closer > kSettled * epsilon || closer == 0.0;
      epsilon = points == kCoarsePoints ? std::min(epsilon, closer) : closer;
    }
  }
  return epsilon;
}

// An upper bound on log delta, not followed below `log_floor`, from one, `log_delta`, that is
// known. What may be neglected depends on delta, so here, too, each better answer is looked at
// again.
Result<double> log_delta_of(std::vector<LossGroup>& groups, double epsilon, double log_delta,
                            double log_floor, std::size_t points) {
  bool settled = false;
  for (int look = 0; look < kMaxLooks && !settled; ++look) {
    sketch_groups(groups, std::exp(log_delta));
    const double tilt = tilt_for(groups, epsilon, log_delta);
    const LossLayout layout = lay_out_losses(groups, tilt, epsilon, log_delta);
    const double closer =
        std::log(COPPICE_TRY(LossSum::create(groups, layout, points)).delta(epsilon));
    settled = closer > log_delta - kLogSettled || closer <= log_floor;
    log_delta = std::min(log_delta, std::max(closer, log_floor));
  }
  return log_delta;
}

// The largest loss of all steps if somebody is added; infinite at rate 1.
double largest_added_loss(std::span<const LossGroup> groups) {
  double largest = 0.0;
  for (const LossGroup& group : groups) {
    largest -= static_cast<double>(group.steps) * std::log1p(-group.step.sampling_rate);
  }
  return largest;
}

// Whether anybody in particular is drawn at all, with this probability: a bound on any delta.
double drawn_at_all(std::span<const LossGroup> groups) {
  return -std::expm1(-largest_added_loss(groups));
}

// Without sampling, adding costs what removing does.
bool symmetric(std::span<const LossGroup> groups) {
  return groups.size() == 1 && groups[0].step.sampling_rate == 1.0;
}

void turn(std::vector<LossGroup>& groups, Neighbour neighbour) {
  for (LossGroup& group : groups) group.step.neighbour = neighbour;
}

} // namespace

Result<double> pld_epsilon(std::span<const SampledGaussian> groups, double delta) {
  COPPICE_TRY(check(groups));
  if (!(delta > 0.0 && delta < 1.0)) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("delta is ", delta, "; it must lie strictly between 0 and 1")};
  }
  if (noiseless(groups)) return kInfinity;
  std::vector<LossGroup> merged = merge(groups);
  if (merged.empty() || drawn_at_all(merged) <= delta) return 0.0;
  const double removed = COPPICE_TRY(epsilon_of(merged, delta));
  if (symmetric(merged) || removed >= largest_added_loss(merged)) return removed;
  // Hardly ever worse, and a coarse grid is enough to show that.
  turn(merged, Neighbour::kAdded);
  const double log_delta = std::log(delta);
  const double added =
      COPPICE_TRY(log_delta_of(merged, removed, 0.0, log_delta - kOtherDirection, kCoarsePoints));
  if (added <= log_delta) return removed;
  return std::max(removed, COPPICE_TRY(epsilon_of(merged, delta)));
}

Result<double> pld_delta(std::span<const SampledGaussian> groups, double epsilon) {
  COPPICE_TRY(check(groups));
  if (!(epsilon >= 0.0 && std::isfinite(epsilon))) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("epsilon is ", epsilon, "; it must be finite and not negative")};
  }
  if (noiseless(groups)) return 1.0;
  std::vector<LossGroup> merged = merge(groups);
  if (merged.empty()) return 0.0;
  const std::size_t points = points_for(merged);
  const double first = COPPICE_TRY(log_delta_of(merged, epsilon, 0.0, kMinLogDelta, kCoarsePoints));
  const double removed = COPPICE_TRY(log_delta_of(merged, epsilon, first, kMinLogDelta, points));
  if (symmetric(merged) || epsilon >= largest_added_loss(merged))
    return std::min(drawn_at_all(merged), std::exp(removed));
  turn(merged, Neighbour::kAdded);
  const double floor = std::max(kMinLogDelta, removed - kOtherDirection);
  const double other = COPPICE_TRY(log_delta_of(merged, epsilon, 0.0, floor, kCoarsePoints));
  if (other <= removed) return std::min(drawn_at_all(merged), std::exp(removed));
  const double added = COPPICE_TRY(log_delta_of(merged, epsilon, other, floor, points));
  return std::min(drawn_at_all(merged), std::exp(std::max(removed, added)));
}

} // namespace coppice
