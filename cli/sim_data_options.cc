// SPDX-License-Identifier: Apache-2.0
#include "cli/sim_data_options.h"

namespace coppice {

void add_column_options(CommandOptions& command, DataSettings& settings) {
  command
      .add_option("--user-column", settings.user_column,
                  "Column (TSV) or field (JSONL) that names the client; several: play,speaker")
      .type_name("NAME");
  command
      .add_option("--text-column", settings.text_column,
                  "Column of the text (default: text; of JSONL the fields of a row)")
      .type_name("NAME");
  command
      .add_option("--label-column", settings.label_column,
                  "Column or field of the label, such as domain")
      .type_name("NAME");
  command.add_option("--min-bytes", settings.min_bytes, "Leave out users with less text")
      .type_name("BYTES");
  command.add_option("--sha256", settings.sha256, "Refuse a source with another SHA-256")
      .type_name("HEX");
}

} // namespace coppice
