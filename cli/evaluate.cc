// SPDX-License-Identifier: Apache-2.0
// `coppice evaluate`: how well a model predicts a text, with and without adapters.
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/table.h"
#include "cli/text_documents.h"

namespace coppice {
namespace {

struct EvaluateOptions {
  ModelOptions model;
  std::string data;
};

Json figures(const TextScore& scored) {
  return {{"tokens", scored.score.tokens},
          {"bytes", scored.bytes},
          {"loss_nats_per_token", nats_per_token(scored.score)},
          {"bits_per_byte", bits_per_byte(scored.score, scored.bytes)}};
}

std::vector<std::string> row(const char* name, const TextScore& scored, const std::string& gain) {
  return {name, fixed(nats_per_token(scored.score), 4),
          fixed(bits_per_byte(scored.score, scored.bytes), 4), gain};
}

Result<ExitCode> evaluate(Context& context, const EvaluateOptions& options) {
  const OpenModel model = COPPICE_TRY(open_model(options.model));
  const TextDocuments text = COPPICE_TRY(read_documents(options.data, *model.base));
  Console& console = context.console;
  for (const std::string& skipped : text.skipped) console.note(cat("skipped ", skipped));

  const TextScore base = COPPICE_TRY(score_with_progress(console, *model.engine, {}, text, "base"));
  Table table({{"model"},
               {"nats a token", Align::kRight},
               {"bits a byte", Align::kRight},
               {"gain", Align::kRight}});
  table.set_caption(cat(grouped(base.score.tokens), " tokens, ", grouped(text.bytes), " bytes, ",
                        text.documents.size(),
                        text.documents.size() == 1 ? " document" : " documents",
                        "; lower is better"));
  table.add_row(row("base", base, ""));
  Json document = figures(base);
  if (!model.adapters.empty()) {
    const TextScore adapted = COPPICE_TRY(
        score_with_progress(console, *model.engine, model.uses(), text, "with adapters"));
    const double before = bits_per_byte(base.score, base.bytes);
    const double after = bits_per_byte(adapted.score, adapted.bytes);
    table.add_row(row(model.adapters.size() == 1 ? "with the adapter" : "with the adapters",
                      adapted, gain_percent(before, after)));
    document = figures(adapted);
    document["base"] = figures(base);
    document["gain_percent"] = (before - after) / before * 100;
  }
  console.write(table.render());
  document["documents"] = text.documents.size();
  document["model"] = options.model.model;
  document["adapters"] = options.model.adapters;
  console.finish("coppice.evaluate.v1", document);
  return ExitCode::kOk;
}

} // namespace

void add_evaluate_command(CLI::App& parent, Context& context) {
  auto options = std::make_shared<EvaluateOptions>();
  CLI::App& command = new_command(
      parent, context,
      {.name = "evaluate",
       .summary = "Loss and bits per byte of a text, with and without adapters",
       .example = "coppice evaluate -m base.gguf --data book.txt\n"
                  "coppice evaluate -m base.gguf --data notes --adapter my-adapter --format json"},
      [options](Context& at) { return evaluate(at, *options); });
  add_model_option(command, options->model);
  command
      .add_option(
          "--data", options->data,
          "A text file, or a folder: all its .txt, .md and .jsonl files are used, a document "
          "a file, none held back")
      ->type_name("PATH")
      ->required();
  add_adapter_options(
      command, options->model,
      "Adapter to compare with the bare base: a PEFT folder, a GGUF file or our own; "
      "several add up");
  add_compute_options(command, options->model);
}

} // namespace coppice
