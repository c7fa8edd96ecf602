// SPDX-License-Identifier: Apache-2.0
#include "sim/comparison.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <set>

#include "base/text.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

using Scenarios = std::span<const ComparedScenario>;

constexpr std::string_view kSets[] = {"global", "unseen", "public"};

double bytes_at(const EvaluationEvent& at) { return at.bytes_up + at.bytes_down; }

std::vector<EvaluationEvent> shared_evaluations(const RunRecord& run, std::string_view set) {
  return evaluations_of(run, set, "shared");
}

std::optional<EvaluationEvent> shared_at(const RunRecord& run, std::string_view set,
                                         std::uint64_t round) {
  const auto found = shared_evaluations(run, set);
  const auto at = std::ranges::find(found, round, &EvaluationEvent::round);
  return at == found.end() ? std::nullopt : std::optional(*at);
}

// Rounds that every one of them has an evaluation of.
std::set<std::uint64_t> common_rounds(std::span<const RunRecord* const> runs,
                                      std::string_view set) {
  std::set<std::uint64_t> common;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::set<std::uint64_t> mine;
    for (const EvaluationEvent& at : shared_evaluations(*runs[i], set)) mine.insert(at.round);
    if (i == 0) {
      common = std::move(mine);
    } else {
      std::erase_if(common, [&mine](std::uint64_t round) { return !mine.contains(round); });
    }
  }
  return common;
}

std::vector<const RunRecord*> played_runs(Scenarios scenarios) {
  std::vector<const RunRecord*> runs;
  for (const ComparedScenario& scenario : scenarios) {
    if (scenario.reference) continue;
    for (const RunRecord& run : scenario.runs) runs.push_back(&run);
  }
  return runs;
}

// Of one seed: what the run that moved least moved in all.
double least_bytes(Scenarios scenarios, std::size_t seed) {
  double least = INFINITY;
  for (const ComparedScenario& scenario : scenarios) {
    if (scenario.reference) continue;
    const EndEvent& end = scenario.runs[seed].end;
    least = std::min(least, end.bytes_up + end.bytes_down);
  }
  return least;
}

std::optional<EvaluationEvent> last_within(const RunRecord& run, double bytes) {
  std::optional<EvaluationEvent> last;
  for (const EvaluationEvent& at : shared_evaluations(run, "global")) {
    if (bytes_at(at) <= bytes) last = at;
  }
  return last;
}

// The evaluation of a set that stands for a run, and NaN where there is none.
using EvaluationOf = std::function<std::optional<EvaluationEvent>(
    const RunRecord& run, std::size_t seed, std::string_view set)>;
using FigureOf = std::function<double(const RunRecord& run, std::size_t seed)>;

struct Measuring {
  std::string name;
  ComparedAt at;
  MeasureUnit unit;
  FigureOf of;
  bool of_references = false; // it means something of what plays no rounds
};

void add_evaluations(std::vector<Measuring>& all, ComparedAt at, const EvaluationOf& evaluation) {
  for (const std::string_view set : kSets) {
    all.push_back({cat("bits_per_byte.", set), at, MeasureUnit::kBits,
                   [evaluation, set](const RunRecord& run, std::size_t seed) {
                     const auto found = evaluation(run, seed, set);
                     return found ? found->bits_per_byte : NAN;
                   },
                   at == ComparedAt::kEqualRounds});
  }
  all.push_back(
      {"round", at, MeasureUnit::kCount, [evaluation](const RunRecord& run, std::size_t seed) {
         const auto found = evaluation(run, seed, "global");
         return found ? static_cast<double>(found->round) : NAN;
       }});
  all.push_back(
      {"bytes", at, MeasureUnit::kBytes, [evaluation](const RunRecord& run, std::size_t seed) {
         const auto found = evaluation(run, seed, "global");
         return found ? bytes_at(*found) : NAN;
       }});
}

Distribution served_by(const RunRecord& run) {
  std::vector<double> bits;
  for (const ClientEvent& client : last_clients(run)) bits.push_back(served_bits(client));
  return distribution_of(std::move(bits));
}

double mean_shared(const RunRecord& run) {
  std::vector<double> bits;
  for (const ClientEvent& client : last_clients(run)) bits.push_back(client.shared);
  return distribution_of(std::move(bits)).mean;
}

double harmed_share(const RunRecord& run) {
  const HarmShare harm = harm_of(last_clients(run));
  return harm.clients == 0 ? NAN
                           : static_cast<double>(harm.harmed) / static_cast<double>(harm.clients);
}

