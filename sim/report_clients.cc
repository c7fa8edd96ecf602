// SPDX-License-Identifier: Apache-2.0
// Clients of report.html: how figures are spread over them, who gains, and who is harmed.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "sim/report_sections.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

constexpr std::size_t kMostHarmedRows = 10;
constexpr std::size_t kMostClientDots = 400;
constexpr double kHistogramBins = 24;
constexpr double kLeastChange = 1e-9; // bits per byte: less is none

using Clients = std::vector<ClientEvent>;

std::vector<double> values_of(const Clients& clients, double (*of)(const ClientEvent&)) {
  std::vector<double> values;
  for (const ClientEvent& client : clients) {
    const double value = of(client);
    if (std::isfinite(value)) values.push_back(value);
  }
  std::ranges::sort(values);
  return values;
}

// Share of clients at or below each value.
std::vector<ChartPoint> cumulative(const std::vector<double>& ascending) {
  std::vector<ChartPoint> points;
  if (ascending.empty()) return points;
  const auto count = static_cast<double>(ascending.size());
  points.push_back({ascending.front(), 0});
  // At most some hundred steps: of many clients every k-th.
  const std::size_t together = 1 + ascending.size() / 300;
  for (std::size_t i = together - 1; i < ascending.size(); i += together) {
    points.push_back({ascending[i], static_cast<double>(i + 1) / count});
  }
  if (points.back().y < 1) points.push_back({ascending.back(), 1});
  return points;
}

LineChart spread_chart(const ReportRuns& runs, const std::vector<Clients>& clients) {
  LineChart chart{.title = "Spread over clients",
                  .x_label = "bits per byte on a client's own report text",
                  .y_label = "share of clients at or below",
                  .y_unit = AxisUnit::kShare,
                  .x_from_zero = false,
                  .lines = {}};
  const auto add = [&chart](std::string name, const std::vector<double>& values, unsigned color,
                            bool dashed) {
    if (values.empty()) return;
    chart.lines.push_back({.name = std::move(name),
                           .points = cumulative(values),
                           .color = color,
                           .dashed = dashed,
                           .shape = LineShape::kSteps});
  };
  if (!runs.one()) {
    add("base", values_of(clients.front(), client_measures().front().of), kGreyColor, true);
    for (std::size_t i = 0; i < clients.size(); ++i) {
      add(runs.names[i], values_of(clients[i], served_bits), static_cast<unsigned>(i), false);
    }
    return chart;
  }
  constexpr unsigned kColors[] = {kGreyColor, 0, 1, 4, 3};
  std::size_t at = 0;
  for (const ClientMeasure& measure : client_measures()) {
    const unsigned color = kColors[at++];
    if (measure.of == served_bits) continue; // mixes the others
    add(measure.name, values_of(clients.front(), measure.of), color, color == kGreyColor);
  }
  return chart;
}

double gain_of(const ClientEvent& client) { return served_bits(client) - client.base; }

// Of clients whose figures changed: with a rule at no change, which is the border of two bins.
BarChart gain_chart(const Clients& clients, const std::string& of_run) {
  BarChart chart{.title = cat("Change by what serves", of_run),
                 .x_label = "bits per byte against the base; left is better",
                 .y_label = "clients",
                 .series = {{"better or the same", 0}, {"harmed", 1}},
                 .bars = {},
                 .rules = {0}};
  const std::vector<double> gains = values_of(clients, gain_of);
  if (gains.empty()) return chart;
  const double least = std::min(gains.front(), 0.0);
  const double most = std::max(gains.back(), 0.0);
  if (!(most - least > kLeastChange) || !std::isfinite(most - least)) return chart;
  const double width = (most - least) / kHistogramBins;
  const double first = std::floor(least / width);
  const auto bins = static_cast<std::size_t>(std::ceil(most / width) - first);
  for (std::size_t i = 0; i < std::max<std::size_t>(bins, 1); ++i) {
    const double from = (first + static_cast<double>(i)) * width;
    chart.bars.push_back({.from = from,
                          .to = from + width,
                          .heights = {0, 0},
                          .name = cat(fixed(from, 3), " to ", fixed(from + width, 3))});
  }
  for (const double gain : gains) {
    // No change counts as not harmed: bins are closed at their upper ends.
    const double place = std::ceil(gain / width) - 1 - first;
    const std::size_t bin =
        std::min(static_cast<std::size_t>(std::max(place, 0.0)), chart.bars.size() - 1);
    chart.bars[bin].heights[gain > 0 ? 1 : 0] += 1;
  }
  return chart;
}

// Every k-th of many clients, so that the page stays small.
LineChart size_chart(const ReportRuns& runs, const std::vector<Clients>& clients) {
  LineChart chart{.title = "Change by how much text a client has",
                  .x_label = "bytes of training text",
                  .y_label = "bits per byte against the base",
                  .log_x = true,
                  .y_from_zero = false,
                  .lines = {}};
  for (std::size_t i = 0; i < clients.size(); ++i) {
    ChartLine line{.name = runs.one() ? std::string() : runs.names[i],
                   .points = {},
                   .color = static_cast<unsigned>(i),
                   .shape = LineShape::kDots};
    const std::size_t every = 1 + clients[i].size() / kMostClientDots;
    for (std::size_t at = 0; at < clients[i].size(); at += every) {
      const ClientEvent& client = clients[i][at];
      if (client.train_bytes == 0) continue;
      line.points.push_back({static_cast<double>(client.train_bytes), gain_of(client)});
    }
    std::ranges::sort(line.points, {}, &ChartPoint::x);
    chart.lines.push_back(std::move(line));
  }
  return chart;
}

