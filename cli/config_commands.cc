// SPDX-License-Identifier: Apache-2.0
// `coppice config show` and `coppice config markdown`.
#include <CLI/CLI.hpp>

#include "aggregator/settings.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "client/settings.h"

namespace coppice {
namespace {

struct ShowOptions {
  bool origin = false;
  std::string aggregator;
  std::string client;
};

Result<ExitCode> show(Context& context, const ShowOptions& options) {
  const bool client = !options.client.empty();
  const std::span<const KeySpec> keys = client ? client_keys() : aggregator_keys();
  const std::string& folder = client ? options.client : options.aggregator;
  std::optional<fs::path> toml;
  if (!folder.empty()) toml = fs::path(folder) / (client ? "client.toml" : "aggregator.toml");
  const Settings settings = COPPICE_TRY(Settings::load(keys, toml, context.environment, {}));

  std::vector<Column> columns{{"setting"}, {"value"}};
  if (options.origin) columns.push_back({"from"});
  Table table(std::move(columns));
  Json rows = Json::array();
  for (const Settings::Row& row : settings.show_origin()) {
    std::vector<std::string> cells{row.name, row.value};
    Json json{{"name", row.name}, {"value", row.value}};
    if (options.origin) {
      cells.push_back(row.origin);
      json["origin"] = row.origin;
    }
    table.add_row(std::move(cells));
    rows.push_back(std::move(json));
  }
  context.console.write(table.render());
  context.console.finish("coppice.config.v1", Json{{"of", client ? "client" : "aggregator"},
                                                   {"settings", std::move(rows)}});
  return ExitCode::kOk;
}

// One heading level deeper than describe_markdown() has them: files stand above their sections.
std::string sections(std::span<const KeySpec> keys) {
  std::string text;
  for (const std::string& line : split(describe_markdown(keys), '\n')) {
    text += line.starts_with("## ") ? cat("#", line, "\n") : cat(line, "\n");
  }
  text.pop_back(); // split() gives an empty line after the last
  return text;
}

std::string configuration_markdown() {
  std::string text =
      "# Configuration\n\n"
      "Every value comes from the last of these layers that names it: the default, the settings "
      "file,\n"
      "the environment (`COPPICE_SECTION_KEY`), the command line. `coppice config show --origin` "
      "prints\n"
      "each value with its origin; an unknown key is an error that names the nearest one.\n"
      "Durations are written `500ms`, `90s`, `15m`, `6h`, `7d`; sizes `512B`, `20MB`, `64MiB`.\n\n"
      "This page is made by `coppice config markdown` from the tables in the code.\n\n"
      "## aggregator.toml\n\n";
  text += sections(aggregator_keys());
  text += "\n## client.toml\n\n";
  text += sections(client_keys());
  return text;
}

} // namespace

void add_config_show_command(CLI::App& parent, Context& context) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App& command = new_command(parent, context,
                                  {.name = "show",
                                   .summary = "Print the settings as a program would use them now",
                                   .example = "coppice config show --origin --aggregator fleet\n"
                                              "COPPICE_LORA_R=16 coppice config show --origin"},
                                  [options](Context& at) { return show(at, *options); });
  command.add_flag("--origin", options->origin, "Say where each value comes from");
  auto* aggregator = command.add_option("--aggregator", options->aggregator,
                                        "Folder of an aggregator: its aggregator.toml counts");
  command.add_option("--client", options->client, "Folder of a client: its client.toml counts")
      ->type_name("DIR")
      ->excludes(aggregator);
  aggregator->type_name("DIR");
}

void add_config_markdown_command(CLI::App& parent, Context& context) {
  new_command(parent, context,
              {.name = "markdown",
               .summary = "Print docs/configuration.md: every setting, from the tables in the code",
               .example = "coppice config markdown > docs/configuration.md"},
              [](Context& at) -> Result<ExitCode> {
                const std::string text = configuration_markdown();
                at.console.write(text);
                at.console.finish("coppice.config_markdown.v1", Json{{"text", text}});
                return ExitCode::kOk;
              });
}

} // namespace coppice
