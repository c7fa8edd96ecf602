// SPDX-License-Identifier: Apache-2.0
// What attacks cost: scenarios played with hostile devices against their own runs without any, seed
// by seed, on the same honest clients.
//
// A run's figure is the mean over honest clients of bits per byte on their own report text, after
// the last round: "shared" with the shared adapter as they have it, "served" with what their gates
// chose. Clients whose devices take part in the attack are in neither run's figure, so a loss is
// the honest clients' alone. An attack draws the same devices whatever it does (sim/attack.h). Bits
// per byte are better when lower, so a loss is positive where the attack did harm. A figure that
// isn't finite for one honest client isn't for its run. Pure; thread-safe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/comparison.h"
#include "sim/report_parts.h"

namespace coppice {

inline constexpr const char* kRobustnessTable = "robustness.csv";

struct AttackedScenario {
  std::size_t scenario = 0; // which of those that are compared
  std::string attack;       // "sign-flip"
  double fraction = 0;      // of the devices
  double strength = 1;
  std::vector<RunRecord> runs = {}; // by seed, as the scenario's; none where refused
  std::string refused = {};         // why it can't be played; empty: it was
};

struct RobustFigure {
  std::vector<double> clean_by_seed; // NaN where a run has none
  std::vector<double> by_seed;
  MeanInterval clean;
  MeanInterval value;
  MeanInterval loss; // value - clean, paired by seed
};

// One scenario under one attack.
struct RobustRow {
  std::size_t scenario = 0;
  std::string attack;
  double fraction = 0;
  double strength = 1;
  RobustFigure shared;
  RobustFigure served;
  std::vector<std::uint64_t> hostile;   // devices, by seed
  std::vector<std::uint64_t> honest;    // clients that figures are of, by seed
  std::vector<std::uint64_t> evaluated; // clients one by one, the hostile among them
  std::string refused;                  // why some seeds or all have no figure; empty: each has one
};

struct Robustness {
  std::vector<std::string> names; // of the scenarios
  std::vector<std::string> strategies;
  std::vector<std::uint64_t> seeds;
  std::vector<std::string> attacks; // in the order in which they were first named
  std::vector<RobustRow> rows;      // empty: nothing was attacked

  const RobustRow* find(std::size_t scenario, std::string_view attack) const; // null: not played
};

// A run has no figure, and its row a reason, where the attack drew no device, where no round made a
// release, and where no honest client was evaluated.
Robustness robustness(std::span<const ComparedScenario> scenarios,
                      std::span<const AttackedScenario> attacked);

enum class RobustMeasure { kShared, kServed };
const RobustFigure& figure_of(const RobustRow& row, RobustMeasure measure);
std::string_view robust_measure_name(RobustMeasure measure); // "shared", "served"

// A row a scenario, a column an attack: bits per byte, the first column without an attack.
ReportTable robust_bits_table(const Robustness& robust, RobustMeasure measure);
// The same shape: losses against the scenario's own run.
ReportTable robust_loss_table(const Robustness& robust, RobustMeasure measure);
// What attacks were: share of the devices, strength, hostile devices and honest clients by seed; a
// row for all scenarios of which it is the same.
ReportTable attacks_table(const Robustness& robust);
// Scenarios and attacks without figures of all seeds, and why; likewise. No rows if there are none.
ReportTable refused_table(const Robustness& robust);

// One row a scenario, attack and measure: columns scenario, strategy, attack, fraction, strength,
// measure, seeds, mean, ci95_low, ci95_high, the same three of clean and of loss, refused, and for
// each seed seed.N, clean.seed.N and honest.seed.N.
std::string robustness_csv(const Robustness& robust);

} // namespace coppice
