// SPDX-License-Identifier: Apache-2.0
#include "cli/demo_report.h"

#include <algorithm>
#include <iomanip>
#include <map>
#include <sstream>

#include "aggregator/state_store.h"
#include "base/text.h"
#include "cli/demo_contents.h"
#include "client/ledger.h"
#include "client/serving.h"

namespace coppice {
namespace {

Result<Json> read_json(const fs::path& path) {
  const Bytes raw = COPPICE_TRY(read_file(path, std::size_t{1} << 24U));
  return parse_json(as_text(raw));
}

Result<DemoClientRow> client_row(const DemoDevice& device) {
  DemoClientRow row;
  row.name = device.name;
  const Json report = COPPICE_TRY(read_json(device.folder / "report.json"));
  row.base = COPPICE_TRY(json_double(report, "base"));
  row.shared = COPPICE_TRY(json_double(report, "shared"));
  row.personal = COPPICE_TRY(json_double_if(report, "personal")).value_or(row.shared);
  const Json serving = COPPICE_TRY(read_json(device.folder / "serving.json"));
  row.gate = served_name(static_cast<Served>(COPPICE_TRY(json_uint(serving, "served"))));
  return row;
}

void add_traffic(const DemoFleet& fleet, std::vector<DemoClientRow>& rows) {
  for (const ConnectionTotals& totals : traffic_totals(fleet.traffic())) {
    const auto row = std::ranges::find(rows, totals.route, &DemoClientRow::name);
    if (row == rows.end()) continue;
    row->bytes_up += totals.bytes_up;
    row->bytes_down += totals.bytes_down;
  }
}

// The largest upload of each round, from the ledgers: its chunks with envelope and CURVE.
Result<std::map<std::uint64_t, std::uint64_t>> largest_uploads(const DemoFleet& fleet) {
  std::map<std::uint64_t, std::uint64_t> largest;
  for (const DemoDevice& device : fleet.devices()) {
    std::map<std::uint64_t, std::uint64_t> mine;
    for (const LedgerEntry& entry :
         COPPICE_TRY(read_ledger(DeviceFolder(device.folder).ledger_path()))) {
      if (entry.round.value > 0) mine[entry.round.value] += entry.bytes + kCurveOverhead;
    }
    for (const auto& [round, bytes] : mine) largest[round] = std::max(largest[round], bytes);
  }
  return largest;
}

Result<std::vector<DemoRoundRow>> round_rows(const DemoFleet& fleet, std::uint32_t rounds) {
  StateStore store = COPPICE_TRY(StateStore::observe(fleet.aggregator_folder()));
  const auto largest = COPPICE_TRY(largest_uploads(fleet));
  std::vector<DemoRoundRow> rows;
  for (const RoundRecord& record : COPPICE_TRY(store.rounds(std::size_t{rounds} * 2))) {
    if (record.status == RoundStatus::kRunning) continue; // cut off by the end of the demo
    const auto upload = largest.find(record.round.value);
    rows.push_back({record.round.value, record.status == RoundStatus::kReleased, record.counted,
                    upload == largest.end() ? 0 : upload->second,
                    static_cast<double>((record.ended_wall - record.started_wall).count) / 1000.0});
  }
  std::ranges::reverse(rows);
  return rows;
}

std::string gain(double before, double after) {
  return cat(fixed(100.0 * (before - after) / before, 1), " %");
}

void client_line(std::ostringstream& out, const DemoClientRow& row, bool with_bytes) {
  out << std::left << std::setw(14) << row.name << std::right << std::fixed << std::setprecision(3)
      << std::setw(8) << row.base << std::setw(8) << row.shared << std::setw(10) << row.personal
      << std::setw(10) << gain(row.base, row.personal) << "   " << std::left << std::setw(19)
      << row.gate << std::right;
  if (with_bytes) {
    out << std::setw(8) << human_bytes(static_cast<double>(row.bytes_up)) << std::setw(9)
        << human_bytes(static_cast<double>(row.bytes_down));
  }
  out << "\n";
}

// A device that was killed before its upload must be left out, one that was killed after its
// acknowledgement must count.
Result<void> add_kills(const DemoFleet& fleet, std::vector<DemoClientRow>& rows) {
  if (fleet.kills().empty()) return {};
  StateStore store = COPPICE_TRY(StateStore::observe(fleet.aggregator_folder()));
  const auto counted = COPPICE_TRY(store.counted(RoundId{fleet.kill_round()}));
  for (const DemoKill& kill : fleet.kills()) {
    const DemoDevice& device = fleet.devices()[kill.device];
    const auto identity = COPPICE_TRY(DeviceFolder(device.folder).identity());
    const bool in_sum = counted.contains(identity.id);
    DemoClientRow& row = rows.at(kill.device);
    row.killed = cat("killed in round ", fleet.kill_round(), " ", kill.words, ": ",
                     in_sum ? "counted" : "left out, and the others' sum recovered");
    row.as_promised = in_sum == kill.counts;
  }
  return {};
}

} // namespace

Result<DemoReport> collect_demo(const DemoFleet& fleet, std::uint32_t rounds) {
  DemoReport report;
  for (const DemoDevice& device : fleet.devices()) {
    report.clients.push_back(COPPICE_TRY(client_row(device)));
    const auto count = static_cast<double>(fleet.devices().size());
    report.mean.base += report.clients.back().base / count;
    report.mean.shared += report.clients.back().shared / count;
    report.mean.personal += report.clients.back().personal / count;
  }
  report.mean.name = "mean";
  add_traffic(fleet, report.clients);
  COPPICE_TRY(add_kills(fleet, report.clients));
  report.rounds = COPPICE_TRY(round_rows(fleet, rounds));
  report.resident_most = fleet.resident_bytes_most();
  return report;
}

std::vector<std::string> DemoReport::safety_failures() const {
  std::vector<std::string> found;
  for (const DemoRoundRow& round : rounds) {
    if (!round.released) found.push_back(cat("round ", round.round, " was abandoned"));
  }
  for (const DemoClientRow& row : clients) {
    if (!row.as_promised) found.push_back(cat(row.name, " was ", row.killed));
  }
  if (audit.canaries_found > 0) {
    found.push_back(cat(audit.canaries_found, " secrets were found where none may be"));
  }
  if (audit.unaccounted_bytes > 0) {
    found.push_back(cat(audit.unaccounted_bytes, " bytes left that no ledger accounts for"));
  }
  if (audit.deltas_found > 0) {
    found.push_back(cat("single deltas were found in ", audit.deltas_found, " places"));
  }
  if (audit.uploads_not_uniform > 0) {
    found.push_back(cat(audit.uploads_not_uniform, " masked uploads don't look like noise"));
  }
  if (!audit.controls_found) found.emplace_back("the audit missed a breach that was planted");
  return found;
}

std::vector<std::string> DemoReport::failures() const {
  std::vector<std::string> found = safety_failures();
  if (mean.shared > mean.base)
    found.emplace_back("the shared adapter is worse than the base in the mean");
  if (mean.personal > mean.shared) {
    found.emplace_back("the personal adapters are worse than the shared one in the mean");
  }
  return found;
}

Json demo_json(const DemoReport& report) {
  Json json;
  json["clients"] = Json::array();
  for (const DemoClientRow& row : report.clients) {
    json["clients"].push_back(
        {{"name", row.name},
         {"bits_per_byte",
          {{"base", row.base}, {"shared", row.shared}, {"personal", row.personal}}},
         {"gate", row.gate},
         {"killed", row.killed},
         {"bytes_up", row.bytes_up},
         {"bytes_down", row.bytes_down}});
  }
  json["mean"] = {{"base", report.mean.base},
                  {"shared", report.mean.shared},
                  {"personal", report.mean.personal}};
  json["rounds"] = Json::array();
  for (const DemoRoundRow& row : report.rounds) {
    json["rounds"].push_back({{"participants", row.participants},
                              {"bytes_up_max", row.bytes_up_max},
                              {"seconds", row.seconds}});
  }
  json["audit"] = {{"canaries_found", report.audit.canaries_found},
                   {"unaccounted_bytes", report.audit.unaccounted_bytes},
                   {"canaries_searched", report.audit.canaries_searched},
                   {"frames", report.audit.frames},
                   {"uploads_opened", report.audit.uploads_opened},
                   {"transport_bytes", report.audit.transport_bytes},
                   {"deltas_searched", report.audit.deltas_searched},
                   {"deltas_found", report.audit.deltas_found},
                   {"uploads_not_uniform", report.audit.uploads_not_uniform},
                   {"memory_bytes", report.audit.memory_bytes},
                   {"controls_found", report.audit.controls_found}};
  json["samples"] = {{"before", report.sample_before}, {"after", report.sample_after}};
  json["resident_mb"] = static_cast<double>(report.resident_most) / 1e6;
  json["seconds"] = report.seconds;
  json["folder"] = report.root.string();
  return json;
}

std::string demo_table(const DemoReport& report) {
  std::ostringstream out;
  out << "Report text that no training or choice has seen, bits per byte (lower is better):\n\n"
      << "device            base  shared  personal      gain   serves with             up     "
         "down\n";
  for (const DemoClientRow& row : report.clients) client_line(out, row, true);
  client_line(out, report.mean, false);
  for (const DemoClientRow& row : report.clients) {
    if (!row.killed.empty()) out << "\n" << row.name << " was " << row.killed << ".";
  }
  out << "\n\nRounds:\n";
  for (const DemoRoundRow& row : report.rounds) {
    out << "  " << row.round << ": " << (row.released ? "released" : "abandoned") << ", "
        << row.participants << " devices, " << fixed(row.seconds, 1) << " s, at most "
        << human_bytes(static_cast<double>(row.bytes_up_max)) << " up a device\n";
  }
  const DemoAudit& audit = report.audit;
  out << "\nAudit: " << audit.frames << " frames left the devices, each in its ledger; "
      << audit.unaccounted_bytes << " bytes unaccounted (transport: "
      << human_bytes(static_cast<double>(audit.transport_bytes)) << ").\n"
      << "       " << audit.canaries_searched << " secrets searched for in every frame, in "
      << audit.uploads_opened
      << " opened uploads and in the aggregator's files: " << audit.canaries_found << " found.\n"
      << "       " << audit.deltas_searched << " deltas searched for in every form there and in "
      << human_bytes(static_cast<double>(audit.memory_bytes))
      << " of the aggregator's memory: " << audit.deltas_found
      << " found. Opened uploads look like\n"
      << "       noise: at most " << fixed(audit.least_uniform, 1)
      << " standard deviations from uniform (limit " << fixed(kUniformWithin, 0) << ").\n"
      << "       Three planted breaches (a secret, an unledgered frame, an upload without masks) "
         "were "
      << (audit.controls_found ? "found" : "MISSED") << "\n       by the same audit.\n";
  for (const std::string& finding : audit.findings) out << "       - " << finding << "\n";
  return std::move(out).str();
}

} // namespace coppice
