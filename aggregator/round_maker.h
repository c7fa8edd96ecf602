// SPDX-License-Identifier: Apache-2.0
// Before a round: settings, strategy and cohort become a plan. After it: the sum becomes a release.
//
// Pure functions; the service and the simulator call the same ones.
#pragma once

#include <string>
#include <vector>

#include "adapters/adapter.h"
#include "aggregator/round.h"
#include "aggregator/settings.h"
#include "aggregator/state_store.h"
#include "aggregator/strategy.h"

namespace coppice {

// The fleet's fixed facts: made by `aggregator init`, kept beside the state.
struct FleetFacts {
  Sha256 fleet; // SHA-256 of the fleet's verify key
  Sha256 base_hash;
  std::uint64_t base_bytes = 0;
  std::string base_name; // for people
  bool test = false;     // test-only randomness: devices of a real fleet refuse it
};

struct PlanInputs {
  RoundId round;
  Epoch epoch;
  KeySetNumber key_set;
  AdapterVersion parent;
  Sha256 adapter_hash;
  std::uint32_t cohort = 0; // devices asked
  PrivacyTerms privacy{};   // with noise: what this round spends and promises
};

// kInvalidArgument, with the numbers, if no plan can be made (a ring too small for the cohort);
// kFailedPrecondition if the adapter has no room for the strategy's patch.
Result<RoundPlan> make_plan(const FleetFacts& facts, const AggregatorSettings& settings,
                            const Strategy& strategy, const AdapterSpec& spec,
                            const PlanInputs& inputs);

// Where privacy.noise_multiplier is 0: the least with which privacy.rounds rounds like this one
// stay within the budget, as the accountant sees them. `inputs.privacy` is filled but for it. Takes
// a second or so. Errors as above, and kInvalidArgument if no noise in this ring does it.
Result<double> planned_noise_multiplier(const FleetFacts& facts, const AggregatorSettings& settings,
                                        const Strategy& strategy, const AdapterSpec& spec,
                                        PlanInputs inputs);

struct RoundOutcome {
  Adapter adapter; // the next shared adapter: the *encoded* step applied to the present one
  EncodedStep step;
  std::uint32_t participants = 0;
  std::vector<MetricMean> metrics; // the slots', then the strategy's
  Bytes control;                   // of control_content()
};

// What a round ended with: a ring sum for each of its plan's groups, one after another, and how
// many devices are in each; and the sums of late uploads, each by its own plan.
struct CountedSums {
  std::span<const std::uint32_t> elements;
  std::span<const std::uint32_t> participants;
  std::span<const LateSum> late{};
};

// Decodes the sums, lets the strategy make its step, encodes it and applies the encoded step.
// `state` is what the strategy keeps; unchanged where this fails.
Result<RoundOutcome> finish_round(const RoundPlan& plan, const Strategy& strategy,
                                  const CountedSums& sums, const Adapter& current,
                                  StrategyState& state);

// What a release carries beside an adapter of `current`'s shape: serialize_adapter() of what the
// strategy says to devices' corrections. Empty: nothing, as by every recipe but that of
// DriftCorrection::kControlVariate.
Bytes control_content(const Recipe& recipe, const Adapter& current, const StrategyState& state);

// What a release of `adapter` looks like; `step` may be null (version 0).
struct ReleaseInputs {
  const FleetFacts& facts;
  Epoch epoch;
  AdapterVersion version;
  ReleaseReason reason = ReleaseReason::kRound;
  Sha256 parent_hash;
  RoundId round;
  Sha256 plan_hash;
  std::uint32_t participants = 0; // with noise the expected number: who came is nobody's business
  double cumulative_epsilon = 0;
  AdapterVersion reverted_to;
  Millis created;
  AdapterVersion last_revert{};
  Bytes control{}; // RoundOutcome's
};
ReleaseContent make_release(const ReleaseInputs& inputs, const Adapter& adapter,
                            const EncodedStep* step, const SigningKey& key);

} // namespace coppice
