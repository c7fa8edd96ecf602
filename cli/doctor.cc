// SPDX-License-Identifier: Apache-2.0
// `coppice doctor`: what could go wrong here, and how to mend it.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/doctor_checks.h"
#include "cli/table.h"

namespace coppice {
namespace {

struct DoctorOptions {
  std::string aggregator;
  std::string client;
  std::string model;
};

std::vector<Finding> look(const DoctorOptions& options, const Environment& environment) {
  std::vector<Finding> findings = check_machine();
  const auto add = [&findings](std::vector<Finding> more) {
    for (Finding& finding : more) findings.push_back(std::move(finding));
  };
  if (!options.model.empty()) add(check_model(options.model, std::nullopt));
  if (!options.aggregator.empty()) add(check_aggregator(options.aggregator, environment));
  if (!options.client.empty()) add(check_client(options.client, environment));
  if (options.aggregator.empty() && options.client.empty()) add({check_disk(".")});
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

void add_doctor_command(CLI::App& parent, Context& context) {
  auto options = std::make_shared<DoctorOptions>();
  CLI::App& command =
      new_command(parent, context,
                  {.name = "doctor",
                   .summary = "Look for what could go wrong here, and say how to mend it",
                   .example = "coppice doctor\n"
                              "coppice doctor --aggregator fleet\n"
                              "coppice doctor --client device"},
                  [options](Context& at) { return doctor(at, *options); });
  command.add_option("--aggregator", options->aggregator, "Look at an aggregator's folder too")
      ->type_name("DIR");
  command.add_option("--client", options->client, "Look at a device's folder too")
      ->type_name("DIR");
  command.add_option("-m,--model", options->model, "Look at a base model's file too")
      ->type_name("FILE");
}

} // namespace coppice
