// SPDX-License-Identifier: Apache-2.0
// `coppice bench pack`: how many clients' training an engine does in a second, packed and one at a
// time.
#include <algorithm>

#include "base/random.h"
#include "base/text.h"
#include "cli/bench_timing.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/table.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

constexpr std::uint32_t kPackWarmUp = 2;
constexpr std::uint32_t kRuns = 3; // of a client's steps; the fastest counts

struct PackOptions {
  ModelOptions model;
  std::uint32_t clients = 16;
  std::uint32_t sequences = 8; // of a client: one a step
  std::uint32_t length = 128;
  std::uint32_t rank = 8;
};

// The same for a client in a pack and alone.
Sequence random_sequence(const BaseModel& base, std::uint32_t length, std::uint64_t client,
                         std::uint64_t step) {
  KeyedRandom random({.client = client, .purpose = RandomPurpose::kText, .step = step});
  Sequence sequence{.tokens = std::vector<TokenId>(length),
                    .targets = std::vector<std::uint8_t>(length, 1)};
  for (TokenId& token : sequence.tokens) {
    token = static_cast<TokenId>(random.below(base.config().vocabulary));
  }
  sequence.targets.front() = 0;
  return sequence;
}

struct PackTimes {
  double steps_seconds = 0; // of a client's steps, all clients side by side
  double whole_seconds = 0; // with putting the adapters in and taking them out again
  double loss = 0;          // of the first client, at the last step
  Sha256 adapters;          // of all trained values: equal packs give equal bits
};

Sha256 hash_of(const std::vector<Adapter>& adapters) {
  Sha256Hasher hasher;
  for (const Adapter& adapter : adapters) {
    const auto values = std::as_bytes(adapter.values());
    hasher.update({reinterpret_cast<const std::uint8_t*>(values.data()), values.size()});
  }
  return hasher.finish();
}

// Trains `clients` clients to their end, side by side.
Result<PackTimes> time_clients(const OpenModel& model, const PackOptions& options,
                               const std::shared_ptr<const AdapterSpec>& spec,
                               std::uint32_t clients) {
  const auto start = std::make_shared<const Adapter>(Adapter::initial(spec, 0));
  std::vector<std::vector<Batch>> steps(options.sequences, std::vector<Batch>(clients));
  for (std::size_t step = 0; step < steps.size(); ++step) {
    for (std::size_t client = 0; client < clients; ++client) {
      steps[step][client].sequences = {random_sequence(*model.base, options.length, client, step)};
    }
  }
  PackTimes best;
  for (std::uint32_t run = 0; run < kRuns; ++run) {
    if (interrupted()) return Error{ErrorCode::kCancelled, "the benchmark was stopped"};
    std::vector<TrainJob> jobs(clients, TrainJob{.frozen = {}, .start = start, .optimizer = {}});
    const double before = wall_seconds();
    const auto session = COPPICE_TRY(model.engine->start_training(std::move(jobs)));
    const double started = wall_seconds() - before;
    if (run == 0) {
      for (std::uint32_t i = 0; i < kPackWarmUp; ++i) COPPICE_TRY(session->step(steps[0]));
    }
    PackTimes times;
    const double training = wall_seconds();
    for (const std::vector<Batch>& step : steps) {
      times.loss = COPPICE_TRY(session->step(step))[0].loss;
    }
    times.steps_seconds = wall_seconds() - training;
    std::vector<Adapter> trained;
    for (std::uint32_t client = 0; client < clients; ++client) {
      trained.push_back(COPPICE_TRY(session->adapter(client)));
    }
    times.whole_seconds = started + wall_seconds() - training;
    if (run == 0 || times.steps_seconds < best.steps_seconds) best = times;
    best.loss = times.loss; // of a run without warm-up, in the end; likewise
    best.adapters = hash_of(trained);
  }
  return best;
}

Result<ExitCode> bench_pack(Context& context, const PackOptions& options) {
  const OpenModel model = COPPICE_TRY(open_model(options.model));
  if (options.length > model.base->config().context) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("--length must fit the model's context of ", model.base->config().context)};
  }
  const std::vector<std::string> all{"all-linear"};
  const auto spec = std::make_shared<const AdapterSpec>(COPPICE_TRY(model.base->make_spec(
      options.rank, static_cast<float>(2 * options.rank), LoraScaling::kStandard, all)));
  const PackTimes packed = COPPICE_TRY(time_clients(model, options, spec, options.clients));
  const PackTimes alone = COPPICE_TRY(time_clients(model, options, spec, 1));
  const double rate = options.clients / packed.steps_seconds;
  const double whole_rate = options.clients / packed.whole_seconds;
  const double alone_rate = 1.0 / alone.steps_seconds;
  const EngineInfo info = model.engine->info();
  Console& console = context.console;
  Table table({{"training"}, {"", Align::kRight}, {""}});
  table.add_row({cat(options.clients, " clients packed"), fixed(rate, 1), "clients/s"});
  table.add_row({"with adapters in and out", fixed(whole_rate, 1), "clients/s"});
  table.add_row({"one at a time", fixed(alone_rate, 1), "clients/s"});
  table.add_row({"packed over one at a time", fixed(rate / alone_rate, 1), "times"});
  console.write(table.render());
  console.print(cat("\n", options.sequences, " steps of ", options.length, " tokens a client, ",
                    grouped(model.base->parameters()), " parameters, ", grouped(spec->parameters()),
                    " trained, engine ", info.name, " on ", info.device, ", ",
                    info.instruction_level));
  console.finish("coppice.bench_pack.v1", Json{{"clients_per_s", rate},
                                               {"whole_clients_per_s", whole_rate},
                                               {"alone_clients_per_s", alone_rate},
                                               {"times", rate / alone_rate},
                                               {"loss", packed.loss},
                                               {"alone_loss", alone.loss},
                                               {"adapters_sha256", packed.adapters.hex()},
                                               {"clients", options.clients},
                                               {"sequences", options.sequences},
                                               {"length", options.length},
                                               {"rank", options.rank},
                                               {"parameters", model.base->parameters()},
                                               {"engine", info.name},
                                               {"device", info.device},
                                               {"instruction_level", info.instruction_level}});
  return ExitCode::kOk;
}

void add_count(CommandOptions& command, const char* flag, std::uint32_t& value,
               std::uint32_t lowest, const char* help) {
  command.add_option(flag, value, help)
      .type_name("N")
      .check(in_range(lowest, 1U << 16U))
      .capture_default_str();
}

} // namespace

void add_bench_pack_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<PackOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "pack",
       .summary = "Clients trained in a second, side by side and one at a time",
       .example = "coppice bench pack -m base.gguf --clients 16\n"
                  "coppice bench pack -m base.gguf --engine graph --device cuda:0 --clients 1024 "
                  "--memory 32GiB"},
      [options](Context& at) { return bench_pack(at, *options); });
  add_model_option(command, options->model);
  add_count(command, "--clients", options->clients, 1, "Clients that train side by side");
  add_count(command, "--sequences", options->sequences, 1, "Steps of a client, a sequence each");
  add_count(command, "--length", options->length, 2, "Tokens of a sequence");
  add_count(command, "--rank", options->rank, 1, "Rank of the adapter, on all linear layers");
  add_memory_option(command, options->model);
  add_device_option(command, options->model);
  add_compute_options(command, options->model);
}

} // namespace coppice
