// SPDX-License-Identifier: Apache-2.0
// The sections of report.html, each a piece of markup; empty where the runs have nothing to say.
//
// Pure; thread-safe.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "sim/report_parts.h"
#include "sim/run_record.h"

namespace coppice {

// Runs under names that differ, by their seeds or folders where the scenarios' don't. Run i has
// colour i.
struct ReportRuns {
  std::span<const RunRecord> runs;
  std::vector<std::string> names;
  bool one() const { return runs.size() == 1; }
};
ReportRuns named_runs(std::span<const RunRecord> runs);

// Names, seeds, hashes and warnings; then what the runs come to.
std::string header_section(const ReportRuns& runs);
std::string figures_section(const ReportRuns& runs);
std::string losses_section(const ReportRuns& runs);
std::string sets_section(const ReportRuns& runs); // base, shared and centralized by report set
std::string targets_section(const ReportRuns& runs);
std::string clients_section(const ReportRuns& runs);
std::string traffic_section(const ReportRuns& runs);
std::string participation_section(const ReportRuns& runs);
std::string privacy_section(const ReportRuns& runs);
std::string updates_section(const ReportRuns& runs); // clip, cosines, product gap, metrics
std::string origin_section(const ReportRuns& runs);

// A line a run over its rounds, thinned. `so_far`: each point is the sum up to there.
using RoundValue = std::function<double(const PlayedRoundEvent& round)>;
std::vector<ChartLine> lines_by_round(const ReportRuns& runs, const RoundValue& value,
                                      bool so_far = false);

} // namespace coppice
