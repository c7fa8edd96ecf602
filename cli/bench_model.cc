// SPDX-License-Identifier: Apache-2.0
// `coppice bench train-step` and `coppice bench generate`: what the engine does in a second here.
#include <algorithm>

#include "base/text.h"
#include "cli/bench_speed.h"
#include "cli/bench_timing.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/table.h"
#include "model/model_info.h"
#include "model/native/ceiling.h"

namespace coppice {
namespace {

constexpr std::uint32_t kWarmUpSteps = 2;
constexpr std::uint32_t kDecodePrompt = 8;

struct ModelBenchOptions {
  ModelOptions model;
  std::uint32_t tokens = 512;
  std::uint32_t window = 512;
  std::uint32_t rank = 8;
  std::uint32_t steps = 8;
  std::uint32_t prompt_tokens = 512;
  std::string activations = kInt8Activations;
};

// `tokens` in sequences of at most `window`.
Batch random_batch(const BaseModel& base, const ModelBenchOptions& options, std::uint64_t step) {
  const std::size_t window = std::min<std::size_t>(options.window, base.config().context);
  const std::vector<TokenId> tokens = random_tokens(base, options.tokens, step);
  Batch batch;
  for (std::size_t at = 0; at + 1 < tokens.size(); at += window) {
    const std::size_t end = std::min(tokens.size(), at + window);
    Sequence sequence;
    sequence.tokens.assign(tokens.begin() + static_cast<std::ptrdiff_t>(at),
                           tokens.begin() + static_cast<std::ptrdiff_t>(end));
    sequence.targets.assign(sequence.tokens.size(), 1);
    sequence.targets.front() = 0;
    batch.sequences.push_back(std::move(sequence));
  }
  return batch;
}

// Seconds of a step: the middle one, so that one interruption doesn't count.
Result<double> time_steps(TrainSession& session, const BaseModel& base,
                          const ModelBenchOptions& options) {
  std::vector<double> seconds;
  for (std::uint32_t step = 0; step < kWarmUpSteps + options.steps; ++step) {
    if (interrupted()) return Error{ErrorCode::kCancelled, "the benchmark was stopped"};
    const Batch batch = random_batch(base, options, step);
    const double before = wall_seconds();
    COPPICE_TRY(session.step(std::span(&batch, 1)));
    if (step >= kWarmUpSteps) seconds.push_back(wall_seconds() - before);
  }
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

Result<ExitCode> bench_train_step(Context& context, const ModelBenchOptions& options) {
  OpenModel model = COPPICE_TRY(open_model(options.model));
  const std::vector<std::string> all{"all-linear"};
  AdapterSpec spec = COPPICE_TRY(model.base->make_spec(
      options.rank, static_cast<float>(2 * options.rank), LoraScaling::kStandard, all));
  const std::size_t trained = spec.parameters();
  TrainJob job{.frozen = {},
               .start = std::make_shared<const Adapter>(
                   Adapter::initial(std::make_shared<const AdapterSpec>(std::move(spec)), 0)),
               .optimizer = {}};
  std::vector<TrainJob> jobs;
  jobs.push_back(std::move(job));
  const auto session = COPPICE_TRY(model.engine->start_training(std::move(jobs)));
  // The ceiling's library takes memory of its own: the peak is taken before it is loaded.
  const double first = COPPICE_TRY(time_steps(*session, *model.base, options));
  const double peak = peak_resident_mb();
  const Ceiling before = COPPICE_TRY(measure_ceiling());
  const double seconds = std::min(first, COPPICE_TRY(time_steps(*session, *model.base, options)));
  const Ceiling ceiling = better(before, COPPICE_TRY(measure_ceiling()));

  const auto threads = static_cast<double>(threads_of(options.model));
  const double rate = options.tokens / seconds;
  const double best = ceiling.best() * threads;
  const double gflops = 4.0 * static_cast<double>(model.base->parameters()) * rate / 1e9;
  Console& console = context.console;
  Table table({{"training step"}, {"", Align::kRight}, {""}});
  table.add_row({"speed", fixed(rate, 1), "tokens/s"});
  table.add_row(
      {"a step of " + grouped(options.tokens) + " tokens", fixed(seconds * 1000, 1), "ms"});
  table.add_row({"memory at its peak", fixed(peak, 0), "MB resident"});
  table.add_row({"ceiling, float32", fixed(ceiling.f32_gflops * threads, 1), "GFLOP/s"});
  table.add_row({"ceiling, bfloat16", fixed(ceiling.bf16_gflops * threads, 1), "GFLOP/s"});
  table.add_row({"share of the higher ceiling", fixed(gflops / best * 100, 1), "%"});
  console.write(table.render());
  console.print(cat("\n", grouped(model.base->parameters()), " parameters, ", grouped(trained),
                    " trained, ", threads_text(options.model), ", engine ",
                    model.engine->info().name, ", ", model.engine->info().instruction_level,
                    "\nceiling: ", ceiling.source));
  console.finish("coppice.bench_train_step.v1",
                 Json{{"tokens_per_s", rate},
                      {"peak_rss_mb", peak},
                      {"mapped_mb", static_cast<double>(tensor_bytes(model.base->file())) / 1e6},
                      {"ceiling_gflops", ceiling_json(ceiling, threads_of(options.model))},
                      {"share_of_ceiling", gflops / best},
                      {"ceiling", ceiling.source},
                      {"seconds_per_step", seconds},
                      {"tokens", options.tokens},
                      {"window", options.window},
                      {"rank", options.rank},
                      {"threads", threads_of(options.model)},
                      {"parameters", model.base->parameters()},
                      {"engine", model.engine->info().name},
                      {"instruction_level", model.engine->info().instruction_level}});
  return ExitCode::kOk;
}

// Bytes of weights that one decoded token needs: all but the rows of an untied embedding.
double bytes_per_token(const BaseModel& base) {
  auto bytes = static_cast<double>(tensor_bytes(base.file()));
  const auto embedding = base.file().find_tensor("token_embd.weight");
  if (!base.config().tied_output && embedding) {
    bytes -= static_cast<double>((*embedding)->data.size());
  }
  return bytes;
}

struct GenerateTimes {
  double prefill_rate = 0; // tokens a second
  double decode_rate = 0;
};

// The best of some runs: prefill of a long prompt, then decoding after a short one.
Result<GenerateTimes> time_generation(const OpenModel& model, const ModelBenchOptions& options) {
  GenerateTimes times;
  const auto run = [&](std::uint32_t prompt, std::uint32_t tokens) {
    return model.engine->generate({.adapters = model.uses(),
                                   .prompt = random_tokens(*model.base, prompt, 0),
                                   .max_tokens = tokens,
                                   .sampler = {},
                                   .int8_activations = options.activations == kInt8Activations,
                                   .ignore_end_tokens = true,
                                   .on_token = [](TokenId) { return !interrupted(); }});
  };
  for (std::uint32_t i = 0; i <= options.steps; ++i) { // the first pages the weights in
    const GenerateResult read = COPPICE_TRY(run(options.prompt_tokens, 1));
    const GenerateResult wrote = COPPICE_TRY(run(kDecodePrompt, options.tokens));
    if (interrupted()) return Error{ErrorCode::kCancelled, "the benchmark was stopped"};
    times.prefill_rate = std::max(times.prefill_rate, options.prompt_tokens / read.prefill_seconds);
    times.decode_rate = std::max(times.decode_rate,
                                 static_cast<double>(wrote.tokens.size()) / wrote.decode_seconds);
  }
  return times;
}

Result<ExitCode> bench_generate(Context& context, const ModelBenchOptions& options) {
  OpenModel model = COPPICE_TRY(open_model(options.model));
  const std::uint32_t room = model.base->config().context;
  if (options.prompt_tokens >= room || kDecodePrompt + options.tokens > room) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("--prompt-tokens and --tokens must fit the model's context of ", room)};
  }
  double bandwidth = native::measure_read_bandwidth(threads_of(options.model), kBandwidthTries);
  const GenerateTimes times = COPPICE_TRY(time_generation(model, options));
  bandwidth = std::max(bandwidth,
                       native::measure_read_bandwidth(threads_of(options.model), kBandwidthTries));
  const double read = bytes_per_token(*model.base) * times.decode_rate / 1e9;
  Console& console = context.console;
  Table table({{"generation"}, {"", Align::kRight}, {""}});
  table.add_row({"decoding", fixed(times.decode_rate, 1), "tokens/s"});
  table.add_row(
      {cat("prefill of ", options.prompt_tokens), fixed(times.prefill_rate, 1), "tokens/s"});
  table.add_row({"weights read while decoding", fixed(read, 2), "GB/s"});
  table.add_row({"memory's own speed", fixed(bandwidth, 2), "GB/s"});
  table.add_row({"share of it", fixed(read / bandwidth * 100, 1), "%"});
  console.write(table.render());
  console.print(cat("\n", options.tokens, " tokens decoded after ", kDecodePrompt, ", ",
                    threads_text(options.model), ", engine ", model.engine->info().name, ", ",
                    options.activations, " activations"));
  console.finish("coppice.bench_generate.v1", Json{{"decode_tokens_per_s", times.decode_rate},
                                                   {"prefill_tokens_per_s", times.prefill_rate},
                                                   {"read_gb_per_s", read},
                                                   {"bandwidth_gb_per_s", bandwidth},
                                                   {"share_of_bandwidth", read / bandwidth},
                                                   {"prompt_tokens", options.prompt_tokens},
                                                   {"decoded_tokens", options.tokens},
                                                   {"activations", options.activations},
                                                   {"threads", threads_of(options.model)},
                                                   {"engine", model.engine->info().name}});
  return ExitCode::kOk;
}

} // namespace

