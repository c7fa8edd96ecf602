// SPDX-License-Identifier: Apache-2.0
// `coppice evaluate`: how well a model predicts a text and answers instructions, with and without
// adapters.
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
  std::uint32_t answers = 100;
};

// What one list of adapters makes of the data.
struct Figures {
  TextScore text;
  AnswerScore answers;
};

Result<Figures> figures_of(Console& console, const OpenModel& model,
                           std::span<const AdapterUse> adapters, const TextDocuments& text,
                           std::span<const Question> questions, const std::string& label) {
  Figures figures;
  figures.text = COPPICE_TRY(score_with_progress(console, *model.engine, adapters, text, label));
  figures.answers =
      COPPICE_TRY(answer_with_progress(console, *model.engine, adapters, questions, label));
  return figures;
}

Json told(const Figures& figures) {
  const auto& [text, answers] = figures;
  Json json{{"tokens", text.score.tokens},
            {"bytes", text.bytes},
            {"loss_nats_per_token", nats_per_token(text.score)},
            {"bits_per_byte", bits_per_byte(text.score, text.bytes)},
            {"token_accuracy", token_accuracy(text.score)},
            {"answers", answers.answers},
            {"choices", answers.choices}};
  const auto add = [&](const char* name, std::optional<double> value) {
    if (value) json[name] = *value;
  };
  add("exact_match", answers.exact_match());
  add("rouge_l", answers.mean_rouge_l());
  add("choice_accuracy", answers.choice_accuracy());
  add("choice_accuracy_by_byte", answers.choice_accuracy_by_byte());
  return json;
}

std::string percent_or_nothing(std::optional<double> share) { return share ? percent(*share) : ""; }

std::vector<std::string> text_row(const char* name, const TextScore& scored,
                                  const std::string& gain) {
  return {name, fixed(nats_per_token(scored.score), 4),
          fixed(bits_per_byte(scored.score, scored.bytes), 4),
          percent_or_nothing(token_accuracy(scored.score)), gain};
}

Table text_table(const TextScore& base, std::size_t documents) {
  Table table({{"model"},
               {"nats a token", Align::kRight},
               {"bits a byte", Align::kRight},
               {"tokens right", Align::kRight},
               {"gain", Align::kRight}});
  table.set_caption(cat(grouped(base.score.tokens), " tokens, ", grouped(base.bytes), " bytes, ",
                        documents, documents == 1 ? " document" : " documents",
                        "; lower loss is better"));
  table.add_row(text_row("base", base, ""));
  return table;
}

std::vector<std::string> answer_row(const char* name, const AnswerScore& answers) {
  const auto rouge = answers.mean_rouge_l();
  return {name, percent_or_nothing(answers.exact_match()), rouge ? fixed(*rouge, 4) : "",
          percent_or_nothing(answers.choice_accuracy()),
          percent_or_nothing(answers.choice_accuracy_by_byte())};
}

Table answer_table(const AnswerScore& base) {
  Table table({{"answers"},
               {"exact", Align::kRight},
               {"ROUGE-L", Align::kRight},
               {"choice right", Align::kRight},
               {"by byte", Align::kRight}});
  table.set_caption(cat(grouped(base.answers), " rows answered, ", grouped(base.choices),
                        " of them with choices; higher is better"));
  table.add_row(answer_row("base", base));
  return table;
}

Result<ExitCode> evaluate(Context& context, const EvaluateOptions& options) {
  const OpenModel model = COPPICE_TRY(open_model(options.model));
  const TextDocuments text = COPPICE_TRY(read_documents(options.data, *model.base));
  const std::vector<Question> questions = questions_of(text, options.answers, *model.base);
  Console& console = context.console;
  for (const std::string& skipped : text.skipped) console.note(cat("skipped ", skipped));

  const Figures base = COPPICE_TRY(figures_of(console, model, {}, text, questions, "base"));
  Table texts = text_table(base.text, text.documents.size());
  Table answers = answer_table(base.answers);
  Json document = told(base);
  if (!model.adapters.empty()) {
    const Figures adapted =
        COPPICE_TRY(figures_of(console, model, model.uses(), text, questions, "with adapters"));
    const double before = bits_per_byte(base.text.score, base.text.bytes);
    const double after = bits_per_byte(adapted.text.score, adapted.text.bytes);
    const char* name = model.adapters.size() == 1 ? "with the adapter" : "with the adapters";
    texts.add_row(text_row(name, adapted.text, gain_percent(before, after)));
    answers.add_row(answer_row(name, adapted.answers));
    document = told(adapted);
    document["base"] = told(base);
    document["gain_percent"] = (before - after) / before * 100;
  }
  console.write(texts.render());
  if (!questions.empty()) console.write(answers.render());
  document["documents"] = text.documents.size();
  document["model"] = options.model.model;
  document["adapters"] = options.model.adapters;
  console.finish("coppice.evaluate.v1", document);
  return ExitCode::kOk;
}

} // namespace

void add_evaluate_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<EvaluateOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "evaluate",
       .summary = "Loss, bits per byte and answers, with and without adapters",
       .example = "coppice evaluate -m base.gguf --data book.txt\n"
                  "coppice evaluate -m base.gguf --data notes --adapter my-adapter --format json"},
      [options](Context& at) { return evaluate(at, *options); });
  add_model_option(command, options->model);
  command
      .add_option(
          "--data", options->data,
          "A text file, or a folder: all its .txt, .md and .jsonl files are used, a document "
          "a file, none held back")
      .type_name("PATH")
      .required();
  command
      .add_option("--answers", options->answers,
                  "Of instruction rows so many, evenly spaced, are answered greedily (at most 128 "
                  "tokens) and compared with their responses, and their choices compared; 0: none")
      .type_name("N")
      .capture_default_str();
  add_adapter_options(
      command, options->model,
      "Adapter to compare with the bare base: a PEFT folder, a GGUF file or our own; "
      "several add up");
  add_compute_options(command, options->model);
}

} // namespace coppice
