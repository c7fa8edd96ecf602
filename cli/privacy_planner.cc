// SPDX-License-Identifier: Apache-2.0
#include "cli/privacy_planner.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/text.h"
#include "privacy/gaussian_curve.h"
#include "privacy/pld.h"
#include "protocol/plan_encoding.h"
#include "protocol/round_mechanism.h"

namespace coppice {
namespace {

constexpr std::uint32_t kOfferedBits[] = {16, 20, 24, 32};

Result<void> check(const PrivacyQuestion& question) {
  if (question.cohort < kMinMembers || question.cohort > limits::kRosterMembers) {
    return invalid_argument(cat("a cohort of ", question.cohort, "; one sum is over ", kMinMembers,
                                " to ", limits::kRosterMembers, " devices"));
  }
  if (question.population < question.cohort) {
    return invalid_argument(cat("a cohort of ", question.cohort, " out of ", question.population,
                                " devices; give a --population at least as large as --cohort"));
  }
  if (question.parameters < 2 || question.parameters > limits::kParameters) {
    return invalid_argument(
        cat(question.parameters, " parameters; an adapter has 2 to ", limits::kParameters));
  }
  return {};
}

// All deltas in one tensor: only their number counts here.
AdapterSpec flat_spec(std::uint64_t parameters) {
  AdapterSpec spec{.architecture = "any", .targets = {}};
  spec.targets.push_back({.tensor = "delta",
                          .in = static_cast<std::uint32_t>(parameters - 1),
                          .out = 1,
                          .rank = 1,
                          .alpha = 1});
  return spec;
}

Result<RoundPlan> plan_with(const PrivacyQuestion& question, RingBits bits, double multiplier) {
  RoundPlan plan;
  plan.clip_norm = question.clip;
  const double stay = (1 - question.graph.dropout) * question.cohort;
  plan.sum = {.goal = question.cohort,
              .min_survivors = static_cast<std::uint32_t>(std::ceil(stay)),
              .cohort = question.cohort,
              .max_weight = 1,
              .secure_aggregation = true,
              .corrupt_fraction = question.graph.corrupt,
              .dropout_fraction = question.graph.dropout,
              .server = question.graph.server};
  plan.privacy = {.noise = question.adversary == Adversary::kRelease ? NoiseKind::kCentral
                                                                     : NoiseKind::kSkellam,
                  .noise_multiplier = multiplier,
                  .delta = question.delta,
                  .sampling_rate = sampling_rate_of(question),
                  .expected_cohort = question.cohort};
  COPPICE_TRY(choose_encoding(
      plan, flat_spec(question.parameters),
      {.bits = bits, .whole_vector = true, .rotate = true, .noise_multiplier = multiplier}));
  return plan;
}

double inflation_of(const RoundPlan& plan) {
  const double bound = std::sqrt(static_cast<double>(plan.encoding.norm_bound_squared));
  return bound / (plan.slots.front().scale * plan.clip_norm) - 1;
}

// The narrowest ring in which rounding costs little; else the widest that holds the sum at all.
Result<RingBits> choose_bits(const PrivacyQuestion& question, double multiplier) {
  std::optional<RingBits> widest;
  Error last = invalid_argument("");
  for (const std::uint32_t offered : kOfferedBits) {
    const RingBits bits = COPPICE_TRY(RingBits::make(offered));
    const auto plan = plan_with(question, bits, multiplier);
    if (!plan.ok()) {
      last = plan.error();
      continue;
    }
    if (inflation_of(*plan) <= kMostInflation) return bits;
    widest = bits;
  }
  if (!widest) return last;
  return *widest;
}

Result<double> accounted(const PrivacyQuestion& question, const RoundPlan& plan) {
  const Spend spend{mechanism_of(plan), question.rounds};
  return spent_epsilon({&spend, 1}, question.delta);
}

double encoded_noise(const PrivacyQuestion& question, const RoundPlan& plan) {
  const Slot& deltas = plan.slots.front();
  const double shares = noise_is_distributed(plan.privacy.noise) ? question.cohort : 1;
  const double norm = std::sqrt(static_cast<double>(deltas.noise_variance) * shares *
                                static_cast<double>(question.parameters));
  return norm / (deltas.scale * plan.clip_norm * question.cohort);
}

} // namespace

double sampling_rate_of(const PrivacyQuestion& question) {
  if (question.adversary == Adversary::kAggregator) return 1;
  return question.cohort / static_cast<double>(question.population);
}

Result<double> quick_epsilon(const PrivacyQuestion& question, double z) {
  const double rate = sampling_rate_of(question);
  if (rate == 1) {
    return gaussian_epsilon(question.delta, std::sqrt(static_cast<double>(question.rounds)) / z);
  }
  const SampledGaussian group{z, rate, question.rounds};
  return pld_epsilon({&group, 1}, question.delta);
}

Result<PrivacyAnswer> answer_privacy(const PrivacyQuestion& question) {
  COPPICE_TRY(check(question));
  PrivacyAnswer answer;
  answer.graph = COPPICE_TRY(find_graph_parameters(question.cohort, question.graph));
  answer.continuous_multiplier =
      COPPICE_TRY(noise_multiplier_for({.epsilon = question.epsilon,
                                        .delta = question.delta,
                                        .sampling_rate = sampling_rate_of(question),
                                        .rounds = question.rounds}));
  const RingBits bits = COPPICE_TRY(choose_bits(question, answer.continuous_multiplier));
  answer.plan = COPPICE_TRY(least_noise(
      [&](double multiplier) { return plan_with(question, bits, multiplier); },
      answer.continuous_multiplier,
      {.epsilon = question.epsilon, .delta = question.delta, .times = question.rounds}));
  answer.noise_multiplier = answer.plan.privacy.noise_multiplier;
  answer.accounted_epsilon = COPPICE_TRY(accounted(question, answer.plan));
  answer.noise_over_clip = answer.noise_multiplier *
                           std::sqrt(static_cast<double>(question.parameters)) / question.cohort;
  answer.encoded_noise_over_clip = encoded_noise(question, answer.plan);
  answer.inflation = inflation_of(answer.plan);
  answer.bytes = COPPICE_TRY(device_bytes(answer.plan, answer.graph));
  return answer;
}

} // namespace coppice
