// SPDX-License-Identifier: Apache-2.0
#include "privacy/accountant.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/text.h"
#include "privacy/gaussian_curve.h"
#include "privacy/pld.h"
#include "privacy/rdp.h"

namespace coppice {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLeastMultiplier = 1e-3;
constexpr double kLeastEpsilon = 1e-9;
constexpr double kMultiplierStep = 1e-6;
constexpr int kMaxCalibrationSteps = 60;
constexpr int kDeltaParts = 4; // of a mixed list; each split is a valid bound

// Integer orders, which every mechanism has a bound at: all to 64, then 10 % apart to 10^4.
std::span<const double> mechanism_orders() {
  static const std::vector<double> all_orders = [] {
    std::vector<double> orders;
    for (int order = 2; order <= 64; ++order) orders.push_back(order);
    while (orders.back() < 1e4) orders.push_back(std::ceil(1.1 * orders.back()));
    return orders;
  }();
  return all_orders;
}

bool sampled(const Mechanism& mechanism) {
  return mechanism.kind == MechanismKind::kDiscreteGaussian && mechanism.sampling_rate < 1.0;
}

// Note [Discrete from continuous]; 0 where it doesn't apply.
double continuous_multiplier(const Mechanism& mechanism) {
  if (mechanism.kind != MechanismKind::kDiscreteGaussian) return 0.0;
  std::vector<double> multipliers;
  for (const NoisedVector& slot : mechanism.slots) {
    multipliers.push_back(continuous_noise_multiplier(slot));
  }
  return combined_noise_multiplier(multipliers);
}

// One vector, at rate 1.
double slot_rdp(const Mechanism& mechanism, const NoisedVector& slot, double order) {
  switch (mechanism.kind) {
    case MechanismKind::kNone: return kInfinity;
    case MechanismKind::kDiscreteGaussian: return discrete_gaussian_rdp(slot, order);
    case MechanismKind::kDistributedSkellam: return skellam_rdp(slot, order);
    case MechanismKind::kDistributedDiscreteGaussian:
      return discrete_gaussian_sum_rdp(slot, mechanism.shares, order);
    case MechanismKind::kBanded: {
      NoisedVector series = slot;
      series.l2_sensitivity =
          banded_sensitivity(mechanism.column_norm, mechanism.participations, slot.l2_sensitivity);
      return discrete_gaussian_rdp(series, order);
    }
  }
  return kInfinity;
}

// Slots have independent noise, so at rate 1 their values add; a sampled round may be less.
Result<double> mechanism_rdp(const Mechanism& mechanism, double order) {
  if (mechanism.kind == MechanismKind::kNone) return kInfinity;
  double full = 0.0;
  for (const NoisedVector& slot : mechanism.slots) full += slot_rdp(mechanism, slot, order);
  if (!sampled(mechanism)) return full;
  const double continuous = COPPICE_TRY(
      sampled_gaussian_rdp(mechanism.sampling_rate, continuous_multiplier(mechanism), order));
  // A pointwise factor exp(+-slack) on both distributions adds (2 order - 1) / (order - 1) slacks.
  const double slacks = 3.0 * static_cast<double>(mechanism.slots.size()) * kSmoothingSlack;
  return std::min(full, continuous + slacks);
}

Result<std::vector<double>> total_rdp(std::span<const Spend> spends) {
  std::vector<double> total(mechanism_orders().size(), 0.0);
  for (const auto& [mechanism, times] : spends) {
    for (std::size_t i = 0; times > 0 && i < total.size(); ++i) {
      total[i] +=
          static_cast<double>(times) * COPPICE_TRY(mechanism_rdp(mechanism, mechanism_orders()[i]));
    }
  }
  return total;
}

// The list, divided by what loss distributions can account.
struct Divided {
  std::vector<SampledGaussian> continuous;
  double slack = 0.0; // of all of them together, see Note [Discrete from continuous]
  std::vector<Spend> rest;
};

Divided divide(std::span<const Spend> spends) {
  Divided divided;
  for (const Spend& spend : spends) {
    const double multiplier = continuous_multiplier(spend.mechanism);
    if (spend.times == 0) continue;
    if (multiplier > 0.0) {
      divided.continuous.push_back({multiplier, spend.mechanism.sampling_rate, spend.times});
      divided.slack += static_cast<double>(spend.times) *
                       static_cast<double>(spend.mechanism.slots.size()) * kSmoothingSlack;
    } else {
      divided.rest.push_back(spend);
    }
  }
  return divided;
}

bool always_drawn(std::span<const SampledGaussian> groups) {
  return std::all_of(groups.begin(), groups.end(),
                     [](const SampledGaussian& group) { return group.sampling_rate == 1.0; });
}

double total_mu(std::span<const SampledGaussian> groups) {
  double squares = 0.0;
  for (const auto& [multiplier, rate, steps] : groups) {
    squares += static_cast<double>(steps) / (multiplier * multiplier);
  }
  return std::sqrt(squares);
}

Result<double> continuous_epsilon(const Divided& divided, double delta) {
  const double shrunk = delta * std::exp(-divided.slack);
  const double epsilon = always_drawn(divided.continuous)
                             ? COPPICE_TRY(gaussian_epsilon(shrunk, total_mu(divided.continuous)))
                             : COPPICE_TRY(pld_epsilon(divided.continuous, shrunk));
  return epsilon + 2.0 * divided.slack;
}

Result<double> continuous_delta(const Divided& divided, double epsilon) {
  const double shrunk = std::max(0.0, epsilon - 2.0 * divided.slack);
  const double delta = always_drawn(divided.continuous)
                           ? gaussian_delta(shrunk, total_mu(divided.continuous))
                           : COPPICE_TRY(pld_delta(divided.continuous, shrunk));
  return std::min(1.0, delta * std::exp(divided.slack));
}

Result<void> check(std::span<const Spend> spends) {
  std::uint64_t rounds = 0;
  for (const Spend& spend : spends) {
    COPPICE_TRY(check_mechanism(spend.mechanism));
    if (spend.times > kMaxPldSteps - rounds) {
      return Error{ErrorCode::kTooLarge,
                   cat("more than ", kMaxPldSteps, " rounds can't be accounted together")};
    }
    rounds += spend.times;
  }
  return {};
}

// How far a multiplier misses the target: the log of a ratio, positive where epsilon is too large.
Result<double> excess(const PrivacyTarget& target, double multiplier) {
  const SampledGaussian group{multiplier, target.sampling_rate, target.rounds};
  const double epsilon = COPPICE_TRY(pld_epsilon({&group, 1}, target.delta));
  return std::log(std::max(epsilon, kLeastEpsilon) / target.epsilon);
}

} // namespace

