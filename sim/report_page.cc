// SPDX-License-Identifier: Apache-2.0
#include "sim/report_page.h"

#include "base/text.h"
#include "sim/report_document.h"
#include "sim/report_sections.h"

namespace coppice {

std::string report_page(std::span<const RunRecord> all) {
  COPPICE_CHECK(!all.empty() && all.size() <= kMostReportRuns);
  const ReportRuns runs = named_runs(all);
  return report_document(runs.one() ? runs.names.front() : join(runs.names, " | "),
                         cat(header_section(runs), figures_section(runs), losses_section(runs),
                             sets_section(runs), targets_section(runs), clients_section(runs),
                             traffic_section(runs), participation_section(runs),
                             privacy_section(runs), updates_section(runs), origin_section(runs)));
}

} // namespace coppice
