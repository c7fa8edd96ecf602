// SPDX-License-Identifier: Apache-2.0
#include "sim/comparison_page.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/text.h"
#include "sim/comparison_tables.h"
#include "sim/report_document.h"
#include "sim/report_parts.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

using Scenarios = std::span<const ComparedScenario>;

// Six colours, then the same dashed.
ChartLine line_of(const Comparison& comparison, std::size_t scenario) {
  return {.name = comparison.names[scenario],
          .points = {},
          .color = static_cast<unsigned>(scenario) % kGreyColor,
          .dashed = scenario >= kGreyColor};
}

struct CurveAxis {
  const char* label;
  AxisUnit unit;
  double (*of)(const CurvePoint& point);
};
constexpr CurveAxis kByRound{"round", AxisUnit::kPlain,
                             [](const CurvePoint& point) { return point.round; }};
constexpr CurveAxis kByBytes{"bytes up and down", AxisUnit::kBytes,
                             [](const CurvePoint& point) { return point.bytes; }};

const char* title_of(std::string_view set) {
  if (set == "unseen") return "Clients that never train";
  if (set == "public") return "Public text: what is forgotten";
  return "All clients' report text";
}

// The first scenarios' base model on a set, mean over seeds; NaN if it wasn't evaluated.
double base_bits(Scenarios scenarios, std::string_view set) {
  std::vector<double> bits;
  for (const RunRecord& run : scenarios.front().runs) {
    const auto base = last_evaluation(run, set, "base");
    bits.push_back(base ? base->bits_per_byte : NAN);
  }
  return mean_interval(bits).mean;
}

// Level lines: what they come to in the end.
void add_references(const Comparison& comparison, const ComparedCurve& curve, double most,
                    LineChart& chart) {
  const ComparedMeasure* const ends =
      comparison.find(cat("bits_per_byte.", curve.set), ComparedAt::kEqualRounds);
  for (std::size_t i = 0; ends != nullptr && i < ends->figures.size(); ++i) {
    const MeanInterval& value = ends->figures[i].value;
    if (!comparison.references[i] || value.count == 0) continue;
    ChartLine line = line_of(comparison, i);
    line.points = {{0, value.mean}, {most, value.mean}};
    line.dashed = true;
    chart.lines.push_back(std::move(line));
  }
}

LineChart bits_chart(Scenarios scenarios, const Comparison& comparison, const ComparedCurve& curve,
                     const CurveAxis& axis) {
  LineChart chart{.title = title_of(curve.set),
                  .x_label = axis.label,
                  .y_label = "bits per byte",
                  .x_unit = axis.unit,
                  .y_from_zero = false,
                  .lines = {}};
  double most = 0;
  for (std::size_t i = 0; i < curve.scenarios.size(); ++i) {
    if (comparison.references[i]) continue;
    ChartLine line = line_of(comparison, i);
    for (const CurvePoint& at : curve.scenarios[i]) {
      most = std::max(most, axis.of(at));
      line.points.push_back({axis.of(at), at.bits.mean});
      line.band.push_back({axis.of(at), at.bits.low(), at.bits.high()});
    }
    line.points = thinned(std::move(line.points));
    chart.lines.push_back(std::move(line));
  }
  add_references(comparison, curve, most, chart);
  const double base = base_bits(scenarios, curve.set);
  chart.lines.push_back(
      {.name = "base", .points = {{0, base}, {most, base}}, .color = kGreyColor, .dashed = true});
  return chart;
}

LineChart difference_chart(const Comparison& comparison, const ComparedCurve& curve) {
  LineChart chart{.title = cat("Difference to ", comparison.names.front(), ", paired by seed"),
                  .x_label = "round",
                  .y_label = "bits per byte, below 0 is better",
                  .y_from_zero = false,
                  .lines = {}};
  for (std::size_t i = 0; i < curve.scenarios.size(); ++i) {
    ChartLine line = line_of(comparison, i);
    for (const CurvePoint& at : curve.scenarios[i]) {
      line.points.push_back({at.round, at.to_first.mean});
      line.band.push_back({at.round, at.to_first.low(), at.to_first.high()});
    }
    line.points = thinned(std::move(line.points));
    chart.lines.push_back(std::move(line));
  }
  return chart;
}

std::string curves_section(Scenarios scenarios, const Comparison& comparison) {
  std::string figures;
  for (const ComparedCurve& curve : comparison.curves) {
    figures += figure_html(bits_chart(scenarios, comparison, curve, kByRound));
    figures += figure_html(bits_chart(scenarios, comparison, curve, kByBytes));
    if (curve.set == "global" && comparison.names.size() > 1) {
      figures += figure_html(difference_chart(comparison, curve));
    }
  }
  const char* const bands =
      comparison.seeds.size() > 1
          ? "Lines are means over seeds, bands their 95 % intervals. Seeds have report texts of "
            "their own, so bands of two scenarios may overlap where their paired difference is "
            "sure. Bands that would flatten the lines end at the axes. Vertical axes don't begin "
            "at 0."
          : "One seed: no intervals. Vertical axes don't begin at 0.";
  return section_html("Curves", bands, grid_html(figures));
}

