// SPDX-License-Identifier: Apache-2.0
// Updates of report.html: what they were like, and what devices said of them.
#include <algorithm>
#include <cmath>

#include "aggregator/strategy.h"
#include "base/text.h"
#include "sim/report_sections.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

constexpr std::size_t kMostMetricCharts = 8;

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
  names.resize(std::min(names.size(), kMostMetricCharts));
  return names;
}

LineChart metric_chart(const ReportRuns& runs, const std::string& wanted) {
  std::string words = wanted;
  std::ranges::replace(words, '_', ' ');
  const bool of_the_step = wanted == kMetricPatchDropped; // the rest are metric slots
  return {.title = cat(of_the_step ? "The aggregator found: " : "Devices said: ", words),
          .x_label = "round",
          .y_label = of_the_step ? "share of the patch" : "mean over the round",
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
