// SPDX-License-Identifier: Apache-2.0
// `coppice config show` and `coppice config markdown`.
#include <algorithm>
#include <functional>
#include <optional>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/folder_kinds.h"
#include "cli/table.h"

namespace coppice {
namespace {

struct ShowOptions {
  bool origin = false;
  std::vector<std::string> folders; // one a kind, in the order of folder_kinds(); one is named
};

Result<ExitCode> show(Context& context, const ShowOptions& options) {
  const auto named = std::ranges::find_if(options.folders, std::not_fn(&std::string::empty));
  const bool any = named != options.folders.end();
  const auto index = any ? static_cast<std::size_t>(named - options.folders.begin()) : 0;
  const FolderKind& kind = folder_kinds()[index];
  std::optional<fs::path> toml;
  if (any) toml = fs::path(*named) / kind.toml;
  const Settings settings = COPPICE_TRY(Settings::load(kind.keys(), toml, context.environment, {}));

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
  context.console.finish("coppice.config.v1",
                         Json{{"of", kind.name}, {"settings", std::move(rows)}});
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
      "This page is made by `coppice config markdown` from the tables in the code.\n";
  for (const FolderKind& kind : folder_kinds()) {
    text += cat("\n## ", kind.toml, "\n\n", sections(kind.keys()));
  }
  return text;
}

} // namespace

void add_config_show_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<ShowOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "show",
                   .summary = "Print the settings as a program would use them now",
                   .example = "coppice config show --origin --aggregator fleet\n"
                              "COPPICE_LORA_R=16 coppice config show --origin"},
                  [options](Context& at) { return show(at, *options); });
  command.add_flag("--origin", options->origin, "Say where each value comes from");
  const auto kinds = folder_kinds();
  options->folders.resize(kinds.size());
  std::optional<CommandOption> before;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    CommandOption option =
        command
            .add_option(cat("--", kinds[i].name), options->folders[i],
                        cat("Folder of ", kinds[i].owner, ": its ", kinds[i].toml, " counts"))
            .type_name("DIR");
    if (before) option.excludes(*before);
    before = option;
  }
}

void add_config_markdown_command(CommandOptions& parent, Context& context) {
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