Result<void> check_mechanism(const Mechanism& mechanism) {
  const bool central = mechanism.kind == MechanismKind::kDiscreteGaussian ||
                       mechanism.kind == MechanismKind::kBanded;
  if (central && mechanism.adversary == Adversary::kAggregator) {
    return invalid_argument(
        "noise that the aggregator adds promises nothing against the aggregator; use noise of the "
        "devices, or promise it against whoever sees the release");
  }
  if (!(mechanism.sampling_rate > 0.0 && mechanism.sampling_rate <= 1.0)) {
    return invalid_argument(
        cat("a sampling rate of ", mechanism.sampling_rate, "; it must lie in (0, 1]"));
  }
  if (mechanism.shares == 0 || mechanism.participations == 0 || !(mechanism.column_norm > 0.0) ||
      !std::isfinite(mechanism.column_norm)) {
    return invalid_argument(cat("noise of ", mechanism.shares, " shares, ",
                                mechanism.participations, " participations and column norm ",
                                mechanism.column_norm, "; all three must be positive"));
  }
  if (mechanism.kind == MechanismKind::kNone) return {};
  if (mechanism.slots.empty())
    return invalid_argument("a round with noise, but without slots that carry it");
  for (const NoisedVector& slot : mechanism.slots) COPPICE_TRY(check_noised_vector(slot));
  return {};
}

