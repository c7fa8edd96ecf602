// SPDX-License-Identifier: Apache-2.0
// `coppice sim init`, `run` and `resume`.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/sim_play.h"
#include "cli/sim_report_files.h"
#include "cli/table.h"
#include "config/overrides.h"

namespace coppice {
namespace {

struct SimInitOptions {
  std::string file;
  std::vector<std::string> set;
};

Result<ExitCode> init_scenario(Context& context, const SimInitOptions& options) {
  std::error_code code;
  if (fs::exists(options.file, code)) {
    return Error{ErrorCode::kAlreadyExists, cat(options.file, " is there already")};
  }
  const auto overrides = COPPICE_TRY(parse_overrides(options.set));
  const std::string toml = COPPICE_TRY(write_commented_toml(scenario_file_keys(), overrides));
  COPPICE_TRY(write_file_atomically(options.file, as_bytes(toml)));
  context.console.print(
      cat("Wrote ", options.file, ", every setting with its meaning and default."));
  context.console.print(
      cat("Next: set model and population.devices in it, then coppice sim run ", options.file));
  context.console.finish("coppice.sim_init.v1", Json{{"file", options.file}});
  return ExitCode::kOk;
}

struct SimRunOptions {
  std::string scenario;
  std::string out;
  std::string identities; // file
  std::vector<std::string> set;
};

Result<Json> read_identities(const fs::path& file) {
  constexpr std::size_t kMostBytes = std::size_t{64} << 20U;
  const Bytes raw = COPPICE_TRY(read_file(file, kMostBytes));
  Json ids = Json::array();
  for (const std::string& line : split(as_text(raw), '\n')) {
    if (!trim(line).empty()) ids.push_back(std::string(trim(line)));
  }
  return ids;
}

// runs/NAME-1, runs/NAME-2, ...: the first that isn't there.
fs::path free_folder(const std::string& name) {
  std::error_code code;
  for (int number = 1;; ++number) {
    fs::path path = fs::path("runs") / cat(name, "-", number);
    if (!fs::exists(path, code)) return path;
  }
}

std::string when(Nanos time) {
  const auto seconds = static_cast<std::uint64_t>(time.seconds());
  return cat(seconds / 86400, "d ", seconds / 3600 % 24, "h ", seconds / 60 % 60, "m");
}

Result<void> tell_end(Console& console, const fs::path& out, const SimulationEnd& end) {
  std::vector<RunRecord> runs;
  runs.push_back(COPPICE_TRY(read_run(out)));
  const auto written =
      COPPICE_TRY(write_report_files({.out = {}, .csv = true, .tensorboard = true}, runs));
  if (!runs.front().evaluations.empty()) {
    print_report(console, named_runs(runs));
    console.print();
  }
  const std::string& events = runs.front().events_sha256;
  const double rate = end.seconds > 0 ? static_cast<double>(end.trained) / end.seconds : 0;
  const double event_rate = end.seconds > 0 ? static_cast<double>(end.events) / end.seconds : 0;
  console.print(cat(end.rounds, " rounds, ", end.releases.size(), " releases in ", when(end.time),
                    " of virtual time: ", end.reason));
  console.print(cat(human_bytes(static_cast<double>(end.bytes_up)), " up, ",
                    human_bytes(static_cast<double>(end.bytes_down)), " down, ",
                    fixed(end.joules / 3600, 1), " Wh on all devices together"));
  if (end.epsilon > 0) console.print(cat("epsilon ", fixed(end.epsilon, 3), " is spent"));
  console.print(cat(fixed(end.seconds, 1), " s of rounds, ", fixed(rate, 1), " clients/s, ",
                    grouped(static_cast<std::uint64_t>(event_rate)), " events/s"));
  console.print(cat("fingerprint ", events, " (SHA-256 of ", kEventsFile, ")"));
  console.print(cat("Report: ", written.front()));
  Json releases = Json::array();
  for (const Sha256& release : end.releases) releases.push_back(release.hex());
  console.finish("coppice.sim_run.v1",
                 Json{{"out", out.string()},
                      {"rounds", end.rounds},
                      {"reason", end.reason},
                      {"virtual_s", end.time.seconds()},
                      {"engine", runs.front().manifest.engine},
                      {"device", runs.front().manifest.device},
                      {"instruction_level", runs.front().manifest.instruction_level},
                      {"trained", end.trained},
                      {"clients_per_s", rate},
                      {"events_per_s", event_rate},
                      {"seconds", end.seconds},
                      {"bytes_up", end.bytes_up},
                      {"bytes_down", end.bytes_down},
                      {"joules", end.joules},
                      {"epsilon", end.epsilon},
                      {"events_sha256", events},
                      {"report", written.front()},
                      {"release_sha256", std::move(releases)}});
  return {};
}

Result<ExitCode> play(Context& context, LoadedScenario loaded, const fs::path& out, bool resume) {
  const auto ranks = COPPICE_TRY(open_ranks());
  const auto end = play_scenario(context.console, *ranks, std::move(loaded),
                                 {.folder = out, .resume = resume, .label = "simulating"});
  if (!end.ok() && end.error().code == ErrorCode::kCancelled) {
    context.console.note(cat("stopped; 'coppice sim resume ", out.string(), "' goes on with it"));
    return ExitCode::kInterrupted;
  }
  if (!end.ok()) return end.error();
  if (ranks->place().rank == 0) COPPICE_TRY(tell_end(context.console, out, *end));
  return ExitCode::kOk;
}

Result<ExitCode> run_scenario(Context& context, const SimRunOptions& options) {
  LoadedScenario loaded =
      COPPICE_TRY(load_scenario(options.scenario, options.set, context.environment));
  if (!options.identities.empty()) {
    loaded.manifest["identities"] = COPPICE_TRY(read_identities(options.identities));
  }
  const fs::path out =
      options.out.empty() ? free_folder(loaded.scenario.name) : fs::path(options.out);
  return play(context, std::move(loaded), out, false);
}

Result<ExitCode> resume(Context& context, const std::string& directory) {
  const Json manifest = COPPICE_TRY(RunFolder::read_manifest(directory));
  LoadedScenario loaded = COPPICE_TRY(reload_scenario(manifest));
  loaded.manifest["identities"] = COPPICE_TRY(json_string_array(manifest, "identities"));
  return play(context, std::move(loaded), directory, true);
}

} // namespace

void add_sim_init_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<SimInitOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "init",
                   .summary = "Write a scenario: every setting with its meaning and default",
                   .example = "coppice sim init study.toml --set population.devices=1000"},
                  [options](Context& at) { return init_scenario(at, *options); });
  command.add_option("FILE", options->file, "TOML file to write").required();
  command.add_option("--set", options->set, "Any setting: section.key=value")
      .type_name("KEY=VALUE");
}

void add_sim_run_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<SimRunOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "run",
       .summary = "Play a scenario: virtual clients on the devices' own code, in virtual time",
       .example = "coppice sim run examples/sim/quickstart.toml\n"
                  "coppice sim run study.toml --out runs/study --set rounds=100"},
      [options](Context& at) { return run_scenario(at, *options); });
  command.add_option("SCENARIO", options->scenario, "TOML file").required().type_name("FILE");
  command.add_option("--out", options->out, "Folder of the run (default: runs/NAME-1, -2, ...)")
      .type_name("DIR");
  command
      .add_option(
          "--identities", options->identities,
          "Ids of a real fleet's devices, one a line, in the order of the data's clients: its "
          "rounds are played again, to the same bits")
      .type_name("FILE");
  command.add_option("--set", options->set, "Any setting: section.key=value")
      .type_name("KEY=VALUE");
}

void add_sim_resume_command(CommandOptions& parent, Context& context) {
  auto directory = std::make_shared<std::string>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "resume",
                   .summary = "Go on with a run that was stopped or killed, to the same bits",
                   .example = "coppice sim resume runs/study"},
                  [directory](Context& at) { return resume(at, *directory); });
  command.add_option("DIR", *directory, "Folder of the run").required();
}

} // namespace coppice
