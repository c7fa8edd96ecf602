// SPDX-License-Identifier: Apache-2.0
// `coppice demo --dp`: the whole path with noise, judged by its accounting.
//
// Eight devices can't learn under noise that means anything, so quality is not judged: that a small
// budget is spent as computed beforehand, that rounds stop when it is, and that a restart does not
// give it back, is.
#pragma once

#include <string>
#include <vector>

#include "cli/demo_fleet.h"
#include "formats/json.h"

namespace coppice {

struct DemoPrivacy {
  double noise_multiplier = 1;
  double delta = 1e-5;
  double epsilon_budget = 0;
  std::uint32_t rounds_paid = 2; // that the budget allows, and no more
};

// A budget between the cost of `rounds_paid` rounds and one more.
Result<DemoPrivacy> plan_demo_privacy();
std::vector<Override> demo_privacy_settings(const DemoPrivacy& privacy);

struct DemoPrivacyReport {
  DemoPrivacy planned;
  std::vector<double> epsilon_after;   // each released round, from the aggregator's ledger
  std::vector<double> devices_epsilon; // the total that each device has seen
  bool stopped = false;                // the aggregator ended because the budget was spent
  bool restart_refused = false;        // and again, at once, when it was started anew
  std::vector<std::string> failures() const;
};

// After the fleet has run to its end: reads the ledgers and starts the aggregator once more.
Result<DemoPrivacyReport> collect_demo_privacy(const DemoFleet& fleet, const DemoPrivacy& planned,
                                               bool stopped);
Json demo_privacy_json(const DemoPrivacyReport& report);
std::string demo_privacy_table(const DemoPrivacyReport& report); // lines with newlines

} // namespace coppice