std::string bits_section(const Comparison& comparison, ComparedAt at, std::string_view title,
                         std::string_view lead) {
  std::string tables;
  for (const char* set : {"global", "unseen", "public"}) {
    tables += table_html(bits_table(comparison, set, at));
  }
  return section_html(title, lead, tables);
}

std::string warnings(Scenarios scenarios) {
  std::set<std::string> items;
  for (const ComparedScenario& scenario : scenarios) {
    for (const RunRecord& run : scenario.runs) {
      for (const std::string& reason : run.manifest.simulation_only) {
        items.insert(cat("<li>", escape_markup(cat(scenario.name, ": ", reason)), "</li>\n"));
      }
    }
  }
  if (items.empty()) return {};
  return cat(
      "<aside class=\"warning\" role=\"note\"><p><strong>SIMULATION ONLY.</strong> No real fleet "
      "can have these figures, and no claim about one may rest on them:</p>\n<ul>\n",
      join(std::vector<std::string>(items.begin(), items.end()), ""), "</ul></aside>\n");
}

std::string header(Scenarios scenarios, const Comparison& comparison) {
  std::vector<std::string> seeds;
  for (const std::uint64_t seed : comparison.seeds) seeds.push_back(cat(seed));
  const auto row = [](std::string_view name, std::string_view value) {
    return cat("<div><dt>", name, "</dt><dd>", escape_markup(value), "</dd></div>\n");
  };
  return cat("<header>\n<p class=\"kind\">coppice simulation</p>\n<h1>Scenarios compared</h1>\n",
             "<dl class=\"identity\">\n", row("Scenarios", join(comparison.names, ", ")),
             row("Seeds", join(seeds, ", ")), "</dl>\n", warnings(scenarios), "</header>\n");
}

std::string robustness_section(const Robustness& robust) {
  std::string tables;
  for (const RobustMeasure measure : {RobustMeasure::kShared, RobustMeasure::kServed}) {
    tables += table_html(robust_bits_table(robust, measure));
    tables += table_html(robust_loss_table(robust, measure));
  }
  return section_html(
      "Robustness",
      cat("Simulation only, since no fleet knows who is honest. Each scenario played again under "
          "each attack, with the same seeds, clients and texts. "
          "Figures are means over honest clients, on their own report text after the last round; "
          "those without an attack are of the same clients, so no hostile client is in any. ",
          kStarMeans),
      tables + table_html(refused_table(robust)) + table_html(attacks_table(robust)));
}

void add_runs(const std::string& name, std::span<const RunRecord> runs, ReportTable& table) {
  for (const RunRecord& run : runs) {
    const RunManifest& manifest = run.manifest;
    const std::string engine = cat(manifest.engine, " ", manifest.instruction_level);
    table.rows.push_back({name, cat(manifest.seed), run.end.reason, manifest.program_version,
                          std::string(trim(engine)), manifest.base_sha256.substr(0, 16),
                          run.events_sha256.substr(0, 16)});
  }
}

std::string origin_section(Scenarios scenarios, std::span<const AttackedScenario> attacked) {
  ReportTable table{.caption = "Runs",
                    .columns = {{"scenario", CellAlign::kLeft},
                                {"seed"},
                                {"ended by", CellAlign::kLeft},
                                {"program", CellAlign::kLeft},
                                {"engine", CellAlign::kLeft},
                                {"base model, SHA-256", CellAlign::kLeft},
                                {"event log, SHA-256", CellAlign::kLeft}},
                    .rows = {}};
  for (const ComparedScenario& scenario : scenarios) {
    if (!scenario.reference) add_runs(scenario.name, scenario.runs, table);
  }
  for (const AttackedScenario& each : attacked) {
    add_runs(cat(scenarios[each.scenario].name, " under ", each.attack), each.runs, table);
  }
  return section_html("What produced this",
                      "The first 16 digits of each hash. Each run's own report is in its folder.",
                      table_html(table));
}

} // namespace

std::string comparison_page(std::span<const ComparedScenario> scenarios,
                            const Comparison& comparison,
                            std::span<const AttackedScenario> attacked) {
  COPPICE_CHECK(!scenarios.empty() && scenarios.size() <= kMostCompared);
  return report_document(
      join(comparison.names, " | "),
      cat(header(scenarios, comparison),
          bits_section(comparison, ComparedAt::kEqualRounds, "At equal rounds",
                       cat("At the last round that every run was evaluated after. Both runs of a "
                           "pair have the same clients, texts and report text. ",
                           kStarMeans)),
          bits_section(comparison, ComparedAt::kEqualBytes, "At equal bytes",
                       "Of each seed, the last evaluation within the bytes that the scenario that "
                       "moved least moved in all. Runs are evaluated every few rounds, so a "
                       "figure may stand for a little less."),
          curves_section(scenarios, comparison),
          section_html("Clients",
                       "Each client's own report text, answered by what its gate chose. The worst "
                       "decile is the mean of the tenth of clients with the highest figures.",
                       table_html(clients_table(comparison))),
          robustness_section(robustness(scenarios, attacked)),
          section_html(
              "Budget and settings", "",
              table_html(budget_table(comparison)) + table_html(settings_table(comparison))),
          origin_section(scenarios, attacked)));
}

} // namespace coppice