Result<double> spent_epsilon(std::span<const Spend> spends, double delta) {
  COPPICE_TRY(check(spends));
  const auto orders = mechanism_orders();
  double best = COPPICE_TRY(rdp_to_epsilon(orders, COPPICE_TRY(total_rdp(spends)), delta)).epsilon;
  const Divided divided = divide(spends);
  if (divided.continuous.empty()) return spends.empty() ? 0.0 : best;
  if (divided.rest.empty()) {
    return std::min(best, COPPICE_TRY(continuous_epsilon(divided, delta)));
  }
  if (best == kInfinity) return best;
  const std::vector<double> rest = COPPICE_TRY(total_rdp(divided.rest));
  for (int part = 1; part < kDeltaParts; ++part) {
    const double share = delta * part / kDeltaParts;
    best = std::min(best, COPPICE_TRY(continuous_epsilon(divided, share)) +
                              COPPICE_TRY(rdp_to_epsilon(orders, rest, delta - share)).epsilon);
  }
  return best;
}

Result<double> spent_delta(std::span<const Spend> spends, double epsilon) {
  COPPICE_TRY(check(spends));
  const auto orders = mechanism_orders();
  double best = COPPICE_TRY(rdp_to_delta(orders, COPPICE_TRY(total_rdp(spends)), epsilon));
  const Divided divided = divide(spends);
  if (divided.continuous.empty()) return spends.empty() ? 0.0 : best;
  if (divided.rest.empty()) return std::min(best, COPPICE_TRY(continuous_delta(divided, epsilon)));
  const std::vector<double> rest = COPPICE_TRY(total_rdp(divided.rest));
  for (int part = 1; part < kDeltaParts; ++part) {
    const double share = epsilon * part / kDeltaParts;
    best = std::min(best, COPPICE_TRY(continuous_delta(divided, share)) +
                              COPPICE_TRY(rdp_to_delta(orders, rest, epsilon - share)));
  }
  return best;
}

Result<double> noise_multiplier_for(const PrivacyTarget& target) {
  if (!(target.epsilon > 0.0 && std::isfinite(target.epsilon)) ||
      !(target.delta > 0.0 && target.delta < 1.0) ||
      !(target.sampling_rate > 0.0 && target.sampling_rate <= 1.0) || target.rounds == 0) {
    return invalid_argument(
        cat("no noise for epsilon ", target.epsilon, ", delta ", target.delta, ", rate ",
            target.sampling_rate, " and ", target.rounds,
            " rounds; epsilon and rounds must be positive, delta and rate in (0, 1]"));
  }
  // Without sampling the curve is exact, and sampling can only help.
  double high = COPPICE_TRY(gaussian_sigma(target.epsilon, target.delta)) *
                std::sqrt(static_cast<double>(target.rounds));
  if (target.sampling_rate == 1.0) return high;
  // Epsilon is about a power of the multiplier: regula falsi (Illinois) on both logarithms.
  double high_excess = COPPICE_TRY(excess(target, high));
  double low = 0.5 * high;
  double low_excess = COPPICE_TRY(excess(target, low));
  while (low_excess <= 0.0 && low > kLeastMultiplier) {
    high = low;
    high_excess = low_excess;
    low *= 0.5;
    low_excess = COPPICE_TRY(excess(target, low));
  }
  bool moved_low = false;
  for (int i = 0; i < kMaxCalibrationSteps && high > low * (1.0 + kMultiplierStep); ++i) {
    const double width = std::log(high / low);
    const double part =
        std::clamp(low_excess / (low_excess - high_excess), 0.25 * kMultiplierStep / width,
                   1.0 - 0.25 * kMultiplierStep / width);
    const double middle = low * std::exp(part * width);
    const double middle_excess = COPPICE_TRY(excess(target, middle));
    const bool too_low = middle_excess > 0.0;
    if (i > 0 && too_low == moved_low) (too_low ? high_excess : low_excess) *= 0.5;
    (too_low ? low : high) = middle;
    (too_low ? low_excess : high_excess) = middle_excess;
    moved_low = too_low;
  }
  return high;
}

double combined_noise_multiplier(std::span<const double> multipliers) {
  double squares = 0.0;
  for (const double z : multipliers) squares += 1.0 / (z * z);
  return 1.0 / std::sqrt(squares);
}

} // namespace coppice
