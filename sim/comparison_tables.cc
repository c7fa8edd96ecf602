// SPDX-License-Identifier: Apache-2.0
#include "sim/comparison_tables.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "sim/chart_axis.h"
#include "sim/csv_table.h"

namespace coppice {
namespace {

constexpr const char* kPlusMinus = " \u00b1 ";

const char* set_text(std::string_view set) {
  if (set == "unseen") return "clients that never train";
  if (set == "public") return "public text";
  return "all clients' report text";
}

std::string number_text(MeasureUnit unit, double value) {
  if (!std::isfinite(value)) return kDash;
  switch (unit) {
    case MeasureUnit::kBits: return fixed(value, 4);
    case MeasureUnit::kShare: return cat(fixed(100 * value, 1), " %");
    case MeasureUnit::kCount: return fixed(value, value == std::round(value) ? 0 : 1);
    case MeasureUnit::kBytes: return value_text(AxisUnit::kBytes, value);
    case MeasureUnit::kSeconds: return value_text(AxisUnit::kSeconds, value);
    case MeasureUnit::kJoules: return value_text(AxisUnit::kJoules, value);
  }
  return kDash;
}

// A figure that no run has: empty, so that tables need not ask.
const ComparedFigure& figure_of(const Comparison& comparison, std::string_view measure,
                                ComparedAt at, std::size_t scenario) {
  static const ComparedFigure none;
  const ComparedMeasure* const found = comparison.find(measure, at);
  return found == nullptr ? none : found->figures[scenario];
}

MeasureUnit unit_of(const Comparison& comparison, std::string_view measure, ComparedAt at) {
  const ComparedMeasure* const found = comparison.find(measure, at);
  return found == nullptr ? MeasureUnit::kCount : found->unit;
}

std::string mean_cell(const Comparison& comparison, std::string_view measure, ComparedAt at,
                      std::size_t scenario) {
  return number_text(unit_of(comparison, measure, at),
                     figure_of(comparison, measure, at, scenario).value.mean);
}

std::string interval_cell(const Comparison& comparison, std::string_view measure, ComparedAt at,
                          std::size_t scenario) {
  return interval_text(unit_of(comparison, measure, at),
                       figure_of(comparison, measure, at, scenario).value, comparison.seeds.size());
}

std::string first_cell(const Comparison& comparison, std::string_view measure, ComparedAt at,
                       std::size_t scenario) {
  if (scenario == 0) return kDash;
  return difference_text(unit_of(comparison, measure, at),
                         figure_of(comparison, measure, at, scenario).to_first);
}

std::string best_cell(const ComparedMeasure& measure, std::size_t scenario) {
  return scenario == measure.best
             ? "best"
             : difference_text(measure.unit, measure.figures[scenario].to_best);
}

std::string budget_text(const Comparison& comparison) {
  const auto [least, most] = std::ranges::minmax(comparison.equal_bytes);
  const std::string low = value_text(AxisUnit::kBytes, least);
  const std::string high = value_text(AxisUnit::kBytes, most);
  return low == high ? low : cat(low, " to ", high);
}

} // namespace

std::string interval_text(MeasureUnit unit, const MeanInterval& value, std::size_t seeds) {
  if (value.count == 0) return kDash;
  std::string text = number_text(unit, value.mean);
  if (std::isfinite(value.half_width)) text += kPlusMinus + number_text(unit, value.half_width);
  if (value.count < seeds) text += cat(" (", value.count, " of ", seeds, " seeds)");
  return text;
}

std::string difference_text(MeasureUnit unit, const MeanInterval& difference) {
  if (difference.count == 0) return kDash;
  const char* const sign = difference.mean < 0 ? kMinus : difference.mean > 0 ? "+" : "";
  std::string text = sign + number_text(unit, std::abs(difference.mean));
  if (std::isfinite(difference.half_width)) {
    text += kPlusMinus + number_text(unit, difference.half_width);
  }
  return difference.excludes(0) ? text + " *" : text;
}

ReportTable bits_table(const Comparison& comparison, std::string_view set, ComparedAt at) {
  const bool by_rounds = at == ComparedAt::kEqualRounds;
  ReportTable table{
      .caption = cat("Bits per byte on ", set_text(set),
                     by_rounds ? cat(" after ", comparison.equal_round, " rounds")
                               : cat(" for ", budget_text(comparison), " up and down"),
                     ", lower is better"),
      .columns = {{"scenario", CellAlign::kLeft},
                  {"bits per byte"},
                  {cat("against ", comparison.names.front())},
                  {"against the best"},
                  {by_rounds ? "bytes moved" : "rounds"}},
      .rows = {}};
  const std::string name = cat("bits_per_byte.", set);
  const ComparedMeasure* const measure = comparison.find(name, at);
  if (measure == nullptr) return table;
  for (std::size_t i = 0; i < comparison.names.size(); ++i) {
    table.rows.push_back({comparison.names[i], interval_cell(comparison, name, at, i),
                          first_cell(comparison, name, at, i), best_cell(*measure, i),
                          mean_cell(comparison, by_rounds ? "bytes" : "round", at, i)});
  }
  return table;
}

ReportTable clients_table(const Comparison& comparison) {
  const std::string against = cat("against ", comparison.names.front());
  ReportTable table{.caption =
                        "Over clients at the runs' ends, from \"what serves\" on with what "
                        "their gates chose; bits per byte, lower is better",
                    .columns = {{"scenario", CellAlign::kLeft},
                                {"shared alone"},
                                {"what serves"},
                                {against},
                                {"worst decile"},
                                {against},
                                {"p90 \u2212 p10"},
                                {"harmed"},
                                {against}},
                    .rows = {}};
  constexpr ComparedAt kAt = ComparedAt::kEnd;
  if (comparison.find("clients.served", kAt) == nullptr) return table;
  for (std::size_t i = 0; i < comparison.names.size(); ++i) {
    table.rows.push_back({comparison.names[i], interval_cell(comparison, "clients.shared", kAt, i),
                          interval_cell(comparison, "clients.served", kAt, i),
                          first_cell(comparison, "clients.served", kAt, i),
                          interval_cell(comparison, "clients.worst_decile", kAt, i),
                          first_cell(comparison, "clients.worst_decile", kAt, i),
                          mean_cell(comparison, "clients.spread", kAt, i),
                          interval_cell(comparison, "clients.harmed", kAt, i),
                          first_cell(comparison, "clients.harmed", kAt, i)});
  }
  return table;
}

ReportTable budget_table(const Comparison& comparison) {
  ReportTable table{.caption = "What each run took, mean over seeds",
                    .columns = {{"scenario", CellAlign::kLeft},
                                {"strategy", CellAlign::kLeft},
                                {"rounds"},
                                {"tokens trained"},
                                {"uploaded"},
                                {"downloaded"},
                                {"virtual time"},
                                {"energy"},
                                {"tuned over", CellAlign::kLeft}},
                    .rows = {}};
  constexpr ComparedAt kAt = ComparedAt::kEnd;
  for (std::size_t i = 0; i < comparison.names.size(); ++i) {
    table.rows.push_back(
        {comparison.names[i], comparison.strategies[i], mean_cell(comparison, "rounds", kAt, i),
         value_text(AxisUnit::kPlain, figure_of(comparison, "tokens", kAt, i).value.mean),
         mean_cell(comparison, "bytes_up", kAt, i), mean_cell(comparison, "bytes_down", kAt, i),
         mean_cell(comparison, "time_s", kAt, i), mean_cell(comparison, "joules", kAt, i),
         comparison.references[i] ? "a reference"
         : comparison.tuned[i]    ? tuning_text(*comparison.tuned[i])
                                  : "not tuned"});
  }
  return table;
}

ReportTable settings_table(const Comparison& comparison) {
  ReportTable table{
      .caption = "Settings that differ", .columns = {{"setting", CellAlign::kLeft}}, .rows = {}};
  for (const std::string& name : comparison.names) {
    table.columns.push_back({name, CellAlign::kLeft});
  }
  for (const DifferingSetting& setting : comparison.settings) {
    std::vector<std::string> row{setting.name};
    row.insert(row.end(), setting.values.begin(), setting.values.end());
    table.rows.push_back(std::move(row));
  }
  return table;
}

void add_interval(CsvTable& table, const std::string& prefix, const MeanInterval& interval) {
  table.cell(prefix + "mean", interval.mean);
  table.cell(prefix + "ci95_low", interval.low());
  table.cell(prefix + "ci95_high", interval.high());
}

std::string comparison_csv(const Comparison& comparison) {
  CsvTable table;
  for (const ComparedMeasure& measure : comparison.measures) {
    for (std::size_t i = 0; i < comparison.names.size(); ++i) {
      const ComparedFigure& figure = measure.figures[i];
      table.cell("scenario", comparison.names[i]);
      table.cell("strategy", comparison.strategies[i]);
      table.cell("at", compared_at_name(measure.at));
      table.cell("measure", measure.name);
      table.cell("seeds", static_cast<std::uint64_t>(figure.value.count));
      add_interval(table, "", figure.value);
      add_interval(table, "to_first.", figure.to_first);
      add_interval(table, "to_best.", figure.to_best);
      for (std::size_t seed = 0; seed < comparison.seeds.size(); ++seed) {
        table.cell(cat("seed.", comparison.seeds[seed]), figure.by_seed[seed]);
      }
      table.end_row();
    }
  }
  return std::move(table).take();
}

} // namespace coppice
