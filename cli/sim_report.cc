// SPDX-License-Identifier: Apache-2.0
// `coppice sim report`: a run's folder, or several, as a page, tables and TensorBoard's files.
#include <cmath>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/sim_report_files.h"
#include "sim/report_page.h"
#include "sim/report_sections.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

struct ReportOptions {
  std::vector<std::string> folders;
  ReportFiles files;
};

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
          {"noise_multiplier", number_or_null(noise_multiplier_of(run))},
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
  runs.reserve(options.folders.size());
  for (const std::string& folder : options.folders) runs.push_back(COPPICE_TRY(read_run(folder)));
  const ReportRuns named = named_runs(runs);
  const std::vector<std::string> written = COPPICE_TRY(write_report_files(options.files, runs));
  print_report(context.console, named);
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

void add_sim_report_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<ReportOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "report",
       .summary = "Write what a simulation came to, or several side by side, as one page",
       .example = "coppice sim report run\n"
                  "coppice sim report noise-0.5 noise-1.0 --out noise.html --csv --tensorboard"},
      [options](Context& at) { return report(at, *options); });
  command.add_option("DIR", options->folders, "Folders of runs, complete or not")
      .type_name("")
      .required();
  command
      .add_option("--out", options->files.out,
                  "The page (default: report.html in the first folder)")
      .type_name("FILE");
  command.add_flag("--csv", options->files.csv,
                   "Also rounds.csv, evaluations.csv and clients.csv in each folder");
  command.add_flag("--tensorboard", options->files.tensorboard,
                   "Also event files, in each folder's tensorboard");
}

} // namespace coppice
