// SPDX-License-Identifier: Apache-2.0
// What produced the runs of report.html: hashes, versions, machine, and the settings that aren't
// defaults.
#include <algorithm>

#include "base/text.h"
#include "sim/report_sections.h"

namespace coppice {
namespace {

struct OriginRow {
  const char* name;
  std::string (*of)(const RunRecord& run);
};
constexpr OriginRow kRows[] = {
    {"name", [](const RunRecord& run) { return run.manifest.name; }},
    {"seed", [](const RunRecord& run) { return cat(run.manifest.seed); }},
    {"started", [](const RunRecord& run) { return run.manifest.started; }},
    {"ended by",
     [](const RunRecord& run) { return run.ended ? run.end.reason : std::string("not ended"); }},
    {"program", [](const RunRecord& run) { return run.manifest.program_version; }},
    {"engine", [](const RunRecord& run) { return run.manifest.engine; }},
    {"device", [](const RunRecord& run) { return run.manifest.device; }},
    {"instruction level", [](const RunRecord& run) { return run.manifest.instruction_level; }},
    {"workers", [](const RunRecord& run) { return cat(run.manifest.workers); }},
    {"host", [](const RunRecord& run) { return run.manifest.host; }},
    {"base model, SHA-256", [](const RunRecord& run) { return run.manifest.base_sha256; }},
    {"data, SHA-256", [](const RunRecord& run) { return run.manifest.data_sha256; }},
    {"adapter at the start, SHA-256",
     [](const RunRecord& run) { return run.manifest.adapter_sha256; }},
    {"release at the end, SHA-256",
     [](const RunRecord& run) { return std::string(run.release_sha256()); }},
    {"event log, SHA-256", [](const RunRecord& run) { return run.events_sha256; }},
};

std::string produced_by(const ReportRuns& runs) {
  ReportTable table{.caption = {}, .columns = {{"", CellAlign::kLeft}}, .rows = {}};
  for (const std::string& name : runs.names) table.columns.push_back({name, CellAlign::kLeft});
  for (const OriginRow& row : kRows) {
    std::vector<std::string> cells{row.name};
    for (const RunRecord& run : runs.runs) cells.push_back(row.of(run));
    const bool said = std::any_of(cells.begin() + 1, cells.end(),
                                  [](const std::string& cell) { return !cell.empty(); });
    if (said) table.rows.push_back(std::move(cells));
  }
  return table_html(table);
}

// "quickstart.toml:12": where on the writer's disk it lay says nothing here.
std::string place_of(const std::string& origin) {
  const std::size_t cut = origin.rfind('/');
  return cut == std::string::npos ? origin : origin.substr(cut + 1);
}

// Every setting that some run doesn't take from the defaults.
std::string settings(const ReportRuns& runs) {
  ReportTable table{.caption = "Settings that are not defaults",
                    .columns = {{"setting", CellAlign::kLeft}},
                    .rows = {}};
  for (const std::string& name : runs.names) {
    table.columns.push_back({runs.one() ? "value" : name, CellAlign::kLeft});
  }
  table.columns.push_back({runs.one() ? "from" : "differ", CellAlign::kLeft});
  std::vector<std::string> done;
  for (const RunRecord& run : runs.runs) {
    for (const RecordedSetting& setting : run.manifest.scenario) {
      if (setting.origin == "default" || std::ranges::find(done, setting.name) != done.end()) {
        continue;
      }
      done.push_back(setting.name);
      std::vector<std::string> row{setting.name};
      for (const RunRecord& other : runs.runs) {
        row.emplace_back(other.manifest.setting(setting.name));
      }
      const bool differ = std::any_of(row.begin() + 2, row.end(),
                                      [&row](const std::string& cell) { return cell != row[1]; });
      row.push_back(runs.one() ? place_of(setting.origin) : (differ ? "yes" : ""));
      table.rows.push_back(std::move(row));
    }
  }
  return table_html(table);
}

} // namespace

std::string origin_section(const ReportRuns& runs) {
  return section_html("What produced this", "",
                      cat("<div class=\"origin\">", produced_by(runs), settings(runs), "</div>\n"));
}

} // namespace coppice
