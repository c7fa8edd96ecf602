// SPDX-License-Identifier: Apache-2.0
// `coppice bench sim`: clients that a simulation trains in a second, beside this machine's ceiling.
#include <algorithm>
#include <thread>

#include "base/text.h"
#include "cli/bench_speed.h"
#include "cli/bench_timing.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/sim_scenario.h"
#include "cli/table.h"
#include "cli/work_folder.h"
#include "sim/ranks.h"

namespace coppice {
namespace {

// Clients of 8 steps of SGD on 128 tokens, rank 8 on all seven linear layers, bfloat16 products,
// and no more text than that: what peers are timed with.
constexpr const char* kUsualClients = R"(name = "bench"
rounds = 3
precision = "quick"
[lora]
r = 8
lora_alpha = 16
target_modules = ["all-linear"]
[training]
optimizer = "sgd"
lr_scheduler_type = "constant"
warmup_steps = 0
max_steps = 8
batch_tokens = 128
max_length = 128
[round]
max_train_nodes = 32
min_survivors = 3
deadline = "30m"
[data]
bytes_each = "4kB"
[population]
devices = 1000
)";

// Rounds are what is timed: as little as can be of the rest, unless the user asks for it.
constexpr const char* kQuietReport[] = {"report.every=10000000", "report.clients=1",
                                        "report.personal=false", "report.centralized=false",
                                        "report.global_bytes=1kB"};

struct SimBenchOptions {
  std::string scenario;
  std::vector<std::string> set;
};

Result<LoadedScenario> load(Context& context, const SimBenchOptions& options) {
  std::vector<std::string> set(std::begin(kQuietReport), std::end(kQuietReport));
  if (!options.scenario.empty()) {
    set.insert(set.end(), options.set.begin(), options.set.end());
    return load_scenario(options.scenario, set, context.environment);
  }
  const fs::path model = COPPICE_TRY(default_model());
  set.push_back(cat("model=", model.string()));
  set.insert(set.end(), options.set.begin(), options.set.end());
  return scenario_of_text(kUsualClients, model, set, context.environment);
}

struct SimSpeed {
  SimulationEnd end;
  double processor_seconds = 0;
  Ceiling ceiling; // of one thread
  unsigned threads = 1;
  double parameters = 0;

  double clients() const { return static_cast<double>(end.trained); }
  double tokens() const { return static_cast<double>(end.tokens); }
  // Forward 2 N FLOP a token, and backward as many where the base's weights have no gradients.
  double gflop() const { return 4e-9 * parameters * tokens(); }
  double share_of_ceiling() const { return gflop() / end.seconds / (ceiling.best() * threads); }
  // What else a busy machine does counts for little here.
  double share_on_processor() const { return gflop() / processor_seconds / ceiling.best(); }
};

Result<SimSpeed> measure(const LoadedScenario& loaded, SimulationParts parts) {
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  SimSpeed speed;
  speed.threads = loaded.scenario.workers > 0 ? std::min(loaded.scenario.workers, cores) : cores;
  speed.parameters = static_cast<double>(parts.base->parameters());
  const auto ranks = single_rank();
  const auto simulation = COPPICE_TRY(Simulation::open(std::move(parts), *ranks, std::nullopt));
  const Ceiling before = COPPICE_TRY(measure_ceiling());
  const double began = process_seconds();
  speed.end = COPPICE_TRY(simulation->run(&interrupted(), {}));
  speed.processor_seconds = process_seconds() - began;
  speed.ceiling = better(before, COPPICE_TRY(measure_ceiling()));
  if (speed.end.trained > 0) return speed;
  return Error{ErrorCode::kFailedPrecondition, cat("no client was trained: ", speed.end.reason)};
}

void print_speed(Console& console, const SimSpeed& speed) {
  const double seconds = speed.end.seconds;
  Table table({{"simulation"}, {"", Align::kRight}, {""}});
  table.add_row({"speed", fixed(speed.clients() / seconds, 1), "clients/s"});
  table.add_row({"", fixed(speed.tokens() / seconds, 1), "tokens/s"});
  table.add_row({"a client", fixed(speed.tokens() / speed.clients(), 0), "tokens trained on"});
  table.add_row(
      {"", fixed(1000 * speed.processor_seconds / speed.clients(), 1), "ms of processor time"});
  table.add_row({"products of training", fixed(speed.gflop() / seconds, 1), "GFLOP/s"});
  table.add_row(
      {"ceiling, bfloat16", fixed(speed.ceiling.bf16_gflops * speed.threads, 1), "GFLOP/s"});
  table.add_row({"share of the higher ceiling", fixed(speed.share_of_ceiling() * 100, 1), "%"});
  table.add_row({"the same by processor time", fixed(speed.share_on_processor() * 100, 1), "%"});
  console.write(table.render());
}

Result<ExitCode> bench_sim(Context& context, const SimBenchOptions& options) {
  LoadedScenario loaded = COPPICE_TRY(load(context, options));
  SimulationParts parts = COPPICE_TRY(simulation_parts(loaded, RankPlace{}));
  if (!parts.engine) {
    return Error{ErrorCode::kInvalidArgument,
                 "training.kind = none trains no client; 'coppice sim run' says its events/s"};
  }
  const SimSpeed speed = COPPICE_TRY(measure(loaded, std::move(parts)));
  print_speed(context.console, speed);
  const std::string level = loaded.manifest.value("instruction_level", "");
  context.console.print(cat("\n", speed.end.trained, " clients in ", speed.end.rounds, " rounds, ",
                            speed.threads, " threads, ", level,
                            "\nceiling: ", speed.ceiling.source));
  context.console.finish(
      "coppice.bench_sim.v1",
      Json{{"clients_per_s", speed.clients() / speed.end.seconds},
           {"tokens_per_s", speed.tokens() / speed.end.seconds},
           {"tokens_per_client", speed.tokens() / speed.clients()},
           {"processor_ms_per_client", 1000 * speed.processor_seconds / speed.clients()},
           {"gflops", speed.gflop() / speed.end.seconds},
           {"ceiling_gflops", ceiling_json(speed.ceiling, speed.threads)},
           {"share_of_ceiling", speed.share_of_ceiling()},
           {"share_on_processor", speed.share_on_processor()},
           {"ceiling", speed.ceiling.source},
           {"clients", speed.end.trained},
           {"rounds", speed.end.rounds},
           {"seconds", speed.end.seconds},
           {"threads", speed.threads},
           {"parameters", speed.parameters},
           {"engine", loaded.manifest.value("engine", "")},
           {"instruction_level", level}});
  return ExitCode::kOk;
}

} // namespace

void add_bench_sim_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<SimBenchOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "sim",
       .summary = "Virtual clients trained in a second, and their share of this machine's ceiling",
       .example = "coppice bench sim\n"
                  "coppice bench sim examples/sim/quickstart.toml --set rounds=2 --set workers=1"},
      [options](Context& at) { return bench_sim(at, *options); });
  command
      .add_option("SCENARIO", options->scenario,
                  "TOML file (default: 3 rounds of 32 clients, 8 steps of 128 tokens each, on the "
                  "model that comes with the program)")
      .type_name("FILE");
  command.add_option("--set", options->set, "Any setting: section.key=value")
      .type_name("KEY=VALUE");
}

} // namespace coppice
