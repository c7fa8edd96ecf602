// SPDX-License-Identifier: Apache-2.0
// Rounds of report.html: what was sent and spent, and what became of the devices that were asked.
#include <algorithm>
#include <cmath>
#include <map>

#include "base/text.h"
#include "sim/report_sections.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

constexpr std::size_t kMostBars = 60;

// What became of devices, by round: a name, a colour, a count.
struct RoundPart {
  BarSeries series;
  std::uint64_t (*of)(const PlayedRoundEvent& round);
};
constexpr auto kCounted = [](const PlayedRoundEvent& round) { return round.counted; };
constexpr auto kDeclined = [](const PlayedRoundEvent& round) { return round.declined; };
constexpr auto kDropped = [](const PlayedRoundEvent& round) { return round.dropped.total(); };
// Ready, and not needed, or in a round that was abandoned.
std::uint64_t unused(const PlayedRoundEvent& round) {
  const std::uint64_t known = round.counted + round.declined + round.dropped.total();
  return round.asked > known ? round.asked - known : 0;
}

const std::vector<RoundPart>& outcomes() {
  static const std::vector<RoundPart> parts{{{"counted", 0}, kCounted},
                                            {{"not used", 5}, unused},
                                            {{"declined", kGreyColor}, kDeclined},
                                            {{"dropped out or late", 1}, kDropped}};
  return parts;
}

const std::vector<RoundPart>& losses() {
  using Round = const PlayedRoundEvent&;
  static const std::vector<RoundPart> parts{
      {{"no answer", kGreyColor}, [](Round round) { return round.dropped.answer; }},
      {{"training", 0}, [](Round round) { return round.dropped.training; }},
      {{"masking", 1}, [](Round round) { return round.dropped.masking; }},
      {{"uploading", 2}, [](Round round) { return round.dropped.uploading; }},
      {{"unmasking", 3}, [](Round round) { return round.dropped.unmasking; }},
      {{"late", 4}, [](Round round) { return round.dropped.late; }}};
  return parts;
}

// A bar a round; of many rounds, a bar of means for each few.
BarChart parts_chart(const RunRecord& run, const std::vector<RoundPart>& parts, std::string title) {
  BarChart chart{.title = std::move(title),
                 .x_label = "round",
                 .y_label = "devices",
                 .series = {},
                 .bars = {},
                 .rules = {}};
  const std::size_t together = 1 + (run.rounds.size() - 1) / kMostBars;
  if (together > 1) chart.x_label = cat("round; each bar is a mean of ", together);
  double all = 0;
  for (const RoundPart& part : parts) chart.series.push_back(part.series);
  for (std::size_t at = 0; at < run.rounds.size(); at += together) {
    const auto rounds =
        std::span(run.rounds).subspan(at, std::min(together, run.rounds.size() - at));
    const std::uint64_t first = rounds.front().round;
    const std::uint64_t last = rounds.back().round;
    ChartBar bar{
        .from = static_cast<double>(first) - 0.5,
        .to = static_cast<double>(last) + 0.5,
        .heights = {},
        .name = first == last ? cat("round ", first) : cat("rounds ", first, " to ", last)};
    if (first == last && !rounds.front().released) {
      bar.name += cat(", abandoned: ", rounds.front().reason);
    }
    for (const RoundPart& part : parts) {
      double sum = 0;
      for (const PlayedRoundEvent& round : rounds) sum += static_cast<double>(part.of(round));
      bar.heights.push_back(sum / static_cast<double>(rounds.size()));
      all += sum;
    }
    chart.bars.push_back(std::move(bar));
  }
  if (all == 0) chart.bars.clear();
  return chart;
}

std::string participation_table(const ReportRuns& runs) {
  ReportTable table{
      .caption = "Devices, over all rounds", .columns = {{"", CellAlign::kLeft}}, .rows = {}};
  std::vector<RoundPart> parts{
      {{"asked"}, [](const PlayedRoundEvent& round) { return round.asked; }},
      {{"declined"}, kDeclined},
      {{"accepted"}, [](const PlayedRoundEvent& round) { return round.accepted; }},
      {{"trained"}, [](const PlayedRoundEvent& round) { return round.trained; }},
  };
  for (const RoundPart& part : losses()) {
    const bool answer = part.series.name == "no answer";
    const bool late = part.series.name == "late";
    parts.push_back(
        {{answer || late ? part.series.name : cat("lost while ", part.series.name)}, part.of});
  }
  parts.push_back({{"counted"}, kCounted});
  for (const RoundPart& part : parts) table.rows.push_back({part.series.name});
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    table.columns.push_back({runs.one() ? std::string("devices") : runs.names[i]});
    table.columns.push_back({"of asked"});
    const std::uint64_t asked = totals_of(runs.runs[i]).asked;
    for (std::size_t at = 0; at < parts.size(); ++at) {
      std::uint64_t count = 0;
      for (const PlayedRoundEvent& round : runs.runs[i].rounds) count += parts[at].of(round);
      const double share = static_cast<double>(count) / static_cast<double>(asked);
      table.rows[at].push_back(cat(count));
      table.rows[at].push_back(asked == 0 ? "\u2013" : cat(fixed(share * 100, 1), " %"));
    }
  }
  return table_html(table);
}

