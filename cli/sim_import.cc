// SPDX-License-Identifier: Apache-2.0
// `coppice sim import`: a foreign data set as a pinned, hashed split.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/sim_data_options.h"
#include "cli/table.h"
#include "sim/data_import.h"

namespace coppice {
namespace {

struct SimImportOptions {
  std::string source;
  std::string out;
  DataSettings columns;
};

Result<ExitCode> sim_import(Context& context, const SimImportOptions& options) {
  const ImportedSplit split =
      COPPICE_TRY(import_split(options.source, options.columns, options.out));
  Console& console = context.console;
  console.print(cat(options.source, " -> ", options.out, ": ", grouped(split.users), " users, ",
                    grouped(split.rows), " rows, ",
                    human_bytes(static_cast<double>(split.text_bytes)), " of text"));
  console.print(cat("SHA-256 of its rows: ", split.sha256.hex()));
  console.finish("coppice.sim_import.v1", Json{{"source", options.source},
                                               {"out", options.out},
                                               {"users", split.users},
                                               {"rows", split.rows},
                                               {"text_bytes", split.text_bytes},
                                               {"bytes", split.bytes},
                                               {"sha256", split.sha256.hex()},
                                               {"source_sha256", split.source_sha256.hex()}});
  return ExitCode::kOk;
}

} // namespace

void add_sim_import_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<SimImportOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "import",
       .summary = "A data set (LEAF JSON, JSONL, TSV) as a folder of hashed rows for scenarios",
       .example = "coppice sim import all_data_niid_2_keep_0_train_9.json shakespeare\n"
                  "coppice sim import speeches.tsv roles --user-column play,speaker"},
      [options](Context& at) { return sim_import(at, *options); });
  command.add_option("SOURCE", options->source, "A .json (LEAF), .jsonl or .tsv file")
      .type_name("FILE")
      .required();
  command.add_option("OUT", options->out, "Folder for data.jsonl and split.json")
      .type_name("FOLDER")
      .required();
  add_column_options(command, options->columns);
}

} // namespace coppice
