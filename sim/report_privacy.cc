// SPDX-License-Identifier: Apache-2.0
// Privacy of report.html: what was spent, what it bought, and at which noise.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "sim/report_sections.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

constexpr double kWideRange = 10; // of epsilons: beyond it their axis is logarithmic

std::string multiplier_text(const RunRecord& run) {
  return value_text(AxisUnit::kPlain, noise_multiplier_of(run));
}

// Runs by what tells them apart here, where it does: their noise.
std::vector<std::string> names_by_noise(const ReportRuns& runs) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    const bool noisy = std::isfinite(noise_multiplier_of(runs.runs[i]));
    std::string name = noisy ? cat("multiplier ", multiplier_text(runs.runs[i])) : runs.names[i];
    if (std::ranges::find(names, name) != names.end()) return runs.names;
    names.push_back(std::move(name));
  }
  return names;
}

std::vector<ChartPoint> points_by_epsilon(const RunRecord& run) {
  std::vector<ChartPoint> points;
  for (const EvaluationEvent& at : evaluations_of(run, "global", "shared")) {
    if (std::isfinite(at.epsilon)) points.push_back({at.epsilon, at.bits_per_byte});
  }
  return thinned(std::move(points));
}

struct EpsilonRange {
  double least = INFINITY; // above 0
  double most = 0;
};
EpsilonRange range_of(const std::vector<ChartLine>& lines) {
  EpsilonRange range;
  for (const ChartLine& line : lines) {
    for (const ChartPoint& point : line.points) {
      if (point.x > 0) range.least = std::min(range.least, point.x);
      range.most = std::max(range.most, point.x);
    }
  }
  return range;
}

// A curve a run; the base, and runs without noise, are levels to compare with.
LineChart loss_by_epsilon(const ReportRuns& runs) {
  LineChart chart{.title = "Loss against privacy spent",
                  .x_label = "epsilon",
                  .y_label = "bits per byte, all clients",
                  .y_from_zero = false,
                  .lines = {}};
  const std::vector<std::string> names = names_by_noise(runs);
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    chart.lines.push_back({.name = names[i],
                           .points = points_by_epsilon(runs.runs[i]),
                           .color = static_cast<unsigned>(i)});
  }
  const EpsilonRange range = range_of(chart.lines);
  if (!(range.most > 0)) return chart;
  chart.log_x = range.most > kWideRange * range.least;
  const double from = chart.log_x ? range.least : 0;
  const auto level = [&](double bits) {
    return std::vector<ChartPoint>{{from, bits}, {range.most, bits}};
  };
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    const auto shared = last_evaluation(runs.runs[i], "global", "shared");
    if (!shared || std::isfinite(noise_multiplier_of(runs.runs[i]))) continue;
    chart.lines[i].points = level(shared->bits_per_byte);
    chart.lines[i].dashed = true;
  }
  if (const auto base = last_evaluation(runs.runs.front(), "global", "base")) {
    chart.lines.push_back({.name = "base",
                           .points = level(base->bits_per_byte),
                           .color = kGreyColor,
                           .dashed = true});
  }
  return chart;
}

std::string spent_table(const ReportRuns& runs) {
  ReportTable table{.caption = "Privacy, and what it bought",
                    .columns = {{"run", CellAlign::kLeft},
                                {"noise", CellAlign::kLeft},
                                {"noise multiplier"},
                                {"clip norm"},
                                {"delta"},
                                {"epsilon"},
                                {"rounds released"},
                                {"bits per byte, base"},
                                {"shared"},
                                {"change"},
                                {"clients harmed"}},
                    .rows = {}};
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    const RunRecord& run = runs.runs[i];
    const auto base = last_evaluation(run, "global", "base");
    const auto shared = last_evaluation(run, "global", "shared");
    const double before = base ? base->bits_per_byte : NAN;
    const double after = shared ? shared->bits_per_byte : NAN;
    const HarmShare harm = harm_of(last_clients(run));
    const bool spent = std::isfinite(run.end.epsilon);
    std::string noise(run.manifest.setting("privacy.noise"));
    std::erase(noise, '"'); // settings stand as in TOML
    table.rows.push_back({runs.names[i], noise, multiplier_text(run),
                          value_text(AxisUnit::kPlain, last_of(run, &PlayedRoundEvent::clip_norm)),
                          spent ? std::string(run.manifest.setting("privacy.delta")) : "\u2013",
                          spent ? value_text(AxisUnit::kPlain, run.end.epsilon) : "no bound",
                          cat(run.end.released), bits_text(before), bits_text(after),
                          change_text(before, after), part_text(harm.harmed, harm.clients)});
  }
  return table_html(table);
}

} // namespace

std::string privacy_section(const ReportRuns& runs) {
  const bool any = std::ranges::any_of(
      runs.runs, [](const RunRecord& run) { return std::isfinite(run.end.epsilon); });
  if (!any) {
    return section_html("Privacy", "",
                        paragraph_html("No noise was added: nothing here bounds what a release "
                                       "tells of one client."));
  }
  LineChart spent{
      .title = "Privacy spent",
      .x_label = "round",
      .y_label = "epsilon so far",
      .lines = lines_by_round(runs, [](const PlayedRoundEvent& round) { return round.epsilon; })};
  if (!runs.one()) {
    const std::vector<std::string> names = names_by_noise(runs);
    for (std::size_t i = 0; i < names.size(); ++i) spent.lines[i].name = names[i];
  }
  return section_html("Privacy", "",
                      grid_html(figure_html(loss_by_epsilon(runs),
                                            "Further left and lower is better. A point is an "
                                            "evaluation of the shared adapter.") +
                                figure_html(spent)) +
                          spent_table(runs));
}

} // namespace coppice
