// SPDX-License-Identifier: Apache-2.0
#include "sim/robustness.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <ranges>
#include <set>

#include "base/text.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

struct HonestPair { // of one seed
  std::uint64_t honest = 0;
  std::uint64_t evaluated = 0;
  double clean_shared = NAN;
  double shared = NAN;
  double clean_served = NAN;
  double served = NAN;
};

// Means over the clients that are honest in the attacked run, of both runs.
HonestPair honest_pair(const RunRecord& clean, const RunRecord& attacked) {
  std::map<std::uint64_t, ClientEvent> in_clean;
  for (const ClientEvent& client : last_clients(clean)) in_clean.emplace(client.client, client);
  HonestPair sums{.clean_shared = 0, .shared = 0, .clean_served = 0, .served = 0};
  for (const ClientEvent& client : last_clients(attacked)) {
    sums.evaluated += 1;
    if (client.hostile) continue;
    sums.honest += 1;
    const auto same = in_clean.find(client.client);
    const bool paired = same != in_clean.end();
    sums.clean_shared += paired ? same->second.shared : NAN;
    sums.clean_served += paired ? served_bits(same->second) : NAN;
    sums.shared += client.shared;
    sums.served += served_bits(client);
  }
  const auto count = static_cast<double>(sums.honest);
  return {.honest = sums.honest,
          .evaluated = sums.evaluated,
          .clean_shared = sums.clean_shared / count, // of no client: NaN
          .shared = sums.shared / count,
          .clean_served = sums.clean_served / count,
          .served = sums.served / count};
}

std::string last_reason(const RunRecord& run) {
  for (const auto& round : std::views::reverse(run.rounds)) {
    if (!round.released && !round.reason.empty()) return cat(": ", round.reason);
  }
  return {};
}

// Why a pair of runs says nothing of the attack; empty: it does.
std::string no_figure(const RunRecord& clean, const RunRecord& attacked, const HonestPair& pair) {
  if (clean.end.released == 0) {
    return cat("no round made a release, without an attack either", last_reason(clean));
  }
  if (attacked.end.hostile == 0)
    return "the attack drew no device; more devices, or a larger share";
  if (attacked.end.released == 0) return cat("no round made a release", last_reason(attacked));
  if (pair.honest == 0) return "no honest client was evaluated; a larger report.clients";
  return {};
}

void close(RobustFigure& figure) {
  figure.clean = mean_interval(figure.clean_by_seed);
  figure.value = mean_interval(figure.by_seed);
  figure.loss = paired_difference(figure.by_seed, figure.clean_by_seed);
}

RobustRow row_of(const ComparedScenario& clean, const AttackedScenario& attacked) {
  RobustRow row{.scenario = attacked.scenario,
                .attack = attacked.attack,
                .fraction = attacked.fraction,
                .strength = attacked.strength,
                .shared = {},
                .served = {},
                .hostile = {},
                .honest = {},
                .evaluated = {},
                .refused = attacked.refused};
  std::vector<std::string> reasons;
  for (std::size_t seed = 0; seed < clean.runs.size(); ++seed) {
    HonestPair pair;
    std::string why;
    if (attacked.refused.empty()) {
      const RunRecord& run = attacked.runs[seed];
      pair = honest_pair(clean.runs[seed], run);
      why = no_figure(clean.runs[seed], run, pair);
      if (!why.empty()) {
        reasons.push_back(cat("seed ", clean.runs[seed].manifest.seed, ": ", why));
        pair = {.honest = pair.honest, .evaluated = pair.evaluated};
      }
      row.hostile.push_back(run.end.hostile);
      row.honest.push_back(pair.honest);
      row.evaluated.push_back(pair.evaluated);
    }
    row.shared.clean_by_seed.push_back(pair.clean_shared);
    row.shared.by_seed.push_back(pair.shared);
    row.served.clean_by_seed.push_back(pair.clean_served);
    row.served.by_seed.push_back(pair.served);
  }
  if (row.refused.empty()) row.refused = join(reasons, "; ");
  close(row.shared);
  close(row.served);
  return row;
}

} // namespace

const RobustRow* Robustness::find(std::size_t scenario, std::string_view attack) const {
  const auto found = std::ranges::find_if(
      rows, [&](const RobustRow& row) { return row.scenario == scenario && row.attack == attack; });
  return found == rows.end() ? nullptr : &*found;
}

Robustness robustness(std::span<const ComparedScenario> scenarios,
                      std::span<const AttackedScenario> attacked) {
  Robustness made;
  for (const ComparedScenario& scenario : scenarios) {
    made.names.push_back(scenario.name);
    made.strategies.push_back(strategy_of(scenario));
  }
  for (const RunRecord& run : scenarios.front().runs) made.seeds.push_back(run.manifest.seed);
  for (const AttackedScenario& each : attacked) {
    const ComparedScenario& clean = scenarios[each.scenario];
    COPPICE_CHECK(!each.refused.empty() || each.runs.size() == clean.runs.size());
    if (std::ranges::find(made.attacks, each.attack) == made.attacks.end()) {
      made.attacks.push_back(each.attack);
    }
    made.rows.push_back(row_of(clean, each));
  }
  return made;
}

const RobustFigure& figure_of(const RobustRow& row, RobustMeasure measure) {
  return measure == RobustMeasure::kShared ? row.shared : row.served;
}

std::string_view robust_measure_name(RobustMeasure measure) {
  return measure == RobustMeasure::kShared ? "shared" : "served";
}

} // namespace coppice
