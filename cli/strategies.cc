// SPDX-License-Identifier: Apache-2.0
// `coppice strategies`: how deltas can become the next shared adapter.
#include "aggregator/references.h"
#include "aggregator/settings.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "formats/json.h"

namespace coppice {
namespace {

// "trim|radius" to [strategy]'s defaults of these, as an aggregator.toml would have them.
Json defaults_of(const StrategyEntry& entry) {
  Json defaults = Json::object();
  for (const std::string& name : split(entry.options, '|')) {
    for (const KeySpec& key : aggregator_keys()) {
      if (key.section == "strategy" && key.key == name) defaults[name] = key.default_value;
    }
  }
  return defaults;
}

std::string words_of(const Json& defaults) {
  std::string words;
  for (const auto& [name, value] : defaults.items()) {
    words += cat(words.empty() ? "" : ", ", name, " ", value.get<std::string>());
  }
  return words.empty() ? "-" : words;
}

Result<ExitCode> strategies(Context& context) {
  Table table({{"strategy"}, {"needs"}, {"what the next adapter is"}, {"options"}, {"source"}});
  Json rows = Json::array();
  for (const StrategyEntry& entry : all_strategies()) {
    const Json defaults = defaults_of(entry);
    table.add_row({std::string(entry.name), need_name(entry.need), std::string(entry.rule),
                   words_of(defaults), std::string(entry.paper)});
    rows.push_back({{"name", entry.name},
                    {"need", need_name(entry.need)},
                    {"rule", entry.rule},
                    {"paper", entry.paper},
                    {"defaults", defaults}});
  }
  Json references = Json::array();
  for (const StrategyReference& reference : strategy_references()) {
    table.add_row({std::string(reference.name), "none", std::string(reference.rule),
                   std::string(reference.setting), "a reference, simulation only"});
    references.push_back({{"name", reference.name},
                          {"need", "none"},
                          {"rule", reference.rule},
                          {"setting", reference.setting},
                          {"simulation_only", true},
                          {"refused", reference.why_not}});
  }
  context.console.print(table.render());
  context.console.print(
      "Name one as round.strategy in aggregator.toml or in a scenario; options are keys of "
      "[strategy].\nUnder secure aggregation those that need a Sum can be had, and the others with "
      "strategy.bucket = 3 or more.\nA reference is measured beside a strategy's runs, in "
      "simulations: coppice sim compare SCENARIO --vary round.strategy=fedavg,local-only; an "
      "aggregator refuses it.");
  context.console.finish("coppice.strategies.v1",
                         {{"strategies", std::move(rows)}, {"references", std::move(references)}});
  return ExitCode::kOk;
}

} // namespace

void add_strategies_command(CommandOptions& parent, Context& context) {
  new_command(parent, context,
              {.name = "strategies",
               .summary = "How devices' deltas become the next adapter: what there is to choose",
               .example = "coppice strategies\n"
                          "coppice strategies --format json"},
              [](Context& at) { return strategies(at); });
}

} // namespace coppice
