// SPDX-License-Identifier: Apache-2.0
// `coppice bench round`: what a round costs in time, bytes and memory, apart from training.
#include "cli/bench_round.h"

#include <algorithm>
#include <thread>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/subprocess.h"
#include "cli/work_folder.h"

namespace coppice {
namespace {

constexpr std::uint32_t kSmallFleet = 10; // --in-process compares with a fleet this much smaller
constexpr unsigned kPairs = 2;            // --secure-aggregation: without, with, without, with

struct RoundCommandOptions {
  std::uint32_t clients = 8;
  std::uint32_t rounds = 5;
  bool in_process = false;
  bool secure_aggregation = false;
  std::string model;
  std::string keep;
};

RoundBenchOptions bench_options(Context& context, const RoundCommandOptions& options,
                                const fs::path& root) {
  RoundBenchOptions made;
  made.program = this_program();
  made.root = root;
  made.clients = options.clients;
  made.rounds = options.rounds;
  made.secure_aggregation = options.secure_aggregation;
  made.on_line = [&console = context.console](const std::string& line) { console.note(line); };
  return made;
}

void print_processes(Console& console, const RoundCommandOptions& options,
                     const ProcessBench& bench) {
  console.print(cat(options.clients, " clients and an aggregator, a process each; ", options.rounds,
                    " rounds of ", bench.parameters, " parameters (lower is better):"));
  console.print(
      cat("  ", fixed(bench.times.seconds_per_round, 3), " s a round, with the time to the next"));
  console.print(cat("  ", fixed(bench.bytes_per_client_round / 1e6, 3),
                    " MB a client and round, both directions, on the wire"));
  console.print(cat("  ", fixed(bench.resident_mb, 1), " MB resident, all processes, at most"));
  console.print(cat("Once a client: enrolment ", human_bytes(bench.enrolment_bytes),
                    ", the first adapter ", human_bytes(bench.first_adapter_bytes), "."));
}

Json round_seconds(const RoundTimes& times) {
  Json rounds = Json::array();
  for (const double seconds : times.seconds) rounds.push_back({{"seconds", seconds}});
  return rounds;
}

Result<ExitCode> processes(Context& context, const RoundCommandOptions& options,
                           const fs::path& model, const fs::path& root) {
  RoundBenchOptions at = bench_options(context, options, root);
  at.model = model;
  at.on_line = {}; // nine processes' lines; they are in their logs
  const ProcessBench bench = COPPICE_TRY(bench_processes(at));
  print_processes(context.console, options, bench);
  context.console.finish("coppice.bench_round.v1",
                         Json{{"mode", "processes"},
                              {"clients", options.clients},
                              {"parameters", bench.parameters},
                              {"seconds_per_round", bench.times.seconds_per_round},
                              {"bytes_per_client_round", bench.bytes_per_client_round},
                              {"resident_mb", bench.resident_mb},
                              {"once",
                               {{"enrolment_bytes", bench.enrolment_bytes},
                                {"first_adapter_bytes", bench.first_adapter_bytes}}},
                              {"rounds", round_seconds(bench.times)},
                              {"cores", std::thread::hardware_concurrency()}});
  return ExitCode::kOk;
}

// Without and with secure aggregation.
struct SecurePair {
  ProcessBench plain;
  ProcessBench secure;
};

Result<SecurePair> run_pair(Context& context, const RoundCommandOptions& options,
                            const fs::path& model, const fs::path& root) {
  SecurePair made;
  for (const bool secure : {false, true}) {
    RoundBenchOptions at = bench_options(context, options, root / (secure ? "secure" : "plain"));
    at.model = model;
    at.on_line = {};
    at.secure_aggregation = secure;
    (secure ? made.secure : made.plain) = COPPICE_TRY(bench_processes(at));
  }
  // What comes down before the first upload is the adapter, and now messages of the round too. The
  // adapter is the same one.
  const double messages = made.secure.first_adapter_bytes - made.plain.first_adapter_bytes;
  made.secure.first_adapter_bytes -= messages;
  made.secure.bytes_per_client_round += messages / options.rounds;
  return made;
}

template <typename Figure>
double mean_of(const std::vector<SecurePair>& pairs, Figure figure) {
  double sum = 0;
  for (const SecurePair& pair : pairs) sum += figure(pair);
  return sum / static_cast<double>(pairs.size());
}

Json pair_json(const SecurePair& pair) {
  return {{"plain_seconds_per_round", pair.plain.times.seconds_per_round},
          {"seconds_per_round", pair.secure.times.seconds_per_round},
          {"resident_mb", pair.secure.resident_mb},
          {"rounds", round_seconds(pair.secure.times)}};
}

Result<ExitCode> secure_and_plain(Context& context, const RoundCommandOptions& options,
                                  const fs::path& model, const fs::path& root) {
  std::vector<SecurePair> pairs;
  for (unsigned pair = 0; pair < kPairs; ++pair) {
    pairs.push_back(COPPICE_TRY(run_pair(context, options, model, root / cat(pair))));
  }
  const auto seconds = [](const ProcessBench& bench) { return bench.times.seconds_per_round; };
  const auto bytes = [](const ProcessBench& bench) { return bench.bytes_per_client_round; };
  const double plain = mean_of(pairs, [&](const SecurePair& at) { return seconds(at.plain); });
  const double secure = mean_of(pairs, [&](const SecurePair& at) { return seconds(at.secure); });
  const double plain_bytes = mean_of(pairs, [&](const SecurePair& at) { return bytes(at.plain); });
  const double secure_bytes =
      mean_of(pairs, [&](const SecurePair& at) { return bytes(at.secure); });
  Console& console = context.console;
  console.print(cat(options.clients, " clients and an aggregator, a process each; ", kPairs,
                    " times ", options.rounds, " rounds without and with secure aggregation, by ",
                    "turns (lower is better):"));
  console.print(cat("  ", fixed(secure, 3), " s a round with it, ", fixed(plain, 3),
                    " s without: ", fixed(secure / plain, 2), " times"));
  console.print(cat("  ", fixed(secure_bytes / 1e6, 3), " MB a client and round with it, ",
                    fixed(plain_bytes / 1e6, 3),
                    " MB without: ", fixed(100 * (secure_bytes / plain_bytes - 1), 1), " % more"));
  Json runs = Json::array();
  for (const SecurePair& pair : pairs) runs.push_back(pair_json(pair));
  console.finish("coppice.bench_round.v1", Json{{"mode", "secure-aggregation"},
                                                {"clients", options.clients},
                                                {"parameters", pairs[0].secure.parameters},
                                                {"seconds_per_round", secure},
                                                {"plain_seconds_per_round", plain},
                                                {"ratio", secure / plain},
                                                {"bytes_per_client_round", secure_bytes},
                                                {"plain_bytes_per_client_round", plain_bytes},
                                                {"bytes_ratio", secure_bytes / plain_bytes},
                                                {"pairs", runs},
                                                {"cores", std::thread::hardware_concurrency()}});
  return ExitCode::kOk;
}

Json memory_json(const FleetMemory& memory, double a_connection_mb) {
  return {{"clients", memory.clients},
          {"aggregator_alone_mb", memory.alone_mb},
          {"aggregator_connected_mb", memory.connected_mb},
          {"aggregator_most_mb", memory.most_mb},
          {"aggregator_after_mb", memory.after_mb},
          {"adapter_mb", adapter_mb(memory, a_connection_mb)},
          {"clients_mb", memory.fleet_mb},
          {"seconds_per_round", memory.times.seconds_per_round},
          {"bytes_up_per_client_round", memory.bytes_up_per_client_round}};
}

void print_memory(Console& console, const FleetMemory& memory) {
  console.print(cat("  ", memory.clients, " clients: the aggregator holds ",
                    fixed(memory.alone_mb, 1), " MB alone, ", fixed(memory.connected_mb, 1),
                    " MB with all connected, at most ", fixed(memory.most_mb, 1),
                    " MB in a round, ", fixed(memory.after_mb, 1), " MB after the last; ",
                    fixed(memory.times.seconds_per_round, 2), " s a round"));
}

Result<ExitCode> in_process(Context& context, const RoundCommandOptions& options,
                            const fs::path& model, const fs::path& root) {
  if (options.clients < 3) {
    return Error{ErrorCode::kInvalidArgument,
                 "--in-process compares two fleets; ask for --clients 3 or more"};
  }
  std::vector<FleetMemory> fleets;
  for (const std::uint32_t clients :
       {std::max(options.secure_aggregation ? 3U : 2U, options.clients / kSmallFleet),
        options.clients}) {
    RoundBenchOptions at = bench_options(context, options, root / cat(clients));
    at.model = model;
    at.clients = clients;
    fleets.push_back(COPPICE_TRY(bench_in_process(at)));
  }
  const FleetMemory& small = fleets.front();
  const FleetMemory& large = fleets.back();
  const double a_connection_mb = connection_mb(small, large);
  Console& console = context.console;
  console.print(cat("The aggregator's process, ", options.rounds, " rounds (lower is better):"));
  for (const FleetMemory& fleet : fleets) print_memory(console, fleet);
  console.print(cat("  a connected client costs ", fixed(1000 * a_connection_mb, 1),
                    " kB; adapters ", fixed(adapter_mb(small, a_connection_mb), 1), " MB at ",
                    small.clients, " clients and ", fixed(adapter_mb(large, a_connection_mb), 1),
                    " MB at ", large.clients));
  context.console.finish(
      "coppice.bench_round.v1",
      Json{{"mode", "in-process"},
           {"clients", large.clients},
           {"seconds_per_round", large.times.seconds_per_round},
           {"bytes_up_per_client_round", large.bytes_up_per_client_round},
           {"resident_mb", large.most_mb + large.fleet_mb},
           {"connection_kb", 1000 * a_connection_mb},
           {"fleets", {memory_json(small, a_connection_mb), memory_json(large, a_connection_mb)}},
           {"rounds", round_seconds(large.times)},
           {"cores", std::thread::hardware_concurrency()}});
  return ExitCode::kOk;
}

Result<ExitCode> bench_round(Context& context, const RoundCommandOptions& options) {
  if (options.secure_aggregation && options.clients < 3) {
    return Error{ErrorCode::kInvalidArgument,
                 "secure aggregation needs three devices: give --clients 3 or more"};
  }
  const fs::path model =
      options.model.empty() ? COPPICE_TRY(default_model()) : fs::absolute(options.model);
  WorkFolder work = COPPICE_TRY(WorkFolder::make(options.keep));
  const auto measure = options.in_process           ? in_process
                       : options.secure_aggregation ? secure_and_plain
                                                    : processes;
  auto measured = measure(context, options, model, work.path());
  if (!measured.ok()) work.keep(); // the logs say why
  return measured;
}

} // namespace

void add_bench_round_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<RoundCommandOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "round",
       .summary = "Time, bytes and memory of a round, with a constant delta in place of training",
       .example = "coppice bench round --clients 8 --rounds 5\n"
                  "coppice bench round --clients 8 --secure-aggregation\n"
                  "coppice bench round --clients 500 --rounds 2 --in-process --format json"},
      [options](Context& at) { return bench_round(at, *options); });
  command.add_option("--clients", options->clients, "Devices: a process each, unless --in-process")
      .check(in_range(2, 5000))
      .capture_default_str();
  command.add_option("--rounds", options->rounds, "Rounds to measure")
      .check(in_range(1, 1000))
      .capture_default_str();
  command.add_flag("--in-process", options->in_process,
                   "All devices in this process, over real sockets: how the aggregator's memory "
                   "grows with them");
  command.add_flag("--secure-aggregation", options->secure_aggregation,
                   "With masks; processes also run without, by turns, and are compared");
  command.add_option("-m,--model", options->model, "Base model (default: the one in assets/)")
      .type_name("FILE");
  command.add_option("--keep", options->keep, "Keep every process's folder and log here")
      .type_name("DIR");
}

} // namespace coppice
