// SPDX-License-Identifier: Apache-2.0
// `coppice adapter merge`: base and adapters as one model file, with what the merge costs in loss.
#include <optional>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/engine_choice.h"
#include "cli/model_options.h"
#include "cli/table.h"
#include "cli/text_documents.h"
#include "model/merge.h"

namespace coppice {
namespace {

// What the loss is measured on where no --data is given: any plain English would do, since only the
// difference between the rows is told.
constexpr std::string_view kSampleText =
    "The path went down to the river between old hazels that had been cut many times and had "
    "always grown again. From each stump stood a ring of straight young stems, thin as a thumb, "
    "and the woman who kept the wood took every seventh year what she needed for hurdles and bean "
    "poles, and left the rest to the birds. \"Cut it low,\" her father used to say, \"and it will "
    "thank you.\" She had not believed him as a child. Now she was older than he had been then, "
    "and the trees were younger than she was, though their roots had been there before the "
    "village had a name.\n";

struct MergeOptions {
  ModelOptions model;
  std::string out;
  std::string type = "F16";
  std::string data;
};

struct Losses {
  TextScore base;
  std::optional<TextScore> adapters; // applied as they are; none for DoRA, which is merged only
  TextScore merged;                  // read from the new file
};

Result<TextDocuments> documents(const MergeOptions& options, const BaseModel& base) {
  if (!options.data.empty()) return read_documents(options.data, base);
  TextDocuments text;
  text.documents.push_back(tokenize_text(base.tokenizer(), kSampleText));
  text.bytes = kSampleText.size();
  return text;
}

Json loss_json(const TextScore& scored) {
  return {{"loss_nats_per_token", nats_per_token(scored.score)},
          {"bits_per_byte", bits_per_byte(scored.score, scored.bytes)}};
}

void tell(Console& console, const MergeOptions& options, const Losses& losses) {
  const auto nats = [](const TextScore& scored) { return nats_per_token(scored.score); };
  Table table({{"model"}, {"nats a token", Align::kRight}, {"gain", Align::kRight}});
  table.set_caption(cat("loss on ", options.data.empty() ? "a sample paragraph" : options.data,
                        "; lower is better"));
  table.add_row({"base", fixed(nats(losses.base), 4), ""});
  if (losses.adapters) {
    table.add_row({"base with adapters", fixed(nats(*losses.adapters), 4),
                   gain_percent(nats(losses.base), nats(*losses.adapters))});
  }
  table.add_row({"merged file", fixed(nats(losses.merged), 4),
                 gain_percent(nats(losses.base), nats(losses.merged))});
  std::error_code code;
  const auto bytes = fs::file_size(options.out, code);
  console.write(table.render());
  console.print();
  Json document{{"out", options.out},
                {"bytes", code ? 0 : bytes},
                {"type", options.type},
                {"base", loss_json(losses.base)},
                {"merged", loss_json(losses.merged)}};
  if (losses.adapters) {
    const double change = nats(losses.merged) - nats(*losses.adapters);
    console.print(cat("storing the merged weights as ", options.type, " changes the loss by ",
                      change < 0 ? "" : "+", fixed(change, 6), " nats a token"));
    document["adapters"] = loss_json(*losses.adapters);
    document["loss_change"] = change;
  }
  console.print(cat(options.out, ": ", human_bytes(code ? 0.0 : static_cast<double>(bytes))));
  console.finish("coppice.adapter_merge.v1", std::move(document));
}

// A lone DoRA folder, which acts on a base's weights and so can't be applied beside them.
Result<bool> is_lone_dora(const ModelOptions& options) {
  if (options.adapters.size() != 1) return false;
  const fs::path path = options.adapters.front();
  if (COPPICE_TRY(detect_adapter_format(path)) != AdapterFormat::kPeft) return false;
  return is_peft_dora(path);
}

Result<ExitCode> merge(Context& context, const MergeOptions& options) {
  const BlockType type = COPPICE_TRY(block_type_from_name(options.type));
  Console& console = context.console;
  const bool dora = COPPICE_TRY(is_lone_dora(options.model));
  ModelOptions opened = options.model;
  if (dora) opened.adapters.clear();
  OpenModel model = COPPICE_TRY(open_model(opened));
  const TextDocuments text = COPPICE_TRY(documents(options, *model.base));
  Losses losses;
  losses.base = COPPICE_TRY(score_with_progress(console, *model.engine, {}, text, "base"));
  if (dora) {
    const DoraAdapter adapter = COPPICE_TRY(read_peft_dora(
        options.model.adapters.front(), model.base->config().architecture,
        model.base->adaptable_modules(), COPPICE_TRY(parse_rows(options.model.rows))));
    COPPICE_TRY(write_merged_dora(*model.base, adapter, options.out, type));
  } else {
    losses.adapters = COPPICE_TRY(
        score_with_progress(console, *model.engine, model.uses(), text, "with adapters"));
    COPPICE_TRY(write_merged_model(*model.base, model.uses(), options.out, type));
  }
  model.engine.reset();
  const auto merged_base = COPPICE_TRY(BaseModel::open(options.out));
  const auto merged = COPPICE_TRY(
      open_engine(options.model.engine, merged_base, COPPICE_TRY(engine_options(options.model))));
  losses.merged = COPPICE_TRY(score_with_progress(console, *merged, {}, text, "merged"));
  tell(console, options, losses);
  return ExitCode::kOk;
}

} // namespace

void add_adapter_merge_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<MergeOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "merge",
       .summary = "Base and adapters as one GGUF model, and what that changes in loss",
       .example =
           "coppice adapter merge -m base.gguf --adapter my-adapter --out mine.gguf\n"
           "coppice adapter merge -m base.gguf --adapter my.gguf --out mine.gguf --type F32"},
      [options](Context& at) { return merge(at, *options); });
  add_model_option(command, options->model);
  add_adapter_options(command, options->model, "Adapter to merge; several add up");
  command.get_option("--adapter").required();
  command.add_option("--out", options->out, "The new model's file").type_name("FILE").required();
  command.add_option("--type", options->type, "How merged tensors are stored: F16, BF16 or F32")
      .type_name("TYPE")
      .check(one_of_any_case({"F16", "BF16", "F32"}))
      .capture_default_str();
  command.add_option("--data", options->data, "Text to tell the loss on; else a sample paragraph")
      .type_name("PATH");
  add_compute_options(command, options->model);
}

} // namespace coppice
