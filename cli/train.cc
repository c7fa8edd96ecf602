// SPDX-License-Identifier: Apache-2.0
// `coppice train`: an adapter from local text, with no fleet.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_options.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/text_documents.h"
#include "cli/train_recipe.h"
#include "client/train_checkpoint.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

struct TrainOptions {
  ModelOptions model;
  std::string data;
  std::string out;
  std::string config;
  std::string start;
  std::string checkpoint;
  std::uint64_t checkpoint_every = 50;
  bool plan = false;
  std::vector<Override> overrides;
};

Result<void> check_folder_of(const fs::path& file, const char* option) {
  const fs::path parent = file.has_parent_path() ? file.parent_path() : fs::path(".");
  std::error_code code;
  if (fs::is_directory(parent, code)) return {};
  return Error{ErrorCode::kNotFound,
               cat("there is no folder ", parent.string(), " for ", option, "; make it first")};
}

// Before an hour of training: is there a place for its result?
Result<void> check_output(const fs::path& out) {
  COPPICE_TRY(check_folder_of(out, "--out"));
  std::error_code code;
  const bool folder = adapter_format_for_output(out) == AdapterFormat::kPeft;
  if (fs::exists(out, code) && fs::is_directory(out, code) != folder) {
    return Error{ErrorCode::kAlreadyExists,
                 cat(out.string(), " is ", folder ? "a file" : "a folder",
                     "; --out takes NAME.gguf, NAME.coppice, or a folder's name for PEFT")};
  }
  return {};
}

Result<Adapter> starting_adapter(const OpenModel& model, const TrainOptions& options,
                                 const TrainRecipe& recipe) {
  if (!options.start.empty()) {
    const PeftRows rows = COPPICE_TRY(parse_rows(options.model.rows));
    return COPPICE_TRY(load_adapter(options.start, model.base.get(), rows)).adapter;
  }
  AdapterSpec spec =
      COPPICE_TRY(model.base->make_spec(recipe.rank, recipe.alpha, recipe.scaling, recipe.targets));
  return Adapter::initial(std::make_shared<const AdapterSpec>(std::move(spec)),
                          recipe.training.seed);
}

// On report text; nothing where there is none.
Result<std::optional<double>> report_figure(OpenModel& model, const Adapter* adapter,
                                            const ExampleSet& examples) {
  std::vector<AdapterUse> uses = model.uses();
  if (adapter != nullptr) uses.push_back({adapter, 1.0F});
  const TextScore scored = COPPICE_TRY(score_documents(*model.engine, uses, examples.report));
  if (scored.score.tokens == 0) return std::optional<double>{};
  return std::optional<double>{bits_per_byte(scored.score, scored.bytes)};
}

Json value_or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Result<std::optional<Checkpointing>> checkpointing(const TrainOptions& options) {
  if (options.checkpoint.empty()) return std::optional<Checkpointing>{};
  COPPICE_TRY(check_folder_of(options.checkpoint, "--checkpoint"));
  return std::optional<Checkpointing>{{.file = options.checkpoint,
                                       .base = COPPICE_TRY(sha256_file(options.model.model)),
                                       .every_steps = options.checkpoint_every}};
}

struct Trained {
  TrainOutcome outcome;
  std::optional<double> before; // bits per byte on report text
  std::optional<double> after;
};

void tell(Console& console, const TrainOptions& options, const Trained& trained,
          std::size_t parameters) {
  const TrainOutcome& outcome = trained.outcome;
  const double rate =
      outcome.seconds > 0 ? static_cast<double>(outcome.tokens) / outcome.seconds : 0.0;
  console.print(cat("trained ", outcome.steps, " steps, ", grouped(outcome.tokens), " tokens in ",
                    fixed(outcome.seconds, 1), " s (", fixed(rate, 0), " tokens/s)"));
  if (outcome.resumed_at > 0) {
    console.print(cat("the first ", outcome.resumed_at, " of them before this run, as ",
                      options.checkpoint, " held them"));
  }
  console.print(cat("loss of a step's own text, nats a token: first ", fixed(outcome.loss_first, 4),
                    ", last ", fixed(outcome.loss_last, 4)));
  if (trained.before && trained.after) {
    Table table({{"report text"}, {"bits a byte", Align::kRight}, {"gain", Align::kRight}});
    table.set_caption("text that was never trained on; lower is better");
    table.add_row({"before", fixed(*trained.before, 4), ""});
    table.add_row(
        {"after", fixed(*trained.after, 4), gain_percent(*trained.before, *trained.after)});
    console.print();
    console.write(table.render());
    console.print();
  } else {
    console.print("no text fell to the tenth that is kept for the report: add text to get one");
  }
  console.print(cat("adapter, ", grouped(parameters), " parameters: ", options.out));
  Json report{{"before", value_or_null(trained.before)}, {"after", value_or_null(trained.after)}};
  console.finish("coppice.train.v1", Json{{"steps", outcome.steps},
                                          {"resumed_at", outcome.resumed_at},
                                          {"tokens", outcome.tokens},
                                          {"seconds", outcome.seconds},
                                          {"tokens_per_s", rate},
                                          {"loss_first", outcome.loss_first},
                                          {"loss_last", outcome.loss_last},
                                          {"report", std::move(report)},
                                          {"parameters", parameters},
                                          {"adapter", options.out}});
}