void add_ends(std::vector<Measuring>& all) {
  struct End {
    const char* name;
    MeasureUnit unit;
    double (*of)(const RunRecord& run);
  };
  static constexpr End kEnds[] = {
      {"clients.shared", MeasureUnit::kBits, mean_shared},
      {"clients.served", MeasureUnit::kBits,
       [](const RunRecord& run) { return served_by(run).mean; }},
      {"clients.worst_decile", MeasureUnit::kBits,
       [](const RunRecord& run) { return served_by(run).worst_decile; }},
      {"clients.spread", MeasureUnit::kBits,
       [](const RunRecord& run) { return served_by(run).p90 - served_by(run).p10; }},
      {"clients.harmed", MeasureUnit::kShare, harmed_share},
      {"rounds", MeasureUnit::kCount,
       [](const RunRecord& run) { return static_cast<double>(run.end.rounds); }},
      {"tokens", MeasureUnit::kCount,
       [](const RunRecord& run) { return static_cast<double>(totals_of(run).tokens); }},
      {"bytes_up", MeasureUnit::kBytes, [](const RunRecord& run) { return run.end.bytes_up; }},
      {"bytes_down", MeasureUnit::kBytes, [](const RunRecord& run) { return run.end.bytes_down; }},
      {"time_s", MeasureUnit::kSeconds, [](const RunRecord& run) { return run.end.time_s; }},
      {"joules", MeasureUnit::kJoules, [](const RunRecord& run) { return run.end.joules; }},
  };
  for (const End& end : kEnds) {
    all.push_back({end.name, ComparedAt::kEnd, end.unit,
                   [of = end.of](const RunRecord& run, std::size_t) { return of(run); },
                   std::string_view(end.name).starts_with("clients.")});
  }
}

ComparedMeasure measured(Scenarios scenarios, const Measuring& measuring) {
  ComparedMeasure measure{
      .name = measuring.name, .at = measuring.at, .unit = measuring.unit, .figures = {}};
  for (const ComparedScenario& scenario : scenarios) {
    ComparedFigure figure;
    for (std::size_t seed = 0; seed < scenario.runs.size(); ++seed) {
      const bool means = measuring.of_references || !scenario.reference;
      figure.by_seed.push_back(means ? measuring.of(scenario.runs[seed], seed) : NAN);
    }
    figure.value = mean_interval(figure.by_seed);
    measure.figures.push_back(std::move(figure));
  }
  // A seed that diverged has no value, and must not make the mean of the others the best.
  const auto first = std::ranges::find(scenarios, false, &ComparedScenario::reference);
  measure.best = static_cast<std::size_t>(first - scenarios.begin());
  for (std::size_t i = measure.best + 1; i < measure.figures.size(); ++i) {
    if (scenarios[i].reference) continue;
    const MeanInterval& best = measure.figures[measure.best].value;
    const MeanInterval& value = measure.figures[i].value;
    if (value.count > best.count || (value.count == best.count && value.mean < best.mean)) {
      measure.best = i;
    }
  }
  for (ComparedFigure& figure : measure.figures) {
    figure.to_first = paired_difference(figure.by_seed, measure.figures.front().by_seed);
    figure.to_best = paired_difference(figure.by_seed, measure.figures[measure.best].by_seed);
  }
  return measure;
}

bool has_values(const ComparedMeasure& measure) {
  return std::ranges::any_of(measure.figures,
                             [](const ComparedFigure& figure) { return figure.value.count > 0; });
}

// Not those that differ by run, or that results don't depend on.
std::vector<DifferingSetting> differing_settings(Scenarios scenarios) {
  constexpr std::array<std::string_view, 7> kLeftOut{"name",
                                                     "seed",
                                                     "training.seed",
                                                     "workers",
                                                     "pack",
                                                     "report.local_only",
                                                     "report.centralized"};
  std::vector<DifferingSetting> differing;
  for (const RecordedSetting& setting : scenarios.front().runs.front().manifest.scenario) {
    if (std::ranges::find(kLeftOut, setting.name) != kLeftOut.end()) continue;
    DifferingSetting row{.name = setting.name, .values = {}};
    for (const ComparedScenario& scenario : scenarios) {
      row.values.emplace_back(scenario.runs.front().manifest.setting(setting.name));
    }
    const bool differs = std::ranges::any_of(
        row.values, [&row](const std::string& value) { return value != row.values.front(); });
    if (differs) differing.push_back(std::move(row));
  }
  return differing;
}

std::vector<CurvePoint> curve_of(const ComparedScenario& scenario, const ComparedScenario& first,
                                 std::string_view set) {
  std::vector<CurvePoint> curve;
  for (const std::uint64_t round : common_rounds(played_runs({&scenario, 1}), set)) {
    std::vector<double> bits;
    std::vector<double> bits_of_first;
    std::vector<double> bytes;
    for (std::size_t seed = 0; seed < scenario.runs.size(); ++seed) {
      const auto mine = shared_at(scenario.runs[seed], set, round);
      const auto firsts = shared_at(first.runs[seed], set, round);
      bits.push_back(mine->bits_per_byte);
      bytes.push_back(bytes_at(*mine));
      bits_of_first.push_back(firsts ? firsts->bits_per_byte : NAN);
    }
    curve.push_back({.round = static_cast<double>(round),
                     .bytes = mean_interval(bytes).mean,
                     .bits = mean_interval(bits),
                     .to_first = paired_difference(bits, bits_of_first)});
  }
  return curve;
}

