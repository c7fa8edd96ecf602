// SPDX-License-Identifier: Apache-2.0
// The head of report.html: which runs these are, what must not be taken for real, and key figures.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/text.h"
#include "sim/report_sections.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

// One key figure: how it is named, how it reads, what else there is to say.
struct KeyFigure {
  std::string name;
  std::string value;
  std::string note = {};
};

KeyFigure loss_figure(const RunRecord& run, std::string_view set, const char* name) {
  const auto base = last_evaluation(run, set, "base");
  const auto shared = last_evaluation(run, set, "shared");
  if (!shared) return {name, "\u2013"};
  KeyFigure figure{name, bits_text(shared->bits_per_byte)};
  if (base) {
    figure.note = cat(change_text(base->bits_per_byte, shared->bits_per_byte), " from the base's ",
                      bits_text(base->bits_per_byte));
  }
  return figure;
}

KeyFigure harm_figure(const RunRecord& run) {
  const HarmShare harm = harm_of(last_clients(run));
  const char* const name = "Clients harmed after the gate";
  if (harm.clients == 0) return {name, "\u2013", "no client was evaluated"};
  const auto share = static_cast<double>(harm.harmed) / static_cast<double>(harm.clients);
  return {name, cat(fixed(100 * share, 1), " %"),
          cat(harm.harmed, " of ", harm.clients,
              "; if all took the shared adapter: ", harm.shared_worse)};
}

KeyFigure epsilon_figure(const RunRecord& run) {
  const char* const name = "Privacy spent, epsilon";
  if (!std::isfinite(run.end.epsilon)) return {name, "none", "no noise, no bound"};
  const std::string_view delta = run.manifest.setting("privacy.delta");
  return {name, value_text(AxisUnit::kPlain, run.end.epsilon),
          delta.empty() ? std::string() : cat("at delta ", delta)};
}

KeyFigure participation_figure(const RunRecord& run) {
  const char* const name = "Participation, Gini";
  const double gini = last_of(run, &PlayedRoundEvent::participation_gini);
  if (!std::isfinite(gini)) return {name, "\u2013"};
  return {name, fixed(gini, 3), cat(run.rounds.back().participants, " devices took part")};
}

std::vector<KeyFigure> key_figures(const RunRecord& run) {
  const RoundTotals totals = totals_of(run);
  const auto counted = static_cast<double>(totals.counted);
  std::vector<KeyFigure> figures{
      loss_figure(run, "global", "Bits per byte, all clients"),
      loss_figure(run, "unseen", "Bits per byte, unseen clients"),
      loss_figure(run, "public", "Bits per byte, public text"),
      harm_figure(run),
      {"Rounds released", cat(totals.released, " of ", totals.rounds)},
      {"Updates counted", cat(totals.counted),
       cat("of ", totals.asked, " devices asked; ", totals.dropped.total(), " dropped out, ",
           totals.declined, " declined")},
      participation_figure(run),
      {"Virtual time", value_text(AxisUnit::kSeconds, run.end.time_s)},
      {"Uploaded", value_text(AxisUnit::kBytes, run.end.bytes_up),
       counted > 0 ? cat(value_text(AxisUnit::kBytes, run.end.bytes_up / counted),
                         " for each update counted")
                   : std::string()},
      {"Downloaded", value_text(AxisUnit::kBytes, run.end.bytes_down)},
      {"Energy on devices", value_text(AxisUnit::kJoules, run.end.joules),
       counted > 0 ? cat(value_text(AxisUnit::kJoules, run.end.joules / counted),
                         " for each update counted")
                   : std::string()},
      epsilon_figure(run),
  };
  std::erase_if(figures, [](const KeyFigure& figure) {
    return figure.value == "\u2013" && figure.note.empty();
  });
  return figures;
}

std::string tiles(const RunRecord& run) {
  std::string out = "<dl class=\"tiles\">\n";
  for (const KeyFigure& figure : key_figures(run)) {
    out += cat("<div><dt>", escape_markup(figure.name), "</dt><dd>", escape_markup(figure.value));
    if (!figure.note.empty()) out += cat("<small>", escape_markup(figure.note), "</small>");
    out += "</dd></div>\n";
  }
  return out + "</dl>\n";
}

