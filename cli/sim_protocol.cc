// SPDX-License-Identifier: Apache-2.0
// `coppice sim-protocol`: simulated fleets under faults and liars, one after another.
#include <chrono>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/table.h"
#include "crypto/secret_random.h"
#include "sim/protocol_history.h"

namespace coppice {
namespace {

using Seconds = std::chrono::duration<double>;

struct SimOptions {
  double seconds = 10;
  std::uint64_t seed = 0;      // 0: a new one
  std::uint64_t histories = 0; // 0: as many as fit
};

struct SimRun {
  std::uint64_t first = 0; // seeds of the histories: first, first + 1, ...
  double seconds = 0;
  HistoryCounts counts;
  std::optional<std::string> broken; // by the last of them
  std::uint64_t last() const { return first + counts.histories - 1; }
};

SimRun simulate(const SimOptions& options) {
  SimRun run{.first = options.seed, .seconds = 0, .counts = {}, .broken = {}};
  if (run.first == 0) run.first = 1 + SecretRandom().below(std::uint64_t{1} << 40U);
  const auto start = std::chrono::steady_clock::now();
  do {
    const std::uint64_t seed = run.first + run.counts.histories;
    HistoryOutcome outcome = run_history(seed, random_history(seed));
    run.counts += outcome.counts;
    run.broken = std::move(outcome.broken);
    run.seconds = Seconds(std::chrono::steady_clock::now() - start).count();
    if (options.histories > 0 && run.counts.histories == options.histories) break;
  } while (!run.broken && run.seconds < options.seconds && !interrupted());
  return run;
}

struct CountRow {
  const char* name; // in JSON
  const char* meaning;
  std::uint64_t HistoryCounts::*count;
};
constexpr CountRow kCounts[] = {
    {"histories", "histories", &HistoryCounts::histories},
    {"released", "rounds that made a release", &HistoryCounts::released},
    {"abandoned", "rounds that were abandoned", &HistoryCounts::abandoned},
    {"recovered", "sums unmasked without a device that had dropped out", &HistoryCounts::recovered},
    {"acknowledged", "uploads acknowledged", &HistoryCounts::acknowledged},
    {"device_crashes", "crashes of devices", &HistoryCounts::device_crashes},
    {"aggregator_crashes", "crashes of the aggregator", &HistoryCounts::aggregator_crashes},
    {"full_disks", "commits that failed on a full disk", &HistoryCounts::full_disks},
    {"left", "devices that never came back", &HistoryCounts::left},
    {"sat_out", "devices that lost their upload, and sat the round out", &HistoryCounts::sat_out},
    {"lies", "messages made up or changed by liars", &HistoryCounts::lies},
    {"refusals", "refusals, by devices and the aggregator", &HistoryCounts::refusals},
};

std::string again(std::uint64_t seed) {
  return cat("coppice sim-protocol --seed ", seed, " --histories 1");
}

void report(Console& console, const SimRun& run) {
  Table table({{"count", Align::kRight}, {"of"}});
  Json json{{"seconds", run.seconds}, {"first_seed", run.first}, {"last_seed", run.last()}};
  for (const CountRow& row : kCounts) {
    const std::uint64_t count = run.counts.*row.count;
    table.add_row({grouped(count), row.meaning});
    json[row.name] = count;
  }
  console.write(table.render());
  console.print();
  if (run.broken) {
    json["broken"] = {{"seed", run.last()}, {"promise", *run.broken}, {"again", again(run.last())}};
    console.print(console.styled(Style::kBad, cat("Broken: ", *run.broken)));
    console.print(cat("Again: ", again(run.last())));
  } else {
    json["broken"] = nullptr;
    console.print(cat("Every promise held; seeds ", run.first, " to ", run.last(), ", ",
                      fixed(run.seconds, 1), " s."));
  }
  console.finish("coppice.sim_protocol.v1", json);
}

Result<ExitCode> sim_protocol(Context& context, const SimOptions& options) {
  const SimRun run = simulate(options);
  report(context.console, run);
  if (run.broken) return ExitCode::kFailed;
  return interrupted() ? ExitCode::kInterrupted : ExitCode::kOk;
}

} // namespace

void add_sim_protocol_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<SimOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "sim-protocol",
       .summary = "Simulate fleets whose messages get lost, whose parts crash and whose peers lie, "
                  "and check every promise of the protocol",
       .example = "coppice sim-protocol --seconds 60\n"
                  "coppice sim-protocol --seed 4711 --histories 1"},
      [options](Context& at) { return sim_protocol(at, *options); });
  command.add_option("--seconds", options->seconds, "How long to go on")
      .check(in_range(0.0, 1e9))
      .capture_default_str();
  command.add_option("--seed", options->seed,
                     "Of the first history; the others follow (default: a new one each time)");
  command.add_option("--histories", options->histories, "Stop after so many");
}

} // namespace coppice