std::vector<std::string> spread_row(const Clients& clients, double (*of)(const ClientEvent&)) {
  const Distribution spread = distribution_of(values_of(clients, of));
  if (spread.count == 0) return {};
  std::size_t worse = 0;
  std::size_t compared = 0;
  for (const ClientEvent& client : clients) {
    if (!std::isfinite(of(client))) continue;
    ++compared;
    worse += of(client) > client.base ? 1 : 0;
  }
  return {cat(spread.count),         bits_text(spread.mean), bits_text(spread.p10),
          bits_text(spread.median),  bits_text(spread.p90),  bits_text(spread.worst_decile),
          part_text(worse, compared)};
}

std::string spread_table(const ReportRuns& runs, const std::vector<Clients>& clients) {
  ReportTable table{.caption = "Bits per byte over clients, each weighted alike; lower is better",
                    .columns = {{"answers with", CellAlign::kLeft}, {"clients", CellAlign::kLeft}},
                    .rows = {}};
  if (!runs.one()) table.columns.push_back({"run", CellAlign::kLeft});
  for (const char* title :
       {"number", "mean", "p10", "median", "p90", "worst decile", "worse than base"}) {
    table.columns.push_back({title});
  }
  for (const ClientMeasure& measure : client_measures()) {
    for (std::size_t i = 0; i < clients.size(); ++i) {
      Clients groups[2]; // that train, that never do
      for (const ClientEvent& client : clients[i]) groups[client.seen ? 0 : 1].push_back(client);
      for (const Clients& group : groups) {
        std::vector<std::string> figures = spread_row(group, measure.of);
        if (figures.empty()) continue;
        std::vector<std::string> row{measure.name, group.front().seen ? "training" : "unseen"};
        if (!runs.one()) row.push_back(runs.names[i]);
        row.insert(row.end(), figures.begin(), figures.end());
        table.rows.push_back(std::move(row));
      }
    }
  }
  return table_html(table);
}

// The worst first: harmed by what serves, then those that the gate has saved.
std::string harmed_table(const Clients& clients, const std::string& of_run) {
  Clients worst;
  std::ranges::copy_if(clients, std::back_inserter(worst), [](const ClientEvent& client) {
    return client.harmed || client.shared > client.base;
  });
  std::ranges::stable_sort(worst, [](const ClientEvent& a, const ClientEvent& b) {
    if (a.harmed != b.harmed) return a.harmed;
    const auto harm = [](const ClientEvent& client) {
      return client.harmed ? gain_of(client) : client.shared - client.base;
    };
    return harm(a) > harm(b);
  });
  ReportTable table{.caption = cat("Worst off", of_run,
                                   ": harmed, or saved by the gate from a "
                                   "shared adapter that is worse than the base"),
                    .columns = {{"client", CellAlign::kLeft},
                                {"class", CellAlign::kLeft},
                                {"train text"},
                                {"report text"},
                                {"base"},
                                {"shared"},
                                {"personal"},
                                {"local only"},
                                {"serves", CellAlign::kLeft},
                                {"change"},
                                {"harmed", CellAlign::kLeft}},
                    .rows = {}};
  for (const ClientEvent& client : worst) {
    if (table.rows.size() == kMostHarmedRows) break;
    const std::string name = client.name.empty() ? cat("client ", client.client) : client.name;
    table.rows.push_back({name, client.device_class,
                          value_text(AxisUnit::kBytes, static_cast<double>(client.train_bytes)),
                          value_text(AxisUnit::kBytes, static_cast<double>(client.report_bytes)),
                          bits_text(client.base), bits_text(client.shared),
                          bits_text(client.personal), bits_text(client.local), client.served,
                          change_text(client.base, served_bits(client)),
                          client.harmed ? "yes" : "no"});
  }
  if (table.rows.empty()) return paragraph_html(cat("Nobody was harmed", of_run, "."));
  const std::size_t more = worst.size() - table.rows.size();
  return table_html(table) + (more > 0
                                  ? paragraph_html(cat(more, " more are in clients.csv (--csv)."))
                                  : std::string());
}

} // namespace

std::string clients_section(const ReportRuns& runs) {
  std::vector<Clients> clients;
  bool any = false;
  for (const RunRecord& run : runs.runs) {
    clients.push_back(last_clients(run));
    any = any || !clients.back().empty();
  }
  if (!any) return {};
  std::string figures = figure_html(
      spread_chart(runs, clients),
      runs.one() ? "Further left is better." : "By what serves. Further left is better.");
  std::string tables = spread_table(runs, clients);
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const std::string of_run = runs.one() ? std::string() : cat(", ", runs.names[i]);
    figures += figure_html(gain_chart(clients[i], of_run));
    if (!clients[i].empty()) tables += harmed_table(clients[i], of_run);
  }
  figures += figure_html(size_chart(runs, clients), "A dot a client; below 0 is better.");
  return section_html(
      "Clients",
      "Each client's own report text, which nothing was trained or chosen on. What serves is base, "
      "shared or personal, as the client's gate chose on other text. The worst decile "
      "is the mean of the tenth of clients with the highest figures.",
      grid_html(figures) + tables);
}

} // namespace coppice