// Figures that some runs have and others don't are dashes there.
std::string figures_table(const ReportRuns& runs) {
  ReportTable table{.caption = {}, .columns = {{"figure", CellAlign::kLeft}}, .rows = {}};
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    table.columns.push_back({runs.names[i]});
    for (const KeyFigure& figure : key_figures(runs.runs[i])) {
      auto row = std::ranges::find_if(
          table.rows, [&figure](const auto& cells) { return cells.front() == figure.name; });
      if (row == table.rows.end()) {
        row = table.rows.insert(row, std::vector<std::string>(runs.runs.size() + 1, "\u2013"));
        row->front() = figure.name;
      }
      const bool loss = figure.name.starts_with("Bits");
      (*row)[i + 1] =
          loss && !figure.note.empty()
              ? cat(figure.value, " (", figure.note.substr(0, figure.note.find(" from")), ")")
              : figure.value;
    }
  }
  return table_html(table);
}

std::string warnings(const ReportRuns& runs) {
  std::string items;
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    for (const std::string& reason : runs.runs[i].manifest.simulation_only) {
      items += cat("<li>", runs.one() ? std::string() : escape_markup(runs.names[i] + ": "),
                   escape_markup(reason), "</li>\n");
    }
  }
  if (items.empty()) return {};
  return cat(
      "<aside class=\"warning\" role=\"note\"><p><strong>SIMULATION ONLY.</strong> No real "
      "fleet can have these figures, and no claim about one may rest on them:</p>\n<ul>\n",
      items, "</ul></aside>\n");
}

std::string unfinished(const ReportRuns& runs) {
  std::string out;
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    const RunRecord& run = runs.runs[i];
    if (run.ended) continue;
    out += cat("<aside class=\"remark\" role=\"note\"><p>",
               runs.one() ? "This run" : escape_markup(runs.names[i]),
               " has not ended: these are its figures up to round ", run.end.rounds, ".",
               run.torn ? " The last line of its log is torn and was left out." : "",
               "</p></aside>\n");
  }
  return out;
}

std::string identity_row(std::string_view name, std::string_view markup) {
  return cat("<div><dt>", escape_markup(name), "</dt><dd>", markup, "</dd></div>\n");
}

std::string identity(const ReportRuns& runs) {
  std::string out = "<dl class=\"identity\">\n";
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    const RunRecord& run = runs.runs[i];
    const std::string hash = run.release_sha256().empty()
                                 ? std::string("none")
                                 : cat("<code>", escape_markup(run.release_sha256()), "</code>");
    if (runs.one()) {
      out += identity_row("Seed", cat(run.manifest.seed));
      out += identity_row("Release at the end", hash);
    } else {
      out += identity_row(runs.names[i], cat("seed ", run.manifest.seed, ", release ", hash));
    }
  }
  return out + "</dl>\n";
}

// "z-1.2" of runs/z-1.2 and of runs/z-1.2/.
std::string folder_name(const RunRecord& run) {
  const fs::path folder = run.folder.lexically_normal();
  return (folder.has_filename() ? folder : folder.parent_path()).filename().string();
}

bool folders_differ(std::span<const RunRecord> runs) {
  std::set<std::string> names;
  for (const RunRecord& run : runs) names.insert(folder_name(run));
  return names.size() == runs.size() && !names.contains("") && !names.contains(".");
}

} // namespace

ReportRuns named_runs(std::span<const RunRecord> runs) {
  ReportRuns named{.runs = runs, .names = {}};
  const auto shared_by_others = [runs](const RunRecord& run, bool with_seed) {
    return std::ranges::count_if(runs, [&](const RunRecord& other) {
             return other.manifest.name == run.manifest.name &&
                    (!with_seed || other.manifest.seed == run.manifest.seed);
           }) > 1;
  };
  const bool by_folder = folders_differ(runs);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::string name = runs[i].manifest.name;
    if (name.empty()) name = cat("run ", i + 1);
    if (shared_by_others(runs[i], true)) {
      name += by_folder ? cat(", ", folder_name(runs[i])) : cat(" #", i + 1);
    } else if (shared_by_others(runs[i], false)) {
      name += cat(", seed ", runs[i].manifest.seed);
    }
    named.names.push_back(std::move(name));
  }
  return named;
}

std::string header_section(const ReportRuns& runs) {
  const std::string title = runs.one() ? runs.names.front() : "Runs side by side";
  return cat("<header>\n<p class=\"kind\">coppice simulation</p>\n<h1>", escape_markup(title),
             "</h1>\n", identity(runs), warnings(runs), unfinished(runs), "</header>\n");
}

std::string figures_section(const ReportRuns& runs) {
  return section_html("Key figures", "",
                      runs.one() ? tiles(runs.runs.front()) : figures_table(runs));
}

} // namespace coppice
