// SPDX-License-Identifier: Apache-2.0
// A strategy: how deltas become the next shared adapter.
//
// Two halves: what it asks of the round (prepare: recipe, slots, cohort), and what it does with the
// sum (step). Trainers on devices know recipes and never strategies' names. All strategies stand in
// one explicit table, strategies.cc; each is one short file. Stateless and thread-safe.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "adapters/adapter.h"
#include "protocol/round_plan.h"

namespace coppice {

// What a strategy must see. Anything but a sum can't be had under secure aggregation.
enum class Need { kSum, kMultiPassSum, kGroupSum, kIndividual };
const char* need_name(Need need);

// The decoded sum over the round's survivors.
struct RoundSum {
  std::vector<double> delta; // sum of weight * clipped delta, in ring order of the delta slots
  double weight = 0;         // sum of weights
  std::uint32_t participants = 0;
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual const char* name() const = 0;
  virtual const char* paper() const = 0;
  virtual Need need() const = 0;
  // Sets the plan's recipe fields that this strategy owns; everything else is the configuration's.
  virtual void prepare(RoundPlan& plan) const = 0;
  // Next shared adapter minus `current`, in ring order. Refuses a sum without weight.
  virtual Result<std::vector<double>> step(const RoundSum& sum, const Adapter& current) const = 0;
};

struct StrategyEntry {
  const char* name;
  const Strategy& strategy;
};
std::span<const StrategyEntry> all_strategies();
// kInvalidArgument, with the nearest name; kFailedPrecondition, with the reason, where the need and
// secure aggregation can't be combined.
Result<const Strategy*> find_strategy(std::string_view name, bool secure_aggregation);

const Strategy& fedavg(); // aggregator/fedavg.cc

} // namespace coppice
