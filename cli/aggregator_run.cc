// SPDX-License-Identifier: Apache-2.0
// `coppice aggregator run`: the service.
#include <thread>

#include "aggregator/service.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/fleet_setup.h"
#include "cli/interrupt.h"
#include "config/overrides.h"
#include "config/units.h"

#ifdef __GLIBC__ // known only after a standard header
#include <malloc.h>
#endif

namespace coppice {
namespace {

struct AggregatorRunOptions {
  std::string directory;
  std::uint64_t rounds = 0;
  std::string timeout = "0";
  bool leave_when_fetched = false;
  std::vector<std::string> set;
};

// Turns the first Ctrl-C into a stop() between two turns of the service's loop.
class InterruptWatch {
 public:
  explicit InterruptWatch(AggregatorService& service)
      : thread_([this, &service] {
          while (!done_.load()) {
            if (interrupted().load()) {
              service.stop();
              return;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
          }
        }) {}
  ~InterruptWatch() {
    done_.store(true);
    thread_.join();
  }
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

 private:
  std::atomic<bool> done_{false};
  std::thread thread_;
};

// Frames, uploads and sums are large and pass within a round. Left to itself, glibc keeps them in
// each thread's heap for reuse, and the service grows with the devices that were ever served at
// once; so their pages go straight back. The bound is low enough for the short last chunk of an
// upload, which between small long-lived blocks would leave holes, and above the 16 KiB of
// ZeroMQ's queues, which stay. Costs a page fault a page; a round doesn't notice.
void give_memory_back_early() {
#ifdef __GLIBC__
  constexpr int kLargeBytes = 32 * 1024; // fixed: glibc would raise it up to 32 MiB
  mallopt(M_MMAP_THRESHOLD, kLargeBytes);
  mallopt(M_ARENA_MAX, 2);
#endif
}

Json round_json(const RoundReport& report) {
  Json json{
      {"round", report.record.round.value},  {"status", round_status_name(report.record.status)},
      {"selected", report.record.members},   {"participants", report.record.counted},
      {"bytes_up_max", report.bytes_up_max}, {"seconds", report.seconds}};
  for (const MetricMean& metric : report.metrics) json["metrics"][metric.name] = metric.mean;
  return json;
}

Result<ExitCode> run_aggregator(Context& context, const AggregatorRunOptions& options) {
  give_memory_back_early();
  FleetFolder folder = COPPICE_TRY(FleetFolder::open(options.directory));
  const auto overrides = COPPICE_TRY(parse_overrides(options.set));
  const Settings settings =
      COPPICE_TRY(load_aggregator_settings(options.directory, context.environment, overrides));
  const AggregatorSettings typed = COPPICE_TRY(aggregator_settings(settings));
  const SystemClock clock;
  auto service = COPPICE_TRY(AggregatorService::open(std::move(folder), typed, clock));
  Json rounds = Json::array();
  service->observe(
      {.on_event = [&](const std::string& line) { context.console.print(line); },
       .on_round = [&](const RoundReport& report) { rounds.push_back(round_json(report)); }});
  const ServerEndpoints at = service->endpoints();
  context.console.print(
      cat("serving: control ", at.control, ", bulk ", at.bulk, ", enroll ", at.enroll));
  const ServiceLimits limits{.rounds = options.rounds,
                             .timeout = COPPICE_TRY(parse_duration(options.timeout)),
                             .leave_when_fetched = options.leave_when_fetched};
  ServiceEnd end{};
  {
    const InterruptWatch watch(*service);
    end = COPPICE_TRY(service->run(limits));
  }
  const bool quorum = end != ServiceEnd::kNoQuorum;
  const char* const word = end == ServiceEnd::kStopped       ? "stopped"
                           : end == ServiceEnd::kBudgetSpent ? "budget spent"
                           : quorum                          ? "done"
                                                             : "no quorum";
  if (!quorum) {
    context.console.note(cat("no round could be finished within ", options.timeout,
                             "; 'coppice aggregator status ", options.directory, "' says why"));
  }
  context.console.finish("coppice.aggregator_run.v1",
                         Json{{"end", word}, {"rounds", std::move(rounds)}});
  if (end == ServiceEnd::kBudgetSpent) return ExitCode::kBudgetSpent;
  return quorum ? ExitCode::kOk : ExitCode::kNoQuorum;
}

} // namespace

void add_aggregator_run_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<AggregatorRunOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "run",
                   .summary = "Serve a fleet: ask devices, sum what they send, release adapters",
                   .example = "coppice aggregator run fleet\n"
                              "coppice aggregator run fleet --rounds 10 --timeout 2h"},
                  [options](Context& at) { return run_aggregator(at, *options); });
  command.add_option("DIR", options->directory, "The fleet's folder").required();
  command.add_option("--rounds", options->rounds, "End after this many releases (0: never)")
      .capture_default_str();
  command
      .add_option("--timeout", options->timeout,
                  "Give up after this long without a round's end (exit status 3; 0: never)")
      .capture_default_str();
  command.add_flag("--leave-when-fetched", options->leave_when_fetched,
                   "With --rounds: serve until every connected device holds the last release");
  command.add_option("--set", options->set, "Any setting: section.key=value")
      .type_name("KEY=VALUE");
}

} // namespace coppice
