// SPDX-License-Identifier: Apache-2.0
// `coppice model import`: a Hugging Face model folder as a GGUF file.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/table.h"
#include "model/import_model.h"
#include "model/quantize_model.h"

namespace coppice {
namespace {

struct ModelImportOptions {
  std::string folder;
  std::string out;
  std::string type;
  ModelOptions model; // for its threads
};

Result<ExitCode> import_folder(Context& context, const ModelImportOptions& options) {
  ImportOptions wanted;
  if (!options.type.empty()) wanted.type = COPPICE_TRY(parse_storage(options.type));
  wanted.threads = threads_of(options.model);
  const ImportedModel made = COPPICE_TRY(import_model(options.folder, options.out, wanted));
  Console& console = context.console;
  console.print(cat(options.folder, " -> ", options.out, ": ", made.architecture, ", ",
                    grouped(made.parameters), " parameters in ", made.tensors, " tensors, ",
                    storage_text(made.type)));
  console.finish("coppice.model_import.v1", Json{{"folder", options.folder},
                                                 {"out", options.out},
                                                 {"architecture", made.architecture},
                                                 {"parameters", made.parameters},
                                                 {"tensors", made.tensors},
                                                 {"type", storage_text(made.type)}});
  return ExitCode::kOk;
}

} // namespace

void add_model_import_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<ModelImportOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "import",
                   .summary = "A Hugging Face model folder (safetensors) as one GGUF file",
                   .example = "coppice model import SmolLM2-135M smollm2.gguf\n"
                              "coppice model import Qwen3-0.6B qwen3.gguf --type Q8_0"},
                  [options](Context& at) { return import_folder(at, *options); });
  command.add_option("FOLDER", options->folder, "With config.json, tokenizer and safetensors files")
      .type_name("FOLDER")
      .required();
  command.add_option("OUT", options->out, "The GGUF file to write").type_name("FILE").required();
  command
      .add_option("--type", options->type,
                  "Of the matrices: F16, Q8_0, Q4_K, NF4, ...; else as the folder has it")
      .type_name("TYPE");
  add_threads_option(command, options->model);
}

} // namespace coppice
