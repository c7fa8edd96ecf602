// SPDX-License-Identifier: Apache-2.0
#include "protocol/round_mechanism.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/text.h"
#include "protocol/plan_encoding.h"

namespace coppice {
namespace {

MechanismKind kind_of(NoiseKind noise) {
  switch (noise) {
    case NoiseKind::kNone: return MechanismKind::kNone;
    case NoiseKind::kCentral: return MechanismKind::kDiscreteGaussian;
    case NoiseKind::kSkellam: return MechanismKind::kDistributedSkellam;
    case NoiseKind::kDistributedGaussian: return MechanismKind::kDistributedDiscreteGaussian;
    case NoiseKind::kBanded: return MechanismKind::kBanded;
  }
  return MechanismKind::kNone;
}

constexpr double kCalibration = 1e-4; // the multiplier's precision, relative, at most
constexpr int kCalibrationSteps = 64;

} // namespace

Result<BandedCoefficients> banded_coefficients_of(const RoundPlan& plan) {
  // Variances up to 2^58 on the finer lattice: 2^-f in units of the deltas' integers.
  const auto bits = static_cast<int>(std::bit_width(plan.slots.front().noise_variance));
  const int fraction_bits = std::clamp((58 - bits) / 2, 0, static_cast<int>(kMaxFractionBits));
  return BandedCoefficients::create(plan.privacy.min_separation,
                                    static_cast<std::uint32_t>(fraction_bits));
}

Mechanism mechanism_of(const RoundPlan& plan) {
  const NoiseKind noise = plan.privacy.noise;
  COPPICE_CHECK(noise != NoiseKind::kNone);
  Mechanism mechanism;
  mechanism.kind = kind_of(noise);
  mechanism.adversary = noise_is_distributed(noise) ? Adversary::kAggregator : Adversary::kRelease;
  mechanism.sampling_rate = plan.privacy.sampling_rate;
  double unit = 1; // of the noise, as a share of a ring unit
  if (noise == NoiseKind::kBanded) {
    const auto coefficients = banded_coefficients_of(plan);
    COPPICE_CHECK(coefficients.ok());
    mechanism.column_norm = coefficients->column_norm();
    mechanism.participations = plan.privacy.max_participations;
    unit = std::exp2(coefficients->fraction_bits);
  }
  bool deltas_counted = false;
  for (const Slot& slot : plan.slots) {
    const bool delta = slot.kind == SlotKind::kDelta;
    if (delta && std::exchange(deltas_counted, true)) continue;
    const std::uint64_t dimension = delta ? plan.delta_elements() : 1;
    const double l2 = std::sqrt(slot_sensitivity_squared(plan, slot));
    mechanism.slots.push_back({.variance = sure_noise_variance(plan, slot) * unit * unit,
                               .l2_sensitivity = l2 * unit,
                               .l1_sensitivity = l1_sensitivity_bound(l2 * unit, dimension),
                               .dimension = dimension});
    if (noise == NoiseKind::kDistributedGaussian) {
      mechanism.shares = static_cast<std::uint64_t>(sure_noise_variance(plan, slot) /
                                                    static_cast<double>(slot.noise_variance));
    }
  }
  return mechanism;
}

Result<RoundPlan> least_noise(const std::function<Result<RoundPlan>(double)>& plan_with,
                              double start, const NoiseTarget& target) {
  const auto enough = [&](const RoundPlan& plan) -> Result<bool> {
    const Spend spend{mechanism_of(plan), target.times};
    return COPPICE_TRY(spent_epsilon({&spend, 1}, target.delta)) <= target.epsilon;
  };
  double low = start;
  double high = start;
  double step = kCalibration;
  RoundPlan best = COPPICE_TRY(plan_with(high));
  for (int steps = 0; !COPPICE_TRY(enough(best)); ++steps) {
    if (steps == kCalibrationSteps) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("no noise that fits a ring of ", best.slots.front().bits.value,
                       " bits gives epsilon ", target.epsilon, " over ", target.times, " rounds")};
    }
    low = high;
    high *= 1 + step;
    step *= 2;
    best = COPPICE_TRY(plan_with(high));
  }
  // Epsilon goes at most with the root of the rounds: one more is half of 1 / times.
  const double precision = std::min(kCalibration, 0.125 / static_cast<double>(target.times));
  while (high > low * (1 + precision)) {
    const double middle = std::sqrt(low * high);
    RoundPlan tried = COPPICE_TRY(plan_with(middle));
    const bool fits = COPPICE_TRY(enough(tried));
    (fits ? high : low) = middle;
    if (fits) best = std::move(tried);
  }
  return best;
}

} // namespace coppice
