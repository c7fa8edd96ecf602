// SPDX-License-Identifier: Apache-2.0
// Privacy and updates of report.html: what was spent and what it bought, and what the updates were
// like.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "sim/report_sections.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

constexpr std::size_t kMostMetrics = 8;

// The last that a round stated.
double last_of(const RunRecord& run, double PlayedRoundEvent::*field) {
  for (auto round = run.rounds.rbegin(); round != run.rounds.rend(); ++round) {
    if (std::isfinite((*round).*field)) return (*round).*field;
  }
  return NAN;
}

LineChart loss_by_epsilon(const ReportRuns& runs) {
  LineChart chart{.title = "Loss against privacy spent",
                  .x_label = "epsilon",
                  .y_label = "bits per byte, all clients",
                  .y_from_zero = false,
                  .lines = {}};
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    ChartLine line{.name = runs.one() ? std::string("shared") : runs.names[i],
                   .points = {},
                   .color = static_cast<unsigned>(i)};
    for (const EvaluationEvent& at : evaluations_of(runs.runs[i], "global", "shared")) {
      if (std::isfinite(at.epsilon)) line.points.push_back({at.epsilon, at.bits_per_byte});
    }
    line.points = thinned(std::move(line.points));
    chart.lines.push_back(std::move(line));
  }
  const auto base = last_evaluation(runs.runs.front(), "global", "base");
  double most = 0;
  for (const ChartLine& line : chart.lines) {
    for (const ChartPoint& point : line.points) most = std::max(most, point.x);
  }
  if (base && most > 0) {
    chart.lines.push_back({.name = "base",
                           .points = {{0, base->bits_per_byte}, {most, base->bits_per_byte}},
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
                                {"bits per byte"},
                                {"against the base"}},
                    .rows = {}};
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    const RunRecord& run = runs.runs[i];
    const auto base = last_evaluation(run, "global", "base");
    const auto shared = last_evaluation(run, "global", "shared");
    const bool spent = std::isfinite(run.end.epsilon);
    std::string noise(run.manifest.setting("privacy.noise"));
    std::erase(noise, '"'); // settings stand as in TOML
    table.rows.push_back(
        {runs.names[i], noise,
         value_text(AxisUnit::kPlain, last_of(run, &PlayedRoundEvent::noise_multiplier)),
         value_text(AxisUnit::kPlain, last_of(run, &PlayedRoundEvent::clip_norm)),
         spent ? std::string(run.manifest.setting("privacy.delta")) : "\u2013",
         spent ? value_text(AxisUnit::kPlain, run.end.epsilon) : "no bound",
         bits_text(shared ? shared->bits_per_byte : NAN),
         base && shared ? change_text(base->bits_per_byte, shared->bits_per_byte) : "\u2013"});
  }
  return table_html(table);
}

// The three lines of a run's cosines, or each run's mean.
LineChart cosine_chart(const ReportRuns& runs) {
  const auto by = [&runs](double PlayedRoundEvent::*field) {
    return lines_by_round(runs, [field](const PlayedRoundEvent& round) { return round.*field; });
  };
  LineChart chart{.title = runs.one() ? "Cosine of single updates with their mean"
                                      : "Mean cosine of single updates with their mean",
                  .x_label = "round",
                  .y_label = "cosine",
                  .lines = by(&PlayedRoundEvent::cosine_mean)};
  if (!runs.one()) return chart;
  chart.lines.front().name = "mean";
  for (const auto& [name, field] : {std::pair{"p10", &PlayedRoundEvent::cosine_p10},
                                    std::pair{"p90", &PlayedRoundEvent::cosine_p90}}) {
    ChartLine line = by(field).front();
    line.name = name;
    line.color = kGreyColor;
    line.dashed = true;
    chart.lines.push_back(std::move(line));
  }
  return chart;
}

std::vector<std::string> metric_names(const ReportRuns& runs) {
  std::vector<std::string> names;
  for (const RunRecord& run : runs.runs) {
    for (const PlayedRoundEvent& round : run.rounds) {
      for (const auto& [name, value] : round.metrics) {
        if (std::ranges::find(names, name) == names.end()) names.push_back(name);
      }
    }
  }
  names.resize(std::min(names.size(), kMostMetrics));
  return names;
}

LineChart metric_chart(const ReportRuns& runs, const std::string& wanted) {
  std::string words = wanted;
  std::ranges::replace(words, '_', ' ');
  return {.title = cat("Devices said: ", words),
          .x_label = "round",
          .y_label = "mean over the round",
          .y_from_zero = !wanted.starts_with("loss"),
          .lines = lines_by_round(runs, [&wanted](const PlayedRoundEvent& round) {
            const auto found =
                std::ranges::find(round.metrics, wanted, &std::pair<std::string, double>::first);
            return found == round.metrics.end() ? NAN : found->second;
          })};
}

std::string share_figure(const ReportRuns& runs, const char* title, const char* label,
                         double PlayedRoundEvent::*field) {
  return figure_html(LineChart{
      .title = title,
      .x_label = "round",
      .y_label = label,
      .y_unit = AxisUnit::kShare,
      .lines =
          lines_by_round(runs, [field](const PlayedRoundEvent& round) { return round.*field; })});
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
  const std::string figures =
      figure_html(loss_by_epsilon(runs), "Further left and lower is better.") +
      figure_html(LineChart{.title = "Privacy spent",
                            .x_label = "round",
                            .y_label = "epsilon so far",
                            .lines = lines_by_round(runs, [](const PlayedRoundEvent& round) {
                              return round.epsilon;
                            })});
  return section_html("Privacy", "", grid_html(figures) + spent_table(runs));
}

std::string updates_section(const ReportRuns& runs) {
  std::string figures =
      share_figure(runs, "Updates that the clip shortened", "share of updates",
                   &PlayedRoundEvent::clipped) +
      figure_html(LineChart{
          .title = "Values that the ring's range cut",
          .x_label = "round",
          .y_label = "values, all updates together",
          .lines =
              lines_by_round(runs, [](const PlayedRoundEvent& round) { return round.clamped; })}) +
      figure_html(cosine_chart(runs), "1: all updates point the same way; 0: at right angles.") +
      share_figure(runs, "Product gap", "|mean(BA) \u2212 mean(B) mean(A)| / |mean(BA)|",
                   &PlayedRoundEvent::product_gap);
  for (const std::string& name : metric_names(runs))
    figures += figure_html(metric_chart(runs, name));
  return section_html("Updates", "", grid_html(figures));
}

} // namespace coppice
