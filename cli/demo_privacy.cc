// SPDX-License-Identifier: Apache-2.0
#include "cli/demo_privacy.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "aggregator/state_store.h"
#include "base/text.h"
#include "cli/exit_codes.h"
#include "client/device_folder.h"
#include "privacy/pld.h"

namespace coppice {
namespace {

constexpr Millis kRestartTimeout{60'000};

Result<double> gaussian_epsilon(const DemoPrivacy& privacy, std::uint32_t rounds) {
  const SampledGaussian spent{privacy.noise_multiplier, 1, rounds};
  return pld_epsilon({&spent, 1}, privacy.delta);
}

} // namespace

Result<DemoPrivacy> plan_demo_privacy() {
  DemoPrivacy privacy;
  const double enough = COPPICE_TRY(gaussian_epsilon(privacy, privacy.rounds_paid));
  const double more = COPPICE_TRY(gaussian_epsilon(privacy, privacy.rounds_paid + 1));
  privacy.epsilon_budget = std::round((enough + more) / 2 * 100) / 100;
  return privacy;
}

std::vector<Override> demo_privacy_settings(const DemoPrivacy& privacy) {
  return {{"privacy.noise", "central", "demo --dp"},
          {"privacy.noise_multiplier", fixed(privacy.noise_multiplier, 6), "demo --dp"},
          {"privacy.epsilon", fixed(privacy.epsilon_budget, 6), "demo --dp"},
          {"privacy.delta", "1e-5", "demo --dp"},
          {"round.weighted_by", "uniform", "demo --dp"},
          {"round.clip_norm", "0.1", "demo --dp"},
          {"round.rotate", "true", "demo --dp"}};
}

Result<DemoPrivacyReport> collect_demo_privacy(const DemoFleet& fleet, const DemoPrivacy& planned,
                                               bool stopped) {
  DemoPrivacyReport report{.planned = planned,
                           .epsilon_after = {},
                           .devices_epsilon = {},
                           .stopped = stopped,
                           .restart_refused = false};
  {
    StateStore store = COPPICE_TRY(StateStore::observe(fleet.aggregator_folder()));
    for (const SpendRecord& spend : COPPICE_TRY(store.spends())) {
      report.epsilon_after.push_back(spend.epsilon);
    }
  }
  for (const DemoDevice& device : fleet.devices()) {
    const DeviceMarks marks = COPPICE_TRY(DeviceFolder(device.folder).marks());
    report.devices_epsilon.push_back(marks.cumulative_epsilon);
  }
  FleetProcess again = COPPICE_TRY(fleet.start_aggregator_again());
  const int status = COPPICE_TRY(again.process.wait(kRestartTimeout));
  report.restart_refused = status == static_cast<int>(ExitCode::kBudgetSpent);
  return report;
}

std::vector<std::string> DemoPrivacyReport::failures() const {
  std::vector<std::string> found;
  if (epsilon_after.size() != planned.rounds_paid) {
    found.push_back(cat(epsilon_after.size(), " rounds were charged, the budget pays for ",
                        planned.rounds_paid));
  }
  for (std::size_t i = 0; i < epsilon_after.size(); ++i) {
    const auto expected = gaussian_epsilon(planned, static_cast<std::uint32_t>(i + 1));
    if (expected.ok() && std::abs(epsilon_after[i] - *expected) > 0.01 * *expected) {
      found.push_back(cat("round ", i + 1, " is charged up to epsilon ", fixed(epsilon_after[i], 3),
                          ", the Gaussian's own is ", fixed(*expected, 3)));
    }
  }
  const double spent = epsilon_after.empty() ? 0 : epsilon_after.back();
  if (spent > planned.epsilon_budget) found.emplace_back("more than the budget was spent");
  for (const double seen : devices_epsilon) {
    if (std::abs(seen - spent) > 1e-6) found.emplace_back("a device holds another total");
  }
  if (!stopped) found.emplace_back("rounds did not stop when the budget was spent");
  if (!restart_refused) found.emplace_back("a restart gave the budget back");
  return found;
}

Json demo_privacy_json(const DemoPrivacyReport& report) {
  return {{"noise_multiplier", report.planned.noise_multiplier},
          {"delta", report.planned.delta},
          {"epsilon_budget", report.planned.epsilon_budget},
          {"epsilon_spent", report.epsilon_after.empty() ? 0 : report.epsilon_after.back()},
          {"epsilon_after_round", report.epsilon_after},
          {"stopped", report.stopped},
          {"restart_refused", report.restart_refused}};
}

std::string demo_privacy_table(const DemoPrivacyReport& report) {
  std::ostringstream out;
  out << "\nPrivacy, against whoever sees the releases (delta " << report.planned.delta
      << ", noise multiplier " << fixed(report.planned.noise_multiplier, 2)
      << ", every device in every round):\n";
  for (std::size_t i = 0; i < report.epsilon_after.size(); ++i) {
    out << "  after round " << i + 1 << ": epsilon " << fixed(report.epsilon_after[i], 3) << " of "
        << fixed(report.planned.epsilon_budget, 2) << "\n";
  }
  out << "  another round would exceed it: "
      << (report.stopped ? "the aggregator stopped" : "the aggregator DID NOT STOP") << "\n"
      << "  started again: "
      << (report.restart_refused ? "it stopped at once; what is spent stays spent"
                                 : "it went ON, as if nothing had been spent")
      << "\n  each device holds the same total\n";
  return std::move(out).str();
}

} // namespace coppice
