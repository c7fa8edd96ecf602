// SPDX-License-Identifier: Apache-2.0
// `coppice sim compare`: scenarios with the same seeds, and intervals of their differences.
#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/report_console.h"
#include "cli/setting_grid.h"
#include "cli/sim_study.h"
#include "cli/sim_tuning.h"
#include "sim/comparison_page.h"
#include "sim/comparison_tables.h"

namespace coppice {
namespace {

struct CompareOptions {
  std::vector<std::string> scenarios; // files
  std::vector<std::string> vary;
  std::vector<std::string> set;
  std::uint64_t seeds = 5;
  std::string out;
};

struct Candidates {
  std::vector<StudyScenario> scenarios;
  std::vector<std::optional<TuningBudget>> tuned;
  std::string about; // for the default folder's name
};

// One file, each value of what varies.
Result<Candidates> varied(Context& context, const CompareOptions& options) {
  if (options.scenarios.size() != 1) {
    return Error{ErrorCode::kInvalidArgument, "--vary changes one scenario: name a single file"};
  }
  const auto settings = COPPICE_TRY(parse_setting_values(options.vary, "--vary"));
  const LoadedScenario base =
      COPPICE_TRY(load_scenario(options.scenarios.front(), options.set, context.environment));
  Candidates made{.scenarios = {}, .tuned = {}, .about = base.scenario.name};
  for (const SettingValues& setting : settings) made.about += "-" + setting.key;
  for (const SettingChoice& choice : all_choices(settings)) {
    std::vector<std::string> set = options.set;
    set.insert(set.end(), choice.set.begin(), choice.set.end());
    made.scenarios.push_back({.name = choice.name,
                              .folder = folder_name(choice.name),
                              .file = options.scenarios.front(),
                              .set = std::move(set)});
    made.tuned.emplace_back(); // a sweep's choice was made for other settings
  }
  return made;
}

Result<Candidates> from_files(Context& context, const CompareOptions& options) {
  Candidates made;
  std::vector<std::string> names;
  for (const std::string& file : options.scenarios) {
    const LoadedScenario loaded =
        COPPICE_TRY(load_scenario(file, options.set, context.environment));
    std::string why_not;
    made.tuned.push_back(COPPICE_TRY(read_tuning(file, loaded, why_not)));
    if (!why_not.empty()) context.console.note(why_not);
    names.push_back(loaded.scenario.name);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool shared = std::ranges::count(names, names[i]) > 1;
    const std::string name =
        shared ? fs::path(options.scenarios[i]).stem().string() : std::string(names[i]);
    made.scenarios.push_back({.name = name,
                              .folder = folder_name(name),
                              .file = options.scenarios[i],
                              .set = options.set});
  }
  made.about = made.scenarios.front().name;
  return made;
}

Result<void> check(const CompareOptions& options, const Candidates& candidates) {
  const auto refuse = [](std::string why) -> Result<void> {
    return Error{ErrorCode::kInvalidArgument, std::move(why)};
  };
  for (const std::string& assignment : options.set) {
    if (is_seed(assignment.substr(0, assignment.find('=')))) {
      return refuse("--set can't take a seed: --seeds N plays each scenario with seeds 1 to N");
    }
  }
  const auto& scenarios = candidates.scenarios;
  if (scenarios.size() > kMostCompared) {
    return refuse(cat(scenarios.size(), " scenarios: at most ", kMostCompared,
                      " are told apart on one page; compare fewer at once, each time with the same "
                      "first one"));
  }
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (scenarios[i].folder != scenarios[j].folder) continue;
      return refuse(cat("two scenarios are called ", scenarios[i].name,
                        ": give them names of their own (name = ...)"));
    }
  }
  return {};
}

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(); }

Json interval_json(const MeanInterval& interval) {
  return {{"seeds", interval.count},
          {"mean", number_or_null(interval.mean)},
          {"ci95", {number_or_null(interval.low()), number_or_null(interval.high())}}};
}

Json measures_json(const Comparison& comparison, std::size_t scenario) {
  Json measures = Json::array();
  for (const ComparedMeasure& measure : comparison.measures) {
    const ComparedFigure& figure = measure.figures[scenario];
    Json row{{"measure", measure.name}, {"at", compared_at_name(measure.at)}};
    row["by_seed"] = Json::array();
    for (const double value : figure.by_seed) row["by_seed"].push_back(number_or_null(value));
    row.update(interval_json(figure.value));
    row["to_first"] = interval_json(figure.to_first);
    row["to_best"] = interval_json(figure.to_best);
    row["best"] = comparison.names[measure.best];
    measures.push_back(std::move(row));
  }
  return measures;
}

