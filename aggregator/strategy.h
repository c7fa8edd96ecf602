// SPDX-License-Identifier: Apache-2.0
// A strategy: how deltas become the next shared adapter.
//
// Two halves: what it asks of the round (prepare: recipe, slots, groups), and what it does with the
// sums (step). Trainers on devices know recipes and never strategies' names. All strategies stand
// in one explicit table, strategies/table.cc; each is one short file of that folder, with its paper
// and equation. A user's own is such a file and a line there (examples/custom_strategy).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "adapters/adapter.h"
#include "aggregator/strategy_state.h"
#include "protocol/round_plan.h"

namespace coppice {

// What a strategy must see. Anything but a sum can't be had under secure aggregation.
enum class Need { kSum, kMultiPassSum, kGroupSum, kIndividual };
const char* need_name(Need need);

// What takes the devices' mean delta for a gradient (Reddi et al. 2021, algorithm 2).
enum class ServerOptimizerKind { kNone, kMomentum, kAdam, kYogi, kAdagrad };

// [round] strategy and [strategy]: a strategy looks at those that its row of the table names.
struct StrategySettings {
  std::string name = "fedavg";
  ServerOptimizerKind server_optimizer = ServerOptimizerKind::kNone;
  double server_learning_rate = 0; // 0: the optimizer's own
  double server_momentum = 0.9;
  double beta1 = 0.9;
  double beta2 = 0.99;
  double tau = 1e-3;
  double loss_power = 0.2;          // q of qfedavg
  std::uint64_t population = 0;     // devices that take part now and then; 0: the round's cohort
  double trim = 0.2;                // share that is left out at each end
  double byzantine_fraction = 0.2;  // of a round's devices, or groups of them
  std::uint32_t keep = 0;           // of multi-krum; 0: all but the byzantine
  double radius = 0;                // norm that updates are shortened to; 0: the median norm
  std::uint32_t bucket = 1;         // devices whose mean counts as one update
  std::uint32_t patch_rank = 0;     // of those with a patch (aggregator/patch.h); 0: twice lora.r
  std::uint32_t warmup_rounds = 4;  // releases before fedsb trains cores
  std::uint32_t clusters = 2;       // of ifca
  std::uint32_t buffer = 10;        // of fedbuff: uploads that make a release
  std::uint32_t max_staleness = 10; // of fedbuff: releases that an upload may be late
  double staleness_exponent = 0.5;  // of fedbuff: an upload s releases late counts (1 + s)^-this
  bool operator==(const StrategySettings&) const = default;
};

// The decoded sum over the survivors of a round, or of one of its groups.
struct RoundSum {
  std::vector<double> delta; // sum of weight * clipped delta, in the order of Adapter::values();
                             // zeros where the recipe shares nothing
  double weight = 0;         // sum of weights
  double weighted_steps = 0; // sum of weight * optimizer steps, with Recipe::normalize_by_steps
  double weighted_curvature = 0;         // sum of weight * curvature, with Recipe::loss_power
  std::vector<double> cluster_weights{}; // of each cluster, with Recipe::clusters; their sum is
                                         // the weight's
  std::uint32_t participants = 0;
  std::uint32_t staleness = 0; // of late uploads: releases made since what they started from
};

// A figure of a round: a metric slot's mean over the survivors, or what the strategy says of its
// step.
struct MetricMean {
  std::string name;
  double mean = 0;
};
// Of a strategy with a patch: the share of the patch's energy that its rank had no room for.
inline constexpr const char* kMetricPatchDropped = "patch_dropped_energy";

struct RoundInput {
  const RoundPlan& plan;
  std::span<const RoundSum> groups; // those that somebody came to; one for Need::kSum
  const Adapter& current;
  std::vector<MetricMean>* metrics = nullptr; // where the strategy puts its own, if anywhere
  // Uploads of earlier rounds, a sum for each of these: under plans with SumTerms::max_staleness.
  std::span<const RoundSum> late{};
};

// How many buckets of so many devices, or a few more, the cohort makes.
inline std::uint32_t buckets_of(std::uint32_t size, std::uint32_t cohort) {
  return std::max(1U, cohort / size);
}

// Stateless: what it keeps is in StrategyState. Thread-safe.
class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual Need need() const = 0;
  // Sets the plan's fields that this strategy owns; everything else is the configuration's. The
  // cohort is known.
  virtual void prepare(RoundPlan& plan) const = 0;
  // Next shared adapter minus `current`, in the order of Adapter::values(). kFailedPrecondition
  // where the round's sums don't do: it is abandoned then.
  virtual Result<std::vector<double>> step(const RoundInput& round, StrategyState& state) const = 0;
  // The same, a slot after another: A of each target, then its B. By default out of step(); a
  // strategy that works target by target makes it so, and never holds the whole.
  using TakeSlot = std::function<Result<void>(std::span<const double> slot)>;
  virtual Result<void> step_by_slot(const RoundInput& round, StrategyState& state,
                                    const TakeSlot& take) const;
};

// A line of the table.
struct StrategyEntry {
  std::string_view name;
  Need need;
  std::string_view paper;
  std::string_view rule;    // what it does, in a few words
  std::string_view options; // keys of [strategy] that it looks at: "trim|radius"
  std::unique_ptr<Strategy> (*make)(const StrategySettings& settings);
  bool patch = false; // keeps a patch above the trained ranks (aggregator/patch.h)
  // Gives factors in other coordinates than it took them in: what belongs to a value before the
  // round belongs to none after it.
  bool refactors = false;
  bool clusters = false; // keeps several adapters in one (adapters/rank_slices.h)
};
// Null for a name that nobody has.
const StrategyEntry* find_strategy(std::string_view name);
std::span<const StrategyEntry> all_strategies(); // ours, then custom_strategies()
// Those of a program that defines this function itself; the library's has none.
std::span<const StrategyEntry> custom_strategies();
// What settings.name stands for, within its server optimizer and bucket. Other programs' names are
// understood ("FedTrimmedAvg"). kInvalidArgument, with the nearest name, and for a server optimizer
// around a patch; kFailedPrecondition, with the reason, where the need and secure aggregation can't
// be combined.
Result<std::unique_ptr<Strategy>> make_strategy(const StrategySettings& settings,
                                                bool secure_aggregation);
// Ours for a name of another program; the name itself otherwise.
std::string_view strategy_name(std::string_view name);

} // namespace coppice
