// SPDX-License-Identifier: Apache-2.0
// Scenarios against one another, each played with the same seeds: what they reach after as many
// rounds, for as many bytes, and at their runs' ends, with intervals of the differences.
//
// Equal rounds: at the last round that every run has an evaluation of. Equal bytes: of each seed,
// the last evaluation of a run within what the scenario that moved least moved in all with that
// seed, up and down together; runs are evaluated every few rounds, so a figure may stand for up to
// that much less than the budget. Clients are evaluated one by one at a run's end alone. Every
// measure is better when lower. References (sim/reference.h) have the figures of a run's end alone:
// they decide neither equal rounds nor equal bytes, and none is the best. Pure; thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/paired_difference.h"
#include "sim/run_record.h"

namespace coppice {

// What choosing a scenario's settings took, before it was compared.
struct TuningBudget {
  std::uint64_t values = 0; // combinations of settings that were tried
  std::uint64_t seeds = 0;  // that each of them was played with
  std::uint64_t rounds = 0; // of each of those runs, at most
  std::uint64_t tokens = 0; // trained on in all of them together
};
// "8 values x 2 seeds x 20 rounds".
std::string tuning_text(const TuningBudget& tuning);

struct ComparedScenario {
  std::string name;
  std::vector<RunRecord> runs; // one a seed
  std::optional<TuningBudget> tuned = {};
  bool reference = false; // the runs are of reference_scenario()
};
// round.strategy of its runs; a reference's own name.
std::string strategy_of(const ComparedScenario& scenario);

enum class ComparedAt { kEqualRounds, kEqualBytes, kEnd };
std::string_view compared_at_name(ComparedAt at); // "equal rounds", "equal bytes", "end"

// A measure of one scenario.
struct ComparedFigure {
  std::vector<double> by_seed; // NaN where a run has none
  MeanInterval value;
  MeanInterval to_first; // differences, paired by seed
  MeanInterval to_best;
};

enum class MeasureUnit { kBits, kShare, kCount, kBytes, kSeconds, kJoules };

struct ComparedMeasure {
  std::string name; // "bits_per_byte.global"
  ComparedAt at;
  MeasureUnit unit;
  std::vector<ComparedFigure> figures; // one a scenario
  // The scenario with the lowest mean, of those with most seeds' values; no reference.
  std::size_t best = 0;
};

struct DifferingSetting {
  std::string name;
  std::vector<std::string> values; // one a scenario, as in TOML
};

// Means over a scenario's seeds at one round, of bits per byte of the shared adapter.
struct CurvePoint {
  double round = 0;
  double bytes = 0; // up and down
  MeanInterval bits;
  MeanInterval to_first; // of the first scenario at that round; no values where it has none
};
struct ComparedCurve {
  std::string set;                                // "global", "unseen", "public"
  std::vector<std::vector<CurvePoint>> scenarios; // at rounds that all seeds have; no reference's
};

struct Comparison {
  std::vector<std::string> names;
  std::vector<std::uint64_t> seeds;
  std::vector<std::string> strategies; // strategy_of(), one a scenario
  std::vector<bool> references;        // likewise
  std::vector<std::optional<TuningBudget>> tuned;
  std::uint64_t equal_round = 0;
  std::vector<double> equal_bytes;       // one a seed
  std::vector<ComparedMeasure> measures; // those that any run has
  std::vector<DifferingSetting> settings;
  std::vector<ComparedCurve> curves;

  // Null where no run has it.
  const ComparedMeasure* find(std::string_view measure, ComparedAt at) const;
};

// Whether differences say something of the scenarios: each seed's runs have the same texts, the
// same program made them all, and where base and engine are the same the base's own figures are.
// kFailedPrecondition names two runs and what differs.
Result<void> check_comparable(std::span<const ComparedScenario> scenarios);

// Of at least one scenario; the same seeds in the same order in each, at least one.
Comparison compare(std::span<const ComparedScenario> scenarios);

} // namespace coppice
