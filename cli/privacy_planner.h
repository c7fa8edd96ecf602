// SPDX-License-Identifier: Apache-2.0
// What an (epsilon, delta) takes: noise, ring, graph and bytes of a round, and whether an adapter
// can learn beside that noise. Behind `coppice privacy plan`.
//
// Encoding, noise and messages are those of a real plan (protocol/plan_encoding.h), with every
// delta in one tensor of `parameters` elements; so what is accounted is the mechanism that would be
// sampled. Takes up to a second. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "cli/privacy_bytes.h"
#include "privacy/accountant.h"
#include "protocol/round_plan.h"

namespace coppice {

// Noise norm over clip norm of the mean above which nothing is learnt.
inline constexpr double kMostNoiseOverClip = 0.5;
// And what is called a promise at all.
inline constexpr double kMostEpsilon = 10;
// The most that rounding may add to a delta's norm before more ring bits are taken.
inline constexpr double kMostInflation = 0.03;

struct PrivacyQuestion {
  std::uint64_t population = 0; // devices that the promise is for
  std::uint32_t cohort = 0;     // expected in a round
  std::uint64_t rounds = 0;
  double epsilon = 0;
  double delta = 0;
  std::uint64_t parameters = 0; // of a device's delta
  double clip = 20;             // the default of round.clip_norm; ratios don't depend on it
  Adversary adversary = Adversary::kRelease;
  GraphAssumptions graph;
};

// kRelease: each enrolled device drawn by itself, cohort / population. kAggregator: 1.
double sampling_rate_of(const PrivacyQuestion& question);

struct PrivacyAnswer {
  double noise_multiplier = 0;  // over sensitivity, all slots together: what is accounted
  double accounted_epsilon = 0; // of the sampled mechanism, after all rounds
  // What the continuous Gaussian would need; the sampled mechanism takes more.
  double continuous_multiplier = 0;
  double noise_over_clip = 0; // multiplier * sqrt(parameters) / cohort
  // The same of the deltas' own noise as encoded: rounding's share, the metrics' share, and with
  // the devices' noise the surplus where nobody is corrupt or leaves.
  double encoded_noise_over_clip = 0;
  double inflation = 0; // what rounding may add to a delta's norm, as a share of it
  RoundPlan plan;       // ring, scale, wrap bound and noise; no names, hashes or recipe
  GraphParameters graph;
  DeviceBytes bytes;
  bool can_learn() const { return noise_over_clip <= kMostNoiseOverClip; }
};

// kInvalidArgument, with the numbers, for a question out of range, and where no ring that plans
// offer holds the sum and its noise; find_graph_parameters()'s errors.
Result<PrivacyAnswer> answer_privacy(const PrivacyQuestion& question);

// Epsilon that multiplier `z` gives over the question's rounds, by the continuous Gaussian: quick,
// and lower than what answer_privacy() accounts.
Result<double> quick_epsilon(const PrivacyQuestion& question, double z);

} // namespace coppice
