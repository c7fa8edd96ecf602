// SPDX-License-Identifier: Apache-2.0
// `coppice doctor`: what could go wrong here, and how to mend it.
#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/folder_kinds.h"
#include "cli/table.h"

namespace coppice {
namespace {

struct DoctorOptions {
  std::vector<std::string> folders; // one a kind, in the order of folder_kinds(); empty: not asked
  std::string model;
};

std::vector<Finding> look(const DoctorOptions& options, const Environment& environment) {
  std::vector<Finding> findings = check_machine();
  if (!options.model.empty()) append(findings, check_model(options.model, std::nullopt));
  bool any = false;
  for (std::size_t i = 0; i < options.folders.size(); ++i) {
    if (options.folders[i].empty()) continue;
    append(findings, folder_kinds()[i].check(options.folders[i], environment));
    any = true;
  }
  if (!any) findings.push_back(check_disk("."));
  return findings;
}

Result<ExitCode> doctor(Context& context, const DoctorOptions& options) {
  Console& console = context.console;
  const std::vector<Finding> findings = look(options, context.environment);
  std::size_t faults = 0;
  std::size_t warnings = 0;
  Json list = Json::array();
  std::size_t width = 0;
  for (const Finding& finding : findings) width = std::max(width, finding.check.size());
  for (const Finding& finding : findings) {
    faults += finding.health == Health::kFault ? 1U : 0U;
    warnings += finding.health == Health::kWarning ? 1U : 0U;
    const Style style = finding.health == Health::kGood ? Style::kGood : Style::kBad;
    const std::string name = health_name(finding.health);
    console.print(cat(console.styled(style, name), std::string(9 - name.size(), ' '), finding.check,
                      std::string(width + 2 - finding.check.size(), ' '), finding.reading));
    if (!finding.mend.empty()) {
      console.print(cat(std::string(11 + width, ' '), "-> ", finding.mend));
    }
    list.push_back({{"check", finding.check},
                    {"health", name},
                    {"reading", finding.reading},
                    {"mend", finding.mend}});
  }
  console.print();
  console.print(faults + warnings == 0 ? "nothing to mend"
                                       : cat(faults, faults == 1 ? " fault, " : " faults, ",
                                             warnings, warnings == 1 ? " warning" : " warnings"));
  console.finish("coppice.doctor.v1",
                 Json{{"faults", faults}, {"warnings", warnings}, {"findings", std::move(list)}});
  return faults == 0 ? ExitCode::kOk : ExitCode::kFailed;
}

} // namespace

void add_doctor_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<DoctorOptions>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "doctor",
                   .summary = "Look for what could go wrong here, and say how to mend it",
                   .example = "coppice doctor\n"
                              "coppice doctor --client device"},
                  [options](Context& at) { return doctor(at, *options); });
  const auto kinds = folder_kinds();
  options->folders.resize(kinds.size());
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    command
        .add_option(cat("--", kinds[i].name), options->folders[i],
                    cat("Look at ", kinds[i].owner, "'s folder too"))
        .type_name("DIR");
  }
  command.add_option("-m,--model", options->model, "Look at a base model's file too")
      .type_name("FILE");
}

} // namespace coppice
