// SPDX-License-Identifier: Apache-2.0
// report.html: what one run came to, or several side by side, as one document
// (sim/report_document.h). Every text from a run is escaped. Pure: the same runs give the same
// bytes. Thread-safe.
#pragma once

#include <span>
#include <string>

#include "sim/run_record.h"

namespace coppice {

inline constexpr std::size_t kMostReportRuns = 6; // as many colours as are told apart

// `runs`: one to kMostReportRuns.
std::string report_page(std::span<const RunRecord> runs);

} // namespace coppice
