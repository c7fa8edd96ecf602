// SPDX-License-Identifier: Apache-2.0
// Losses of report.html: by round, by virtual time and by bytes, by report set, and on the way to a
// target.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"
#include "sim/report_sections.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

using EvaluationValue = double (*)(const EvaluationEvent& at);

struct Progress {
  const char* id;
  const char* name; // of the tab
  const char* label;
  AxisUnit unit;
  EvaluationValue of;
};
constexpr Progress kProgress[] = {
    {"round", "By round", "round", AxisUnit::kPlain,
     [](const EvaluationEvent& at) { return static_cast<double>(at.round); }},
    {"time", "By virtual time", "virtual time", AxisUnit::kSeconds,
     [](const EvaluationEvent& at) { return at.time_s; }},
    {"bytes", "By bytes", "bytes up and down", AxisUnit::kBytes,
     [](const EvaluationEvent& at) { return at.bytes_up + at.bytes_down; }},
};

struct Measure {
  const char* title;
  const char* label;
  const char* set;
  AxisUnit unit;
  EvaluationValue of;
};
constexpr EvaluationValue kBits = [](const EvaluationEvent& at) { return at.bits_per_byte; };
constexpr Measure kMeasures[] = {
    {"All clients' report text", "bits per byte", "global", AxisUnit::kPlain, kBits},
    {"Clients that never train", "bits per byte", "unseen", AxisUnit::kPlain, kBits},
    {"Public text: what is forgotten", "bits per byte", "public", AxisUnit::kPlain, kBits},
    {"Loss, all clients", "nats per token", "global", AxisUnit::kPlain,
     [](const EvaluationEvent& at) { return at.nats_per_token; }},
    {"Next token right", "share of tokens", "global", AxisUnit::kShare,
     [](const EvaluationEvent& at) { return at.token_accuracy; }},
    {"Right choice by likelihood", "share of questions", "global", AxisUnit::kShare,
     [](const EvaluationEvent& at) { return at.choice_accuracy; }},
    {"Right choice by likelihood a byte", "share of questions", "global", AxisUnit::kShare,
     [](const EvaluationEvent& at) { return at.choice_accuracy_by_byte; }},
    {"Exact match", "share of answers", "global", AxisUnit::kShare,
     [](const EvaluationEvent& at) { return at.exact_match; }},
    {"ROUGE-L", "F-measure", "global", AxisUnit::kShare,
     [](const EvaluationEvent& at) { return at.rouge_l; }},
};

struct AdapterLook {
  const char* adapter;
  unsigned color;
  bool dashed;
};
constexpr AdapterLook kLooks[] = {
    {"base", kGreyColor, true}, {"shared", 0, false}, {"centralized", 2, true}};

std::vector<ChartPoint> points_of(const RunRecord& run, const Measure& measure,
                                  std::string_view adapter, const Progress& progress) {
  std::vector<ChartPoint> points;
  for (const EvaluationEvent& at : evaluations_of(run, measure.set, adapter)) {
    points.push_back({progress.of(at), measure.of(at)});
  }
  return thinned(std::move(points));
}

// What was evaluated once, the base say, is a level to compare with: drawn over the whole width.
void stretch_single_points(LineChart& chart) {
  double most = 0;
  for (const ChartLine& line : chart.lines) {
    for (const ChartPoint& point : line.points) most = std::max(most, point.x);
  }
  for (ChartLine& line : chart.lines) {
    if (line.points.size() != 1) continue;
    line.points = {{0, line.points.front().y}, {most, line.points.front().y}};
  }
}

LineChart loss_chart(const ReportRuns& runs, const Measure& measure, const Progress& progress) {
  LineChart chart{.title = measure.title,
                  .x_label = progress.label,
                  .y_label = measure.label,
                  .x_unit = progress.unit,
                  .y_unit = measure.unit,
                  .y_from_zero = false,
                  .lines = {}};
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    for (const AdapterLook& look : kLooks) {
      const bool base = look.adapter == std::string_view("base");
      if (base && i > 0) continue; // one base to compare with
      std::vector<ChartPoint> points = points_of(runs.runs[i], measure, look.adapter, progress);
      if (points.empty()) continue;
      const bool shared = look.adapter == std::string_view("shared");
      ChartLine line{.name = look.adapter,
                     .points = std::move(points),
                     .color = look.color,
                     .dashed = look.dashed};
      if (!runs.one() && !base) {
        line.color = static_cast<unsigned>(i);
        line.name = shared ? runs.names[i] : cat(runs.names[i], " centralized");
      }
      chart.lines.push_back(std::move(line));
    }
  }
  stretch_single_points(chart);
  return chart;
}

