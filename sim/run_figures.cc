// SPDX-License-Identifier: Apache-2.0
#include "sim/run_figures.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "base/text.h"

namespace coppice {
namespace {

constexpr ClientMeasure kMeasures[] = {
    {"base", [](const ClientEvent& client) { return client.base; }},
    {"shared", [](const ClientEvent& client) { return client.shared; }},
    {"personal", [](const ClientEvent& client) { return client.personal; }},
    {"what serves", served_bits},
    {"local only", [](const ClientEvent& client) { return client.local; }},
};

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double best_of(std::span<const EvaluationEvent> evaluations) {
  double best = NAN;
  for (const EvaluationEvent& evaluation : evaluations) {
    best = std::fmin(best, evaluation.bits_per_byte); // ignores NaN
  }
  return best;
}

} // namespace

double quantile(std::span<const double> ascending, double q) {
  if (ascending.empty()) return NAN;
  const double place = q * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, ascending.size() - 1);
  const double share = place - static_cast<double>(below);
  return ascending[below] + share * (ascending[above] - ascending[below]);
}

Distribution distribution_of(std::vector<double> values) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  std::ranges::sort(values);
  Distribution found{.count = values.size()};
  if (values.empty()) return found;
  found.mean = mean_of(values);
  found.p10 = quantile(values, 0.1);
  found.median = quantile(values, 0.5);
  found.p90 = quantile(values, 0.9);
  found.worst_decile = mean_of(std::span(values).last((values.size() + 9) / 10));
  return found;
}

double served_bits(const ClientEvent& client) {
  if (client.served == "base") return client.base;
  if (client.served == "shared") return client.shared;
  return client.served == "personal" ? client.personal : NAN;
}

std::vector<ClientEvent> last_clients(const RunRecord& run) {
  std::vector<ClientEvent> last;
  std::uint64_t round = 0;
  for (const ClientEvent& client : run.clients) round = std::max(round, client.round);
  std::ranges::copy_if(run.clients, std::back_inserter(last),
                       [round](const ClientEvent& client) { return client.round == round; });
  return last;
}

std::span<const ClientMeasure> client_measures() { return kMeasures; }

HarmShare harm_of(std::span<const ClientEvent> clients) {
  HarmShare share{.clients = clients.size()};
  for (const ClientEvent& client : clients) {
    share.harmed += client.harmed ? 1 : 0;
    share.shared_worse += client.shared > client.base ? 1 : 0;
  }
  return share;
}

std::vector<EvaluationEvent> evaluations_of(const RunRecord& run, std::string_view set,
                                            std::string_view adapter) {
  std::vector<EvaluationEvent> found;
  std::ranges::copy_if(run.evaluations, std::back_inserter(found),
                       [&](const EvaluationEvent& evaluation) {
                         return evaluation.set == set && evaluation.adapter == adapter;
                       });
  std::ranges::stable_sort(found, {}, &EvaluationEvent::round);
  return found;
}

std::optional<EvaluationEvent> last_evaluation(const RunRecord& run, std::string_view set,
                                               std::string_view adapter) {
  const std::vector<EvaluationEvent> found = evaluations_of(run, set, adapter);
  return found.empty() ? std::nullopt : std::optional(found.back());
}

std::optional<EvaluationEvent> first_at(std::span<const EvaluationEvent> evaluations,
                                        double target) {
  const auto found = std::ranges::find_if(
      evaluations, [target](const EvaluationEvent& at) { return at.bits_per_byte <= target; });
  return found == evaluations.end() ? std::nullopt : std::optional(*found);
}

std::vector<TargetLevel> target_levels(std::span<const RunRecord> runs) {
  std::vector<TargetLevel> levels;
  double reached = -INFINITY; // by every run: the worst of their bests
  for (const RunRecord& run : runs) {
    const std::string text(run.manifest.setting("report.target_bits_per_byte"));
    const double target = std::strtod(text.c_str(), nullptr);
    const bool known = std::ranges::any_of(
        levels, [target](const TargetLevel& level) { return level.bits_per_byte == target; });
    if (target > 0 && !known) levels.push_back({"the scenario's target", target});
    reached = std::max(reached, best_of(evaluations_of(run, "global", "shared")));
  }
  if (!runs.empty() && std::isfinite(reached)) {
    const bool one = runs.size() == 1;
    levels.push_back({one ? "the run's best" : "the best that every run reached", reached});
    const auto base = last_evaluation(runs.front(), "global", "base");
    if (base && base->bits_per_byte > reached) {
      levels.push_back({"half the way there from the base", (base->bits_per_byte + reached) / 2});
    }
  }
  std::ranges::stable_sort(levels, std::greater(), &TargetLevel::bits_per_byte);
  return levels;
}

double last_of(const RunRecord& run, double PlayedRoundEvent::*field) {
  for (auto round = run.rounds.rbegin(); round != run.rounds.rend(); ++round) {
    if (std::isfinite((*round).*field)) return (*round).*field;
  }
  return NAN;
}

RoundTotals totals_of(const RunRecord& run) {
  RoundTotals totals;
  totals.rounds = run.rounds.size();
  for (const PlayedRoundEvent& round : run.rounds) {
    totals.released += round.released ? 1 : 0;
    totals.asked += round.asked;
    totals.declined += round.declined;
    totals.counted += round.counted;
    totals.tokens += round.tokens;
    totals.dropped.answer += round.dropped.answer;
    totals.dropped.training += round.dropped.training;
    totals.dropped.masking += round.dropped.masking;
    totals.dropped.uploading += round.dropped.uploading;
    totals.dropped.unmasking += round.dropped.unmasking;
    totals.dropped.late += round.dropped.late;
  }
  return totals;
}

} // namespace coppice