std::string mebibytes(std::uint64_t bytes) {
  return fixed(static_cast<double>(bytes) / (1 << 20U), 1);
}

// What a step will keep and compute again, without training.
Result<ExitCode> tell_plan(Console& console, const Engine& engine, const AdapterSpec& spec,
                           const Recipe& recipe) {
  const std::size_t longest = std::min<std::size_t>(recipe.window, engine.base().config().context);
  const TrainingPlan plan = COPPICE_TRY(engine.plan_training(spec, longest, recipe.batch_tokens));
  const std::uint32_t again = plan.layers - plan.kept_layers;
  Table table({{"a training step"}, {"each, MiB", Align::kRight}, {"all, MiB", Align::kRight}});
  table.add_row({cat(plan.kept_layers, " layers keep their activations"),
                 mebibytes(plan.kept_layer_bytes),
                 mebibytes(plan.kept_layers * plan.kept_layer_bytes)});
  table.add_row({cat(again, " layers keep their input, and compute the rest again"),
                 mebibytes(plan.input_bytes),
                 mebibytes(again * plan.input_bytes + (again > 0 ? plan.kept_layer_bytes : 0))});
  table.add_row({"whatever the layers do", "", mebibytes(plan.fixed_bytes)});
  table.add_row({"together, beside weights and adapter", "", mebibytes(plan.bytes)});
  console.write(table.render());
  console.print(cat("\n", plan.pass_tokens, " tokens at once, in about ", fixed(plan.cost, 2),
                    " times the time of keeping everything"));
  console.finish("coppice.train_plan.v1", Json{{"pass_tokens", plan.pass_tokens},
                                               {"layers", plan.layers},
                                               {"kept_layers", plan.kept_layers},
                                               {"bytes", plan.bytes},
                                               {"kept_layer_bytes", plan.kept_layer_bytes},
                                               {"input_bytes", plan.input_bytes},
                                               {"fixed_bytes", plan.fixed_bytes},
                                               {"cost", plan.cost}});
  return ExitCode::kOk;
}

Result<ExitCode> train(Context& context, const TrainOptions& options) {
  COPPICE_TRY(check_output(options.out));
  std::optional<fs::path> toml;
  if (!options.config.empty()) toml = options.config;
  const TrainRecipe made = COPPICE_TRY(train_recipe(toml, context.environment, options.overrides));
  const Recipe& recipe = made.training;
  const std::optional<Checkpointing> checkpoint = COPPICE_TRY(checkpointing(options));
  OpenModel model = COPPICE_TRY(open_model(options.model));
  const StopScope stoppable(*model.engine, &interrupted());
  const ExampleSet examples = COPPICE_TRY(load_examples(options.data, *model.base));
  Console& console = context.console;
  for (const std::string& skipped : examples.skipped) console.note(cat("skipped ", skipped));
  const auto start =
      std::make_shared<const Adapter>(COPPICE_TRY(starting_adapter(model, options, made)));
  const std::optional<double> before =
      COPPICE_TRY(report_figure(model, options.start.empty() ? nullptr : start.get(), examples));

  if (options.plan) return tell_plan(console, *model.engine, start->spec(), recipe);

  const SystemClock clock;
  Progress progress(console, {"training", "steps"}, recipe.max_steps, clock);
  TrainRequest request{
      .recipe = recipe,
      .randomness = {.experiment = recipe.seed, .purpose = RandomPurpose::kBatchOrder},
      .frozen = model.uses(),
      .start = start,
      .now = [&clock] { return clock.monotonic(); },
      .stop = &interrupted(),
      .on_step =
          [&progress](const TrainProgress& at) {
            progress.update(at.step, cat("loss ", fixed(at.loss, 3)));
          },
      .checkpoint = checkpoint};
  TrainOutcome outcome = COPPICE_TRY(train_adapter(*model.engine, examples, std::move(request)));
  progress.finish();
  const PeftWriteOptions as_peft{.rows = PeftRows::kHuggingFace,
                                 .base_model = fs::path(options.model.model).filename().string()};
  const AdapterFormat format = adapter_format_for_output(options.out);
  COPPICE_TRY(save_adapter(options.out, LoadedAdapter{outcome.adapter, format}, format, as_peft));
  if (checkpoint) forget_checkpoint(checkpoint->file);
  const std::optional<double> after = COPPICE_TRY(report_figure(model, &outcome.adapter, examples));
  const std::size_t parameters = outcome.adapter.spec().parameters();
  tell(console, options, Trained{std::move(outcome), before, after}, parameters);
  return ExitCode::kOk;
}