std::string unquoted(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    value = value.substr(1, value.size() - 2);
  }
  return std::string(value);
}

// What must be equal of two runs with one seed; empty: nothing differs.
std::string difference_in_kind(const RunRecord& a, const RunRecord& b) {
  if (a.manifest.data_sha256 != b.manifest.data_sha256) return "their clients' texts (data_sha256)";
  if (a.manifest.program_version != b.manifest.program_version) return "program_version";
  if (a.manifest.engine != b.manifest.engine) return {};
  if (a.manifest.instruction_level != b.manifest.instruction_level) return "instruction_level";
  const auto base_a = last_evaluation(a, "global", "base");
  const auto base_b = last_evaluation(b, "global", "base");
  const bool same_base = a.manifest.base_sha256 == b.manifest.base_sha256 &&
                         a.manifest.setting("precision") == b.manifest.setting("precision");
  if (same_base && base_a && base_b && base_a->bits_per_byte != base_b->bits_per_byte) {
    return "the report text, on which one base model gives two figures";
  }
  return {};
}

} // namespace

std::string strategy_of(const ComparedScenario& scenario) {
  return unquoted(scenario.runs.front().manifest.setting("round.strategy"));
}

std::string tuning_text(const TuningBudget& tuning) {
  return cat(tuning.values, " values x ", tuning.seeds, " seeds x ", tuning.rounds, " rounds");
}

std::string_view compared_at_name(ComparedAt at) {
  switch (at) {
    case ComparedAt::kEqualRounds: return "equal rounds";
    case ComparedAt::kEqualBytes: return "equal bytes";
    case ComparedAt::kEnd: return "end";
  }
  return "end";
}

const ComparedMeasure* Comparison::find(std::string_view measure, ComparedAt at) const {
  const auto found = std::ranges::find_if(
      measures, [&](const ComparedMeasure& each) { return each.name == measure && each.at == at; });
  return found == measures.end() ? nullptr : &*found;
}

Result<void> check_comparable(std::span<const ComparedScenario> scenarios) {
  const ComparedScenario& first = scenarios.front();
  for (const ComparedScenario& scenario : scenarios) {
    for (std::size_t seed = 0; seed < scenario.runs.size(); ++seed) {
      const std::string what = difference_in_kind(first.runs[seed], scenario.runs[seed]);
      if (what.empty()) continue;
      return Error{ErrorCode::kFailedPrecondition,
                   cat(first.runs[seed].folder.string(), " and ",
                       scenario.runs[seed].folder.string(), " differ in ", what,
                       ": a difference of their figures would say nothing of the scenarios")};
    }
  }
  return {};
}

Comparison compare(std::span<const ComparedScenario> scenarios) {
  COPPICE_CHECK(!scenarios.empty() && !scenarios.front().runs.empty());
  COPPICE_CHECK(!std::ranges::all_of(scenarios, &ComparedScenario::reference));
  Comparison made;
  for (const ComparedScenario& scenario : scenarios) {
    COPPICE_CHECK(scenario.runs.size() == scenarios.front().runs.size());
    made.names.push_back(scenario.name);
    made.tuned.push_back(scenario.tuned);
    made.strategies.push_back(strategy_of(scenario));
    made.references.push_back(scenario.reference);
  }
  for (const RunRecord& run : scenarios.front().runs) made.seeds.push_back(run.manifest.seed);
  const auto common = common_rounds(played_runs(scenarios), "global");
  if (!common.empty()) made.equal_round = *common.rbegin();
  for (std::size_t seed = 0; seed < made.seeds.size(); ++seed) {
    made.equal_bytes.push_back(least_bytes(scenarios, seed));
  }
  std::vector<Measuring> all;
  add_evaluations(all, ComparedAt::kEqualRounds,
                  [&made](const RunRecord& run, std::size_t, std::string_view set) {
                    return shared_at(run, set, made.equal_round);
                  });
  add_evaluations(all, ComparedAt::kEqualBytes,
                  [&made](const RunRecord& run, std::size_t seed, std::string_view set) {
                    const auto last = last_within(run, made.equal_bytes[seed]);
                    return last ? shared_at(run, set, last->round) : std::nullopt;
                  });
  add_ends(all);
  for (const Measuring& measuring : all) {
    ComparedMeasure measure = measured(scenarios, measuring);
    if (has_values(measure)) made.measures.push_back(std::move(measure));
  }
  made.settings = differing_settings(scenarios);
  for (const std::string_view set : kSets) {
    ComparedCurve curve{.set = std::string(set), .scenarios = {}};
    bool any = false;
    for (const ComparedScenario& scenario : scenarios) {
      curve.scenarios.push_back(curve_of(scenario, scenarios.front(), set));
      any = any || !curve.scenarios.back().empty();
    }
    if (any) made.curves.push_back(std::move(curve));
  }
  return made;
}

} // namespace coppice
