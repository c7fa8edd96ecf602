// SPDX-License-Identifier: Apache-2.0
// What the demo found, as a table for people and as one JSON document.
#pragma once

#include <string>
#include <vector>

#include "cli/demo_audit.h"
#include "cli/demo_fleet.h"
#include "formats/json.h"

namespace coppice {

struct DemoClientRow {
  std::string name;
  double base = 0; // bits a byte on report text
  double shared = 0;
  double personal = 0;
  std::string gate;           // what serves
  std::string killed;         // when it was killed, and what became of its update; empty: it wasn't
  bool as_promised = true;    // of a killed one: left out, or counted, as it must be
  std::uint64_t bytes_up = 0; // on the wire, everything
  std::uint64_t bytes_down = 0;
};

struct DemoRoundRow {
  std::uint64_t round = 0;
  bool released = false;
  std::uint32_t participants = 0;
  std::uint64_t bytes_up_max = 0; // largest of the devices: all frames of its upload, on the wire
  double seconds = 0;
};

struct DemoReport {
  std::vector<DemoClientRow> clients;
  std::vector<DemoRoundRow> rounds;
  DemoClientRow mean; // bytes unused
  DemoAudit audit;
  double seconds = 0;
  std::uint64_t resident_most = 0;
  fs::path root;
  std::string sample_before;
  std::string sample_after;

  // Why the demo failed; empty if it did not. Safety: all but whether anything was learnt.
  std::vector<std::string> failures() const;
  std::vector<std::string> safety_failures() const;
};

// Reads the devices' and the aggregator's folders; the audit and the samples are the caller's.
Result<DemoReport> collect_demo(const DemoFleet& fleet, std::uint32_t rounds);

Json demo_json(const DemoReport& report);
std::string demo_table(const DemoReport& report); // lines with newlines

} // namespace coppice
