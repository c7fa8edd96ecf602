// SPDX-License-Identifier: Apache-2.0
// `coppice adapter convert`: PEFT folder <-> GGUF adapter <-> our own file.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/table.h"

namespace coppice {
namespace {

struct ConvertOptions {
  ModelOptions model;
  std::string adapter;
  std::string out;
  std::string to;
};

Result<ExitCode> convert(Context& context, const ConvertOptions& options) {
  const AdapterFormat to = options.to.empty() ? adapter_format_for_output(options.out)
                                              : COPPICE_TRY(parse_adapter_format(options.to));
  const PeftRows rows = COPPICE_TRY(parse_rows(options.model.rows));
  std::shared_ptr<const BaseModel> base;
  if (!options.model.model.empty()) base = COPPICE_TRY(open_base(options.model));
  const LoadedAdapter loaded = COPPICE_TRY(load_adapter(options.adapter, base.get(), rows));
  const PeftWriteOptions as_peft{.rows = rows,
                                 .base_model = fs::path(options.model.model).filename().string()};
  COPPICE_TRY(save_adapter(options.out, loaded, to, as_peft));
  const AdapterSpec& spec = loaded.adapter.spec();
  Console& console = context.console;
  console.print(cat(options.adapter, " (", adapter_format_name(loaded.format), ") -> ", options.out,
                    " (", adapter_format_name(to), "): ", grouped(spec.parameters()),
                    " parameters in ", spec.targets.size(), " modules"));
  console.finish("coppice.adapter_convert.v1", Json{{"adapter", options.adapter},
                                                    {"from", adapter_format_name(loaded.format)},
                                                    {"out", options.out},
                                                    {"to", adapter_format_name(to)},
                                                    {"parameters", spec.parameters()},
                                                    {"modules", spec.targets.size()}});
  return ExitCode::kOk;
}

} // namespace

void add_adapter_convert_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<ConvertOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "convert",
       .summary = "PEFT folder <-> llama.cpp GGUF <-> coppice's own, exactly",
       .example =
           "coppice adapter convert --adapter peft-folder --out my.gguf --to gguf -m base.gguf\n"
           "coppice adapter convert --adapter my.gguf --out peft-folder --to peft -m base.gguf"},
      [options](Context& at) { return convert(at, *options); });
  command.add_option("--adapter,--lora", options->adapter, "A PEFT folder, a GGUF file or our own")
      .type_name("PATH")
      .required();
  command.add_option("--out", options->out, "Where it goes").type_name("PATH").required();
  command.add_option("--to", options->to, "peft, gguf or coppice; else as --out's name ends")
      .type_name("KIND")
      .check(one_of({"peft", "gguf", "coppice"}));
  add_model_option(command, options->model, false);
  add_rows_option(command, options->model);
}

} // namespace coppice