std::string abandoned_table(const ReportRuns& runs) {
  ReportTable table{
      .caption = "Rounds without a release", .columns = {{"reason", CellAlign::kLeft}}, .rows = {}};
  std::map<std::string, std::vector<std::uint64_t>> counts;
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    table.columns.push_back({runs.one() ? std::string("rounds") : runs.names[i]});
    for (const PlayedRoundEvent& round : runs.runs[i].rounds) {
      if (round.released) continue;
      std::vector<std::uint64_t>& of_runs =
          counts[round.reason.empty() ? "none given" : round.reason];
      of_runs.resize(runs.runs.size());
      ++of_runs[i];
    }
  }
  for (const auto& [reason, of_runs] : counts) {
    std::vector<std::string> row{reason};
    for (const std::uint64_t count : of_runs) row.push_back(cat(count));
    table.rows.push_back(std::move(row));
  }
  return table_html(table);
}

LineChart duration_chart(const ReportRuns& runs) {
  LineChart chart{.title = "How long a round takes",
                  .x_label = "round",
                  .y_label = "virtual time",
                  .y_unit = AxisUnit::kSeconds,
                  .lines = lines_by_round(runs, [](const PlayedRoundEvent& round) {
                    return round.time_s - round.started_s;
                  })};
  if (!runs.one()) return chart;
  ChartLine abandoned{.name = "abandoned", .points = {}, .color = 1, .shape = LineShape::kDots};
  for (const PlayedRoundEvent& round : runs.runs.front().rounds) {
    if (round.released) continue;
    abandoned.points.push_back({static_cast<double>(round.round), round.time_s - round.started_s});
  }
  abandoned.points = thinned(std::move(abandoned.points));
  chart.lines.front().name = "all rounds";
  chart.lines.push_back(std::move(abandoned));
  return chart;
}

std::vector<ChartLine> sums_by_round(const ReportRuns& runs, double PlayedRoundEvent::*field) {
  return lines_by_round(
      runs, [field](const PlayedRoundEvent& round) { return round.*field; }, true);
}

LineChart traffic_chart(const ReportRuns& runs) {
  LineChart chart{.title = runs.one() ? "Bytes so far" : "Bytes so far; dashed: down",
                  .x_label = "round",
                  .y_label = "bytes",
                  .y_unit = AxisUnit::kBytes,
                  .lines = sums_by_round(runs, &PlayedRoundEvent::bytes_up)};
  std::vector<ChartLine> down = sums_by_round(runs, &PlayedRoundEvent::bytes_down);
  for (ChartLine& line : down) {
    line.dashed = true;
    if (!runs.one()) line.name += " down";
  }
  if (runs.one()) {
    chart.lines.front().name = "up";
    down.front().name = "down";
    down.front().color = 1;
  }
  chart.lines.insert(chart.lines.end(), down.begin(), down.end());
  return chart;
}

} // namespace

std::vector<ChartLine> lines_by_round(const ReportRuns& runs, const RoundValue& value,
                                      bool so_far) {
  std::vector<ChartLine> lines;
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    ChartLine line{.name = runs.one() ? std::string() : runs.names[i],
                   .points = {},
                   .color = static_cast<unsigned>(i)};
    double sum = 0;
    for (const PlayedRoundEvent& round : runs.runs[i].rounds) {
      const double now = value(round);
      sum += now;
      line.points.push_back({static_cast<double>(round.round), so_far ? sum : now});
    }
    line.points = thinned(std::move(line.points));
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string traffic_section(const ReportRuns& runs) {
  const std::string figures =
      figure_html(traffic_chart(runs)) +
      figure_html(LineChart{.title = "Energy on devices so far",
                            .x_label = "round",
                            .y_label = "energy",
                            .y_unit = AxisUnit::kJoules,
                            .lines = sums_by_round(runs, &PlayedRoundEvent::joules)}) +
      figure_html(duration_chart(runs));
  return section_html("Traffic, energy and time",
                      "Energy follows from the scenario's constants for each class of devices.",
                      grid_html(figures));
}

std::string participation_section(const ReportRuns& runs) {
  std::string figures;
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    if (runs.runs[i].rounds.empty()) continue;
    const std::string of_run = runs.one() ? std::string() : cat(", ", runs.names[i]);
    figures += figure_html(
        parts_chart(runs.runs[i], outcomes(), cat("What became of the devices asked", of_run)));
    figures += figure_html(
        parts_chart(runs.runs[i], losses(), cat("Drop-outs by where they happened", of_run)));
  }
  if (figures.empty()) return {};
  figures += figure_html(
      LineChart{.title = "How unevenly devices took part so far",
                .x_label = "round",
                .y_label = "Gini coefficient",
                .lines = lines_by_round(
                    runs, [](const PlayedRoundEvent& round) { return round.participation_gini; })},
      "Over all devices. 0: all took part equally often; near 1: few did all of it.");
  return section_html("Participation", "",
                      grid_html(figures) + cat("<div class=\"beside\">", participation_table(runs),
                                               abandoned_table(runs), "</div>\n"));
}

} // namespace coppice