std::string panel(const ReportRuns& runs, const Progress& progress) {
  std::string figures;
  for (const Measure& measure : kMeasures) {
    figures += figure_html(loss_chart(runs, measure, progress));
  }
  if (figures.empty()) return {};
  return cat("<div class=\"panel panel-", progress.id, "\"><h3>", progress.name, "</h3>\n",
             grid_html(figures), "</div>\n");
}

} // namespace

std::string losses_section(const ReportRuns& runs) {
  std::string choices;
  std::string panels;
  for (const Progress& progress : kProgress) {
    const bool first = panels.empty();
    panels += panel(runs, progress);
    choices += cat("<input type=\"radio\" name=\"progress\" id=\"by-", progress.id, "\"",
                   first ? " checked=\"checked\"" : "", "/><label for=\"by-", progress.id, "\">",
                   progress.name, "</label>\n");
  }
  if (panels.empty()) return {};
  return section_html(
      "Losses", "Lower is better for bits per byte and loss. Their vertical axes don't begin at 0.",
      cat("<div class=\"tabs\">\n", choices, panels, "</div>\n"));
}

std::string sets_section(const ReportRuns& runs) {
  constexpr std::array<std::pair<const char*, const char*>, 3> kSets{
      {{"global", "all clients"}, {"unseen", "unseen clients"}, {"public", "public text"}}};
  ReportTable table{.caption = "Bits per byte at the last evaluation, lower is better",
                    .columns = {{"report text", CellAlign::kLeft}},
                    .rows = {}};
  if (!runs.one()) table.columns.push_back({"run", CellAlign::kLeft});
  for (const char* title : {"base", "shared", "change", "centralized", "change"}) {
    table.columns.push_back({title});
  }
  for (const auto& [set, name] : kSets) {
    for (std::size_t i = 0; i < runs.runs.size(); ++i) {
      const RunRecord& run = runs.runs[i];
      const auto bits = [&run, set = set](const char* adapter) {
        const auto found = last_evaluation(run, set, adapter);
        return found ? found->bits_per_byte : NAN;
      };
      if (!std::isfinite(bits("base")) && !std::isfinite(bits("shared"))) continue;
      std::vector<std::string> row{name};
      if (!runs.one()) row.push_back(runs.names[i]);
      row.insert(row.end(),
                 {bits_text(bits("base")), bits_text(bits("shared")),
                  change_text(bits("base"), bits("shared")), bits_text(bits("centralized")),
                  change_text(bits("base"), bits("centralized"))});
      table.rows.push_back(std::move(row));
    }
  }
  return section_html(
      "Base, shared and centralized",
      "Centralized is one adapter trained on all clients' text together: what federation gives up. "
      "Public text is no client's; a rise there is what the shared adapter made the base forget.",
      table_html(table));
}

std::string targets_section(const ReportRuns& runs) {
  ReportTable table{.caption = "The first evaluation of the shared adapter at or below each level",
                    .columns = {{"level, bits per byte", CellAlign::kLeft}},
                    .rows = {}};
  if (!runs.one()) table.columns.push_back({"run", CellAlign::kLeft});
  for (const char* title :
       {"rounds", "virtual time", "uploaded", "downloaded", "energy", "epsilon"}) {
    table.columns.push_back({title});
  }
  for (const TargetLevel& level : target_levels(runs.runs)) {
    for (std::size_t i = 0; i < runs.runs.size(); ++i) {
      std::vector<std::string> row{cat(level.name, ": ", bits_text(level.bits_per_byte))};
      if (!runs.one()) row.push_back(runs.names[i]);
      const auto at =
          first_at(evaluations_of(runs.runs[i], "global", "shared"), level.bits_per_byte);
      if (at) {
        row.insert(row.end(), {cat(at->round), value_text(AxisUnit::kSeconds, at->time_s),
                               value_text(AxisUnit::kBytes, at->bytes_up),
                               value_text(AxisUnit::kBytes, at->bytes_down),
                               value_text(AxisUnit::kJoules, at->joules),
                               value_text(AxisUnit::kPlain, at->epsilon)});
      } else {
        row.emplace_back("not reached");
        row.resize(table.columns.size());
      }
      table.rows.push_back(std::move(row));
    }
  }
  return section_html("What it takes to get there",
                      "On all clients' report text. A run is evaluated every few rounds, so these "
                      "are upper bounds.",
                      table_html(table));
}

} // namespace coppice
