// SPDX-License-Identifier: Apache-2.0
// What `sim run` writes at a run's end and `sim report` at any time: page, tables, TensorBoard's
// files, and the few lines for the terminal.
#pragma once

#include "cli/console.h"
#include "sim/report_sections.h"

namespace coppice {

struct ReportFiles {
  std::string out; // of the page; empty: report.html in the first folder
  bool csv = false;
  bool tensorboard = false;
};
// The paths that were written.
Result<std::vector<std::string>> write_report_files(const ReportFiles& files,
                                                    const std::vector<RunRecord>& runs);
// NaN where it wasn't evaluated.
double bits_at_end(const RunRecord& run, std::string_view set, std::string_view adapter);
void print_report(Console& console, const ReportRuns& runs);

} // namespace coppice