void add_bench_train_step_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<ModelBenchOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "train-step",
                   .summary = "Training speed, memory, and share of this machine's ceiling",
                   .example = "coppice bench train-step -m base.gguf\n"
                              "coppice bench train-step -m base.gguf --tokens 2048 --threads 1"},
                  [options](Context& at) { return bench_train_step(at, *options); });
  add_model_option(command, options->model);
  add_count_option(command, "--tokens", options->tokens, 2, "Tokens of a step");
  add_count_option(command, "--window", options->window, 2, "Tokens of a sequence at most");
  add_count_option(command, "--rank", options->rank, 1,
                   "Rank of the adapter, on all linear layers");
  add_count_option(command, "--steps", options->steps, 1, "Steps timed; the middle one counts");
  add_memory_option(command, options->model);
  add_compute_options(command, options->model);
}

void add_bench_generate_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<ModelBenchOptions>();
  options->tokens = 64;
  options->steps = 3;
  CommandOptions command =
      new_command(parent, context,
                  {.name = "generate",
                   .summary = "Decoding and prefill speed, and bytes read a second",
                   .example = "coppice bench generate -m base.gguf --threads 1"},
                  [options](Context& at) { return bench_generate(at, *options); });
  add_model_option(command, options->model);
  add_count_option(command, "-n,--tokens", options->tokens, 1, "Tokens decoded a run");
  add_count_option(command, "--prompt-tokens", options->prompt_tokens, 1,
                   "Tokens of the prompt read");
  add_activations_option(command, options->activations);
  add_count_option(command, "--steps", options->steps, 1,
                   "Runs that count, after one that doesn't");
  add_adapter_options(command, options->model, "Adapter to decode with; several add up");
  add_compute_options(command, options->model);
}

} // namespace coppice
