// SPDX-License-Identifier: Apache-2.0
// `coppice sim report`: a run's folder, or several, as a page, tables and TensorBoard's files.
#include <CLI/CLI.hpp>
#include <cmath>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "sim/report_page.h"
#include "sim/report_sections.h"
#include "sim/run_csv.h"
#include "sim/run_figures.h"
#include "sim/run_log.h"
#include "sim/run_tensorboard.h"

namespace coppice {
namespace {

struct ReportOptions {
  std::vector<std::string> folders;
  std::string out; // empty: report.html in the first folder
  bool csv = false;
  bool tensorboard = false;
};

using Files = std::vector<std::string>;

Result<void> write(const fs::path& path, ByteSpan bytes, Files& written) {
  COPPICE_TRY(write_file_atomically(path, bytes));
  written.push_back(path.string());
  return {};
}

Result<void> make_folder(const fs::path& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (!failed) return {};
  return Error{ErrorCode::kIo,
               cat("can't make the folder ", path.string(), ": ", failed.message())};
}

Result<Files> write_files(const ReportOptions& options, const std::vector<RunRecord>& runs) {
  Files written;
  const fs::path page =
      options.out.empty() ? runs.front().folder / kReportFile : fs::path(options.out);
  COPPICE_TRY(write(page, as_bytes(report_page(runs)), written));
  for (const RunRecord& run : runs) {
    if (options.csv) {
      COPPICE_TRY(write(run.folder / kRoundsTable, as_bytes(rounds_csv(run)), written));
      COPPICE_TRY(write(run.folder / kEvaluationsTable, as_bytes(evaluations_csv(run)), written));
      COPPICE_TRY(write(run.folder / kClientsTable, as_bytes(clients_csv(run)), written));
    }
    if (!options.tensorboard) continue;
    for (const TensorBoardRun& axis : tensorboard_runs(run)) {
      const fs::path folder = run.folder / kTensorBoardFolder / axis.folder;
      COPPICE_TRY(make_folder(folder));
      COPPICE_TRY(write(folder / kTensorBoardFile, axis.events, written));
    }
  }
  return written;
}

double bits_at_end(const RunRecord& run, std::string_view set, std::string_view adapter) {
  const auto found = last_evaluation(run, set, adapter);
  return found ? found->bits_per_byte : NAN;
}

void print_table(Console& console, const ReportRuns& runs) {
  Table table({{"run"},
               {"rounds", Align::kRight},
               {"base", Align::kRight},
               {"shared", Align::kRight},
               {"gain", Align::kRight},
               {"harmed", Align::kRight},
               {"virtual time", Align::kRight},
               {"uploaded", Align::kRight},
               {"epsilon", Align::kRight}});
  table.set_caption("bits per byte on all clients' report text, lower is better");
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    const RunRecord& run = runs.runs[i];
    const double base = bits_at_end(run, "global", "base");
    const double shared = bits_at_end(run, "global", "shared");
    const HarmShare harm = harm_of(last_clients(run));
    table.add_row({runs.names[i], cat(run.end.released, " of ", run.end.rounds), bits_text(base),
                   bits_text(shared), std::isfinite(shared) ? gain_percent(base, shared) : "-",
                   part_text(harm.harmed, harm.clients),
                   value_text(AxisUnit::kSeconds, run.end.time_s),
                   value_text(AxisUnit::kBytes, run.end.bytes_up),
                   value_text(AxisUnit::kPlain, run.end.epsilon)});
  }
  console.write(table.render());
  for (std::size_t i = 0; i < runs.runs.size(); ++i) {
    const RunRecord& run = runs.runs[i];
    for (const std::string& reason : run.manifest.simulation_only) {
      console.print(cat("Simulation only, ", runs.names[i], ": ", reason));
    }
    if (!run.ended) console.print(cat("Not ended: ", runs.names[i]));
  }
}

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json bits_json(const RunRecord& run, std::string_view set) {
  return {{"base", number_or_null(bits_at_end(run, set, "base"))},
          {"shared", number_or_null(bits_at_end(run, set, "shared"))},
          {"centralized", number_or_null(bits_at_end(run, set, "centralized"))}};
}

Json spread_json(const std::vector<ClientEvent>& clients, double (*of)(const ClientEvent&)) {
  std::vector<double> values;
  for (const ClientEvent& client : clients) values.push_back(of(client));
  const Distribution spread = distribution_of(std::move(values));
  return {
      {"clients", spread.count},           {"mean", number_or_null(spread.mean)},
      {"p10", number_or_null(spread.p10)}, {"median", number_or_null(spread.median)},
      {"p90", number_or_null(spread.p90)}, {"worst_decile", number_or_null(spread.worst_decile)}};
}

Json run_json(const RunRecord& run, const std::string& name) {
  const std::vector<ClientEvent> clients = last_clients(run);
  const HarmShare harm = harm_of(clients);
  Json spreads = Json::object();
  for (const ClientMeasure& measure : client_measures()) {
    spreads[measure.name] = spread_json(clients, measure.of);
  }
  Json targets = Json::array();
  for (const TargetLevel& level : target_levels({&run, 1})) {
    const auto at = first_at(evaluations_of(run, "global", "shared"), level.bits_per_byte);
    targets.push_back({{"of", level.name},
                       {"bits_per_byte", level.bits_per_byte},
                       {"round", at ? Json(at->round) : Json()},
                       {"time_s", at ? Json(at->time_s) : Json()},
                       {"bytes_up", at ? Json(at->bytes_up) : Json()}});
  }
  return {{"folder", run.folder.string()},
          {"name", name},
          {"seed", run.manifest.seed},
          {"ended", run.ended},
          {"simulation_only", run.manifest.simulation_only},
          {"rounds", run.end.rounds},
          {"released", run.end.released},
          {"release_sha256", run.release_sha256()},
          {"events_sha256", run.events_sha256},
          {"time_s", run.end.time_s},
          {"bytes_up", run.end.bytes_up},
          {"bytes_down", run.end.bytes_down},
          {"joules", run.end.joules},
          {"epsilon", number_or_null(run.end.epsilon)},
          {"bits_per_byte",
           {{"global", bits_json(run, "global")},
            {"unseen", bits_json(run, "unseen")},
            {"public", bits_json(run, "public")}}},
          {"clients", std::move(spreads)},
          {"harmed", harm.harmed},
          {"shared_worse", harm.shared_worse},
          {"evaluated", harm.clients},
          {"targets", std::move(targets)}};
}

Result<ExitCode> report(Context& context, const ReportOptions& options) {
  if (options.folders.size() > kMostReportRuns) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("at most ", kMostReportRuns, " runs are told apart on one page; name fewer")};
  }
  std::vector<RunRecord> runs;
  for (const std::string& folder : options.folders) runs.push_back(COPPICE_TRY(read_run(folder)));
  const ReportRuns named = named_runs(runs);
  const Files written = COPPICE_TRY(write_files(options, runs));
  print_table(context.console, named);
  context.console.print();
  for (const std::string& file : written) context.console.print(cat("Wrote ", file));
  Json fields{{"runs", Json::array()}, {"files", written}};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    fields["runs"].push_back(run_json(runs[i], named.names[i]));
  }
  context.console.finish("coppice.sim_report.v1", fields);
  return ExitCode::kOk;
}

} // namespace

void add_sim_report_command(CLI::App& parent, Context& context) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App& command = new_command(
      parent, context,
      {.name = "report",
       .summary = "Write what a simulation came to, or several side by side, as one page",
       .example = "coppice sim report run\n"
                  "coppice sim report noise-0.5 noise-1.0 --out noise.html --csv --tensorboard"},
      [options](Context& at) { return report(at, *options); });
  command.add_option("DIR", options->folders, "Folders of runs, complete or not")
      ->type_name("")
      ->required();
  command.add_option("--out", options->out, "The page (default: report.html in the first folder)")
      ->type_name("FILE");
  command.add_flag("--csv", options->csv,
                   "Also rounds.csv, evaluations.csv and clients.csv in each folder");
  command.add_flag("--tensorboard", options->tensorboard,
                   "Also event files, in each folder's tensorboard");
}

} // namespace coppice
