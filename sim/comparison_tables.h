// SPDX-License-Identifier: Apache-2.0
// A comparison as tables: for people (a page, a terminal), for spreadsheets, for a paper.
//
// "2.345 ± 0.012" is a mean and half of its 95 % interval. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "sim/comparison.h"
#include "sim/csv_table.h"
#include "sim/report_parts.h"

namespace coppice {

inline constexpr const char* kCompareTable = "compare.csv";
inline constexpr const char* kComparePaper = "compare.tex";
inline constexpr const char* kComparePage = "compare.html";

// Stands once beside tables with differences.
inline constexpr const char* kStarMeans =
    "A star: the 95 % interval of the difference, paired by seed, excludes 0.";

// Bits per byte on a report set at kEqualRounds or kEqualBytes, and differences. No rows if no run
// has it; the same of the others.
ReportTable bits_table(const Comparison& comparison, std::string_view set, ComparedAt at);
// Over clients, at the runs' ends.
ReportTable clients_table(const Comparison& comparison);
// What each scenario cost: strategy, rounds, tokens, bytes both ways, tuning.
ReportTable budget_table(const Comparison& comparison);
// Settings that differ between scenarios, a row each.
ReportTable settings_table(const Comparison& comparison);

// One row a scenario and measure, with the values of each seed: columns scenario, strategy, at,
// measure, seeds, mean, ci95_low, ci95_high, the same three of the differences to the first and to
// the best scenario, and seed.N.
std::string comparison_csv(const Comparison& comparison);
// The cells PREFIXmean, PREFIXci95_low and PREFIXci95_high.
void add_interval(CsvTable& table, const std::string& prefix, const MeanInterval& interval);

// One tabular for \input, in plain LaTeX: no packages. Names are escaped.
std::string comparison_tex(const Comparison& comparison);

// "−0.012 ± 0.003 *"; a dash without values, the mean alone without an interval.
std::string difference_text(MeasureUnit unit, const MeanInterval& difference);
// Of a value: "2.345 ± 0.012", and of how many seeds where not all `seeds` have one.
std::string interval_text(MeasureUnit unit, const MeanInterval& value, std::size_t seeds);

} // namespace coppice