Json comparison_json(const Comparison& comparison) {
  Json scenarios = Json::array();
  for (std::size_t i = 0; i < comparison.names.size(); ++i) {
    Json settings = Json::object();
    for (const DifferingSetting& setting : comparison.settings) {
      settings[setting.name] = setting.values[i];
    }
    Json tuned;
    if (const auto& budget = comparison.tuned[i]) {
      tuned = {{"values", budget->values},
               {"seeds", budget->seeds},
               {"rounds", budget->rounds},
               {"tokens", budget->tokens}};
    }
    scenarios.push_back({{"name", comparison.names[i]},
                         {"strategy", comparison.strategies[i]},
                         {"settings", std::move(settings)},
                         {"tuned", std::move(tuned)},
                         {"measures", measures_json(comparison, i)}});
  }
  return {{"seeds", comparison.seeds},
          {"equal_round", comparison.equal_round},
          {"equal_bytes", comparison.equal_bytes},
          {"scenarios", std::move(scenarios)}};
}

void print(Console& console, const Comparison& comparison) {
  print_table(console, bits_table(comparison, "global", ComparedAt::kEqualRounds));
  print_table(console, bits_table(comparison, "global", ComparedAt::kEqualBytes));
  print_table(console, clients_table(comparison));
  print_table(console, budget_table(comparison));
  print_table(console, settings_table(comparison));
  console.print(comparison.seeds.size() == 1 ? "One seed gives no intervals: --seeds 3 or more."
                                             : kStarMeans);
}

Result<ExitCode> write(Context& context, const fs::path& out,
                       const std::vector<ComparedScenario>& scenarios) {
  const Comparison comparison = compare(scenarios);
  const std::vector<std::pair<const char*, std::string>> files{
      {kCompareTable, comparison_csv(comparison)},
      {kComparePaper, comparison_tex(comparison)},
      {kComparePage, comparison_page(scenarios, comparison)}};
  print(context.console, comparison);
  Json fields = comparison_json(comparison);
  fields["files"] = Json::array();
  for (const auto& [name, text] : files) {
    COPPICE_TRY(write_file_atomically(out / name, as_bytes(text)));
    fields["files"].push_back((out / name).string());
    context.console.print(cat("Wrote ", (out / name).string()));
  }
  context.console.finish("coppice.sim_compare.v1", fields);
  return ExitCode::kOk;
}

Result<ExitCode> compare_scenarios(Context& context, const CompareOptions& options) {
  const Candidates candidates =
      COPPICE_TRY(options.vary.empty() ? from_files(context, options) : varied(context, options));
  COPPICE_TRY(check(options, candidates));
  const fs::path out = options.out.empty()
                           ? fs::path("runs") / cat("compare-", folder_name(candidates.about))
                           : fs::path(options.out);
  auto played = play_study(
      context,
      {.out = out, .scenarios = candidates.scenarios, .first_seed = 1, .seeds = options.seeds});
  if (!played.ok() && played.error().code == ErrorCode::kCancelled) {
    context.console.note("stopped; the same command goes on");
    return ExitCode::kInterrupted;
  }
  if (!played.ok()) return std::move(played).error();
  for (std::size_t i = 0; i < played->size(); ++i) (*played)[i].tuned = candidates.tuned[i];
  return write(context, out, *played);
}

} // namespace

void add_sim_compare_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<CompareOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "compare",
       .summary = "Play scenarios with the same seeds: their differences, with intervals",
       .example = "coppice sim compare fedavg.toml ffa.toml --seeds 5 --out runs/methods\n"
                  "coppice sim compare examples/sim/quickstart.toml "
                  "--vary round.weighted_by=examples,uniform --seeds 3"},
      [options](Context& at) { return compare_scenarios(at, *options); });
  command.add_option("SCENARIO", options->scenarios, "TOML files; differences are to the first")
      .required()
      .type_name("");
  command
      .add_option("--vary", options->vary,
                  "Instead of several files: one, with each of these values of a setting")
      .allow_extra_args(false)
      .type_name("KEY=V1,V2");
  command.add_option("--seeds", options->seeds, "Each scenario is played with seeds 1 to N")
      .check(in_range(1, 1000))
      .capture_default_str();
  command
      .add_option("--out", options->out,
                  "Folder of runs and tables (default: runs/compare-NAME); what ended in it is not "
                  "played again")
      .type_name("DIR");
  command.add_option("--set", options->set, "Any setting, in all scenarios: section.key=value")
      .allow_extra_args(false)
      .type_name("KEY=VALUE");
}

} // namespace coppice
