// SPDX-License-Identifier: Apache-2.0
// `coppice adapter verify`: signature, hashes and chain of the releases in a folder.
#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/folder_kinds.h"
#include "cli/table.h"

namespace coppice {
namespace {

Result<ExitCode> verify(Context& context, const std::string& directory) {
  std::error_code code;
  if (!fs::is_directory(directory, code)) {
    return Error{ErrorCode::kNotFound, cat("there is no folder ", directory)};
  }
  const auto kinds = folder_kinds();
  const auto kind = std::ranges::find_if(kinds, [&](const FolderKind& known) {
    return fs::exists(fs::path(directory) / known.toml, code);
  });
  const FolderKind& chosen = kind == kinds.end() ? kinds.front() : *kind;
  const auto rows = COPPICE_TRY(chosen.check_releases(directory));
  Table table({{"release", Align::kRight}, {"signature"}, {"chain"}, {"content"}});
  Json list = Json::array();
  bool good = true;
  for (const ReleaseCheck& row : rows) {
    good = good && row.good;
    table.add_row({cat(row.version), row.signature, row.chain, row.content});
    list.push_back({{"version", row.version},
                    {"signature", row.signature},
                    {"chain", row.chain},
                    {"content", row.content},
                    {"ok", row.good}});
  }
  Console& console = context.console;
  console.write(table.render());
  console.print();
  console.print(good ? "every release verifies"
                     : console.styled(Style::kBad, "not every release verifies"));
  console.finish("coppice.adapter_verify.v1", Json{{"ok", good}, {"releases", std::move(list)}});
  return good ? ExitCode::kOk : ExitCode::kBadInput;
}

} // namespace

void add_adapter_verify_command(CommandOptions& parent, Context& context) {
  auto directory = std::make_shared<std::string>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "verify",
                   .summary = "Signatures, hashes and chain of the releases in a folder",
                   .example = "coppice adapter verify device"},
                  [directory](Context& at) { return verify(at, *directory); });
  command.add_option("DIR", *directory, "Folder of an aggregator or of a device").required();
}

} // namespace coppice