// A flag that stands for a setting: its text goes through the same checks as in a file.
void add_setting(CommandOptions& command, const std::shared_ptr<TrainOptions>& options,
                 const char* flag, const char* setting, const char* type, const char* help,
                 const char* shown) {
  const std::string name = std::string(flag).substr(std::string(flag).rfind("--"));
  command
      .add_option(
          flag,
          [options, name, setting](const std::string& value) {
            options->overrides.push_back({setting, value, name});
          },
          help)
      .type_name(type)
      .default_str(shown);
}

void add_recipe_options(CommandOptions& command, const std::shared_ptr<TrainOptions>& options) {
  add_setting(command, options, "--rank", "lora.r", "R", "Rank of the adapter", "8");
  add_setting(command, options, "--alpha", "lora.lora_alpha", "A", "Its scale is alpha / rank",
              "16");
  add_setting(command, options, "--targets", "lora.target_modules", "NAMES",
              "Layers that get an adapter, by PEFT's names with commas between, or all-linear",
              "all seven");
  add_setting(command, options, "--steps", "training.max_steps", "N",
              "Optimizer steps; 0: by tokens", "100");
  add_setting(command, options, "--max-tokens", "training.max_tokens", "N",
              "Tokens to train on at most; 0: no bound", "0");
  add_setting(command, options, "--max-seconds", "training.max_seconds", "S",
              "Seconds to train at most; 0: no bound", "0");
  add_setting(command, options, "--learning-rate", "training.learning_rate", "LR",
              "AdamW's step size", "0.002");
  add_setting(command, options, "--batch-tokens", "training.batch_tokens", "N",
              "Tokens of one optimizer step", "512");
  add_setting(command, options, "--window", "training.max_length", "N",
              "Tokens of one sequence at most", "128");
  add_setting(command, options, "-s,--seed", "training.seed", "N",
              "Of the first values and the order of the text", "1");
}

} // namespace

void add_train_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<TrainOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "train",
       .summary = "Train a LoRA adapter on local text, without a fleet",
       .example = "coppice train -m base.gguf --data notes --out my-adapter\n"
                  "coppice train -m base.gguf --data notes --out my.gguf --rank 16 --steps 300\n"
                  "coppice train -m base.gguf --data notes --out my-adapter --checkpoint my.train"},
      [options](Context& at) { return train(at, *options); });
  add_model_option(command, options->model);
  command
      .add_option("--data", options->data,
                  "Folder of .txt, .md and .jsonl files, or one such file; a tenth is kept for the "
                  "report, a tenth for early stopping")
      .type_name("PATH")
      .required();
  command
      .add_option("--out", options->out,
                  "Where the adapter goes: NAME.gguf, NAME.coppice, or a folder for PEFT")
      .type_name("PATH")
      .required();
  add_recipe_options(command, options);
  command.add_option("--start", options->start, "Go on training this adapter instead of a new one")
      .type_name("PATH");
  add_adapter_options(command, options->model, "Adapter below the new one, which stays as it is");
  add_recipe_file_option(command, options->config);
  add_compute_options(command, options->model);
  add_memory_option(command, options->model);
  command
      .add_option("--checkpoint", options->checkpoint,
                  "Keep the training's state in this file while it runs, also when it is "
                  "interrupted: the same command then goes on from there, to the same bits")
      .type_name("FILE");
  command
      .add_option("--checkpoint-every", options->checkpoint_every,
                  "Steps between two writes of it; 0: only when interrupted")
      .type_name("N")
      .capture_default_str();
  command.add_flag("--plan", options->plan,
                   "Say what a step keeps and computes again within --memory, and end");
}

} // namespace coppice
