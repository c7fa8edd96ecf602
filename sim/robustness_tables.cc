// SPDX-License-Identifier: Apache-2.0
// Robustness as tables: for people, and for spreadsheets.
#include <algorithm>
#include <cmath>
#include <span>

#include "base/text.h"
#include "sim/comparison_tables.h"
#include "sim/csv_table.h"
#include "sim/robustness.h"

namespace coppice {
namespace {

const char* with_text(RobustMeasure measure) {
  return measure == RobustMeasure::kShared ? "with the shared adapter"
                                           : "with what their gates chose";
}

std::vector<ReportColumn> attack_columns(const Robustness& robust, bool with_none) {
  std::vector<ReportColumn> columns{{"scenario", CellAlign::kLeft}};
  if (with_none) columns.push_back({"no attack"});
  for (const std::string& attack : robust.attacks) columns.push_back({attack});
  return columns;
}

std::string numbers_text(const std::vector<std::uint64_t>& numbers) {
  if (numbers.empty()) return kDash;
  const auto [least, most] = std::ranges::minmax(numbers);
  return least == most ? cat(least) : cat(least, " to ", most);
}

// A row, unless one says the same of another scenario: then that one names both.
void add_scenario_row(std::vector<std::string> row, ReportTable& table) {
  const auto same = [&row](const std::vector<std::string>& other) {
    return std::ranges::equal(std::span(row).subspan(1), std::span(other).subspan(1));
  };
  const auto found = std::ranges::find_if(table.rows, same);
  if (found == table.rows.end()) {
    table.rows.push_back(std::move(row));
  } else {
    found->front() += cat(", ", row.front());
  }
}

template <typename CellOf>
std::vector<std::vector<std::string>> attack_rows(const Robustness& robust, bool with_none,
                                                  const CellOf& cell_of) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < robust.names.size(); ++i) {
    std::vector<std::string> row{robust.names[i]};
    std::string none = kDash;
    std::vector<std::string> cells;
    bool any = false;
    for (const std::string& attack : robust.attacks) {
      const RobustRow* const found = robust.find(i, attack);
      any = any || found != nullptr;
      cells.push_back(found == nullptr ? kDash : cell_of(*found, none));
    }
    if (!any) continue; // nothing was attacked of it
    if (with_none) row.push_back(std::move(none));
    row.insert(row.end(), cells.begin(), cells.end());
    rows.push_back(std::move(row));
  }
  return rows;
}

} // namespace

ReportTable robust_bits_table(const Robustness& robust, RobustMeasure measure) {
  const std::size_t seeds = robust.seeds.size();
  const auto cell = [&](const RobustRow& row, std::string& none) -> std::string {
    const RobustFigure& figure = figure_of(row, measure);
    if (none == kDash) none = interval_text(MeasureUnit::kBits, figure.clean, seeds);
    if (figure.value.count == 0 && !row.refused.empty()) return "refused";
    return interval_text(MeasureUnit::kBits, figure.value, seeds);
  };
  return {.caption = cat("Honest clients' bits per byte ", with_text(measure), ", lower is better"),
          .columns = attack_columns(robust, true),
          .rows = attack_rows(robust, true, cell)};
}

ReportTable robust_loss_table(const Robustness& robust, RobustMeasure measure) {
  const auto cell = [&](const RobustRow& row, const std::string&) -> std::string {
    const RobustFigure& figure = figure_of(row, measure);
    if (figure.loss.count == 0 && !row.refused.empty()) return "refused";
    return difference_text(MeasureUnit::kBits, figure.loss);
  };
  return {.caption = cat("What that is against the same scenario without an attack, ",
                         with_text(measure), "; above 0 is harm"),
          .columns = attack_columns(robust, false),
          .rows = attack_rows(robust, false, cell)};
}

ReportTable attacks_table(const Robustness& robust) {
  ReportTable table{.caption = "Attacks",
                    .columns = {{"scenario", CellAlign::kLeft},
                                {"attack", CellAlign::kLeft},
                                {"share of devices"},
                                {"strength"},
                                {"hostile devices"},
                                {"clients evaluated"},
                                {"of them honest"}},
                    .rows = {}};
  for (const RobustRow& row : robust.rows) {
    add_scenario_row(
        {robust.names[row.scenario], row.attack, cat(fixed(100 * row.fraction, 0), " %"),
         cat(row.strength), numbers_text(row.hostile), numbers_text(row.evaluated),
         numbers_text(row.honest)},
        table);
  }
  return table;
}

ReportTable refused_table(const Robustness& robust) {
  ReportTable table{.caption = "Without figures",
                    .columns = {{"scenario", CellAlign::kLeft},
                                {"attack", CellAlign::kLeft},
                                {"why", CellAlign::kLeft}},
                    .rows = {}};
  for (const RobustRow& row : robust.rows) {
    if (row.refused.empty()) continue;
    add_scenario_row({robust.names[row.scenario], row.attack, row.refused}, table);
  }
  return table;
}

std::string robustness_csv(const Robustness& robust) {
  CsvTable table;
  for (const RobustRow& row : robust.rows) {
    for (const RobustMeasure measure : {RobustMeasure::kShared, RobustMeasure::kServed}) {
      const RobustFigure& figure = figure_of(row, measure);
      table.cell("scenario", robust.names[row.scenario]);
      table.cell("strategy", robust.strategies[row.scenario]);
      table.cell("attack", row.attack);
      table.cell("fraction", row.fraction);
      table.cell("strength", row.strength);
      table.cell("measure", robust_measure_name(measure));
      table.cell("seeds", static_cast<std::uint64_t>(figure.value.count));
      add_interval(table, "", figure.value);
      add_interval(table, "clean.", figure.clean);
      add_interval(table, "loss.", figure.loss);
      table.cell("refused", row.refused);
      for (std::size_t seed = 0; seed < robust.seeds.size(); ++seed) {
        table.cell(cat("seed.", robust.seeds[seed]), figure.by_seed[seed]);
        table.cell(cat("clean.seed.", robust.seeds[seed]), figure.clean_by_seed[seed]);
        table.cell(cat("honest.seed.", robust.seeds[seed]),
                   seed < row.honest.size() ? row.honest[seed] : std::uint64_t{0});
      }
      table.end_row();
    }
  }
  return std::move(table).take();
}

} // namespace coppice
