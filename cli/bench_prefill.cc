// SPDX-License-Identifier: Apache-2.0
// `coppice bench prefill` and `coppice bench open`: how soon a prompt is read, and how soon a model
// says its first word.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "cli/bench_speed.h"
#include "cli/bench_timing.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/table.h"
#include "cli/work_folder.h"
#include "client/device_folder.h"
#include "model/model_info.h"

namespace coppice {
namespace {

struct PrefillOptions {
  ModelOptions model;
  std::uint32_t prompt_tokens = 512;
  std::uint32_t steps = 5;
};

// Of the linear layers a token goes through; the head is for the last token alone.
double linear_parameters(const BaseModel& base) {
  double sum = 0;
  for (const AdapterTarget& module : base.adaptable_modules()) {
    sum += static_cast<double>(module.in) * module.out;
  }
  return sum;
}

// Seconds of the fastest reading. Each of another text: nothing kept of the last one helps.
Result<double> time_prefill(const OpenModel& model, const PrefillOptions& options) {
  double best = HUGE_VAL;
  for (std::uint32_t i = 0; i <= options.steps; ++i) { // the first pages the weights in
    if (interrupted()) return Error{ErrorCode::kCancelled, "the benchmark was stopped"};
    const GenerateResult read = COPPICE_TRY(
        model.engine->generate({.adapters = model.uses(),
                                .prompt = random_tokens(*model.base, options.prompt_tokens, i),
                                .max_tokens = 1,
                                .ignore_end_tokens = true}));
    if (i > 0) best = std::min(best, read.prefill_seconds);
  }
  return best;
}

Result<ExitCode> bench_prefill(Context& context, const PrefillOptions& options) {
  OpenModel model = COPPICE_TRY(open_model(options.model));
  if (options.prompt_tokens > model.base->config().context) {
    return Error{
        ErrorCode::kInvalidArgument,
        cat("--prompt-tokens must fit the model's context of ", model.base->config().context)};
  }
  const double first = COPPICE_TRY(time_prefill(model, options));
  const double peak = peak_resident_mb(); // the ceiling's library takes memory of its own
  const Ceiling before = COPPICE_TRY(measure_ceiling());
  const double seconds = std::min(first, COPPICE_TRY(time_prefill(model, options)));
  const Ceiling ceiling = better(before, COPPICE_TRY(measure_ceiling()));

  const unsigned threads = threads_of(options.model);
  const double rate = options.prompt_tokens / seconds;
  const double gflops = 2.0 * linear_parameters(*model.base) * rate / 1e9;
  const double share = gflops / (ceiling.best() * threads);
  Console& console = context.console;
  Table table({{"prefill"}, {"", Align::kRight}, {""}});
  table.add_row({cat("prompt of ", options.prompt_tokens), fixed(rate, 1), "tokens/s"});
  table.add_row({"memory at its peak", fixed(peak, 0), "MB resident"});
  table.add_row({"linear layers", fixed(gflops, 1), "GFLOP/s"});
  table.add_row({"ceiling, float32", fixed(ceiling.f32_gflops * threads, 1), "GFLOP/s"});
  table.add_row({"ceiling, bfloat16", fixed(ceiling.bf16_gflops * threads, 1), "GFLOP/s"});
  table.add_row({"share of the higher ceiling", fixed(share * 100, 1), "%"});
  console.write(table.render());
  console.print(cat("\n", threads_text(options.model), ", engine ", model.engine->info().name, ", ",
                    model.engine->info().instruction_level, "\nceiling: ", ceiling.source));
  console.finish("coppice.bench_prefill.v1",
                 Json{{"prefill_tokens_per_s", rate},
                      {"prompt_tokens", options.prompt_tokens},
                      {"peak_rss_mb", peak},
                      {"gflops", gflops},
                      {"ceiling_gflops", ceiling_json(ceiling, threads)},
                      {"share_of_ceiling", share},
                      {"ceiling", ceiling.source},
                      {"threads", threads},
                      {"engine", model.engine->info().name},
                      {"instruction_level", model.engine->info().instruction_level}});
  return ExitCode::kOk;
}

struct OpenOptions {
  ModelOptions model;
  std::uint32_t prompt_tokens = 8;
  std::uint32_t steps = 3;
};

// Seconds from nothing to the first token: hash looked up, file mapped and checked, tokenizer and
// engine made, prompt read, token chosen.
Result<double> time_open(const DeviceFolder& folder, const OpenOptions& options) {
  const double before = wall_seconds();
  COPPICE_TRY(folder.base_hash(options.model.model));
  const OpenModel model = COPPICE_TRY(open_model(options.model));
  COPPICE_TRY(
      model.engine->generate({.adapters = model.uses(),
                              .prompt = random_tokens(*model.base, options.prompt_tokens, 0),
                              .max_tokens = 1,
                              .ignore_end_tokens = true}));
  return wall_seconds() - before;
}

Result<ExitCode> bench_open(Context& context, const OpenOptions& options) {
  WorkFolder work = COPPICE_TRY(WorkFolder::make(""));
  const DeviceFolder folder{work.path()};
  const double before = wall_seconds();
  COPPICE_TRY(folder.base_hash(options.model.model)); // reads it all: the page cache is warm
  const double hashing = wall_seconds() - before;
  std::vector<double> times;
  for (std::uint32_t i = 0; i < options.steps; ++i) {
    if (interrupted()) return Error{ErrorCode::kCancelled, "the benchmark was stopped"};
    times.push_back(COPPICE_TRY(time_open(folder, options)));
  }
  const double seconds = median(times);
  Console& console = context.console;
  Table table({{"opening"}, {"", Align::kRight}, {""}});
  table.add_row(
      {cat("first token of a prompt of ", options.prompt_tokens), fixed(seconds, 3), "s"});
  table.add_row({"the first time", fixed(times.front(), 3), "s"});
  table.add_row({"its hash, taken once", fixed(hashing, 3), "s"});
  console.write(table.render());
  console.print(
      cat("\n", threads_text(options.model), ", hash remembered, file in the page cache"));
  console.finish("coppice.bench_open.v1", Json{{"seconds_to_first_token", seconds},
                                               {"first_seconds", times.front()},
                                               {"hash_seconds", hashing},
                                               {"prompt_tokens", options.prompt_tokens},
                                               {"peak_rss_mb", peak_resident_mb()},
                                               {"threads", threads_of(options.model)}});
  return ExitCode::kOk;
}

} // namespace

void add_bench_prefill_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<PrefillOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "prefill",
                   .summary = "Speed of reading a prompt, and share of this machine's ceiling",
                   .example = "coppice bench prefill -m base.gguf --prompt-tokens 512"},
                  [options](Context& at) { return bench_prefill(at, *options); });
  add_model_option(command, options->model);
  add_count_option(command, "--prompt-tokens", options->prompt_tokens, 1, "Tokens of the prompt");
  add_count_option(command, "--steps", options->steps, 1,
                   "Readings before and after the ceiling; the fastest counts");
  add_adapter_options(command, options->model, "Adapter to read it with; several add up");
  add_compute_options(command, options->model);
}

void add_bench_open_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<OpenOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "open",
                   .summary = "Seconds from opening a model to its first token",
                   .example = "coppice bench open -m base.gguf"},
                  [options](Context& at) { return bench_open(at, *options); });
  add_model_option(command, options->model);
  add_count_option(command, "--prompt-tokens", options->prompt_tokens, 1, "Tokens of the prompt");
  add_count_option(command, "--steps", options->steps, 1, "Openings; the middle one counts");
  add_compute_options(command, options->model);
}

} // namespace coppice
