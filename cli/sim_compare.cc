// SPDX-License-Identifier: Apache-2.0
// `coppice sim compare`: scenarios with the same seeds, and intervals of their differences.
#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/comparison_json.h"
#include "cli/report_console.h"
#include "cli/setting_grid.h"
#include "cli/sim_attacks.h"
#include "cli/sim_study.h"
#include "cli/sim_tuning.h"
#include "sim/comparison_page.h"
#include "sim/comparison_tables.h"
#include "sim/reference.h"

namespace coppice {
namespace {

struct CompareOptions {
  std::vector<std::string> scenarios; // files
  std::vector<std::string> vary;
  std::vector<std::string> set;
  std::string attacks;
  std::uint64_t seeds = 5;
  std::string out;
};

// A reference among what is compared: rows out of the runs of a scenario.
struct Measured {
  Reference reference;
  std::string name;
  std::size_t at;     // its place in the tables
  std::size_t beside; // the scenario whose runs measure it
};

struct Candidates {
  std::vector<StudyScenario> scenarios; // that are played
  std::vector<std::optional<TuningBudget>> tuned;
  std::vector<Measured> references; // by place
  std::string about;                // for the default folder's name
};

constexpr std::string_view kSetsStrategy = "round.strategy=";

// Of a choice, what it sets round.strategy to, if that is a reference.
std::optional<Reference> reference_in(const SettingChoice& choice) {
  for (const std::string& assignment : choice.set) {
    if (assignment.starts_with(kSetsStrategy)) {
      return reference_named(assignment.substr(kSetsStrategy.size()));
    }
  }
  return {};
}

// All settings but the strategy.
std::vector<std::string> other_settings(const SettingChoice& choice) {
  std::vector<std::string> others = choice.set;
  std::erase_if(others, [](const std::string& set) { return set.starts_with(kSetsStrategy); });
  return others;
}

// References are measured beside the first strategy of the same other settings.
Result<void> place_references(const std::vector<SettingChoice>& choices, Candidates& made) {
  std::vector<const SettingChoice*> played;
  for (const SettingChoice& choice : choices) {
    if (!reference_in(choice)) played.push_back(&choice);
  }
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const auto reference = reference_in(choices[i]);
    if (!reference) continue;
    const auto beside = std::ranges::find_if(played, [&](const SettingChoice* choice) {
      return other_settings(*choice) == other_settings(choices[i]);
    });
    if (beside == played.end()) {
      return Error{ErrorCode::kInvalidArgument,
                   cat("'", reference_name(*reference),
                       "' is a reference, measured beside a strategy's runs: name a strategy too, "
                       "as in --vary round.strategy=fedavg,",
                       reference_name(*reference))};
    }
    const auto host = static_cast<std::size_t>(beside - played.begin());
    made.references.push_back(
        {.reference = *reference, .name = choices[i].name, .at = i, .beside = host});
    made.scenarios[host].set.push_back(cat(reference_setting(*reference), "=true"));
  }
  return {};
}

// One file, each value of what varies.
Result<Candidates> varied(Context& context, const CompareOptions& options) {
  if (options.scenarios.size() != 1) {
    return Error{ErrorCode::kInvalidArgument, "--vary changes one scenario: name a single file"};
  }
  const auto settings = COPPICE_TRY(parse_setting_values(options.vary, "--vary"));
  const LoadedScenario base =
      COPPICE_TRY(load_scenario(options.scenarios.front(), options.set, context.environment));
  Candidates made{.scenarios = {}, .tuned = {}, .references = {}, .about = base.scenario.name};
  for (const SettingValues& setting : settings) made.about += "-" + setting.key;
  const std::vector<SettingChoice> choices = all_choices(settings);
  for (const SettingChoice& choice : choices) {
    if (reference_in(choice)) continue;
    std::vector<std::string> set = options.set;
    set.insert(set.end(), choice.set.begin(), choice.set.end());
    made.scenarios.push_back({.name = choice.name,
                              .folder = folder_name(choice.name),
                              .file = options.scenarios.front(),
                              .set = std::move(set)});
    made.tuned.emplace_back(); // a sweep's choice was made for other settings
  }
  COPPICE_TRY(place_references(choices, made));
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

Result<void> check(const CompareOptions& options, const Candidates& candidates,
                   const std::vector<StudyScenario>& all) {
  const auto refuse = [](std::string why) -> Result<void> {
    return Error{ErrorCode::kInvalidArgument, std::move(why)};
  };
  for (const std::string& assignment : options.set) {
    if (is_seed(assignment.substr(0, assignment.find('=')))) {
      return refuse("--set can't take a seed: --seeds N plays each scenario with seeds 1 to N");
    }
  }
  const std::size_t compared = candidates.scenarios.size() + candidates.references.size();
  if (compared > kMostCompared) {
    return refuse(cat(compared, " scenarios: at most ", kMostCompared,
                      " are told apart on one page; compare fewer at once, each time with the same "
                      "first one"));
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (all[i].folder != all[j].folder) continue;
      return refuse(cat("two scenarios are called ", all[i].name,
                        ": give them names of their own (name = ...)"));
    }
  }
  return {};
}

void print(Console& console, const Comparison& comparison, const Robustness& robust) {
  print_table(console, bits_table(comparison, "global", ComparedAt::kEqualRounds));
  print_table(console, bits_table(comparison, "global", ComparedAt::kEqualBytes));
  print_table(console, clients_table(comparison));
  print_table(console, robust_bits_table(robust, RobustMeasure::kShared));
  print_table(console, robust_loss_table(robust, RobustMeasure::kShared));
  print_table(console, refused_table(robust));
  print_table(console, budget_table(comparison));
  print_table(console, settings_table(comparison));
  console.print(comparison.seeds.size() == 1 ? "One seed gives no intervals: --seeds 3 or more."
                                             : kStarMeans);
}

// What was played, as what is compared.
struct Played {
  std::vector<ComparedScenario> scenarios; // references in their places
  std::vector<AttackedScenario> attacked;
};

Played sorted_out(const Candidates& candidates, std::vector<AttackedScenario> attacked,
                  std::vector<ComparedScenario> played) {
  const std::size_t clean = candidates.scenarios.size();
  Played made{.scenarios = {}, .attacked = std::move(attacked)};
  std::size_t next = clean;
  for (AttackedScenario& each : made.attacked) {
    if (each.refused.empty()) each.runs = std::move(played[next++].runs);
  }
  played.resize(clean);
  for (std::size_t i = 0; i < clean; ++i) played[i].tuned = candidates.tuned[i];
  std::vector<ComparedScenario> references;
  for (const Measured& each : candidates.references) {
    references.push_back(reference_scenario(played[each.beside], each.reference, each.name));
  }
  made.scenarios = std::move(played);
  for (std::size_t i = 0; i < references.size(); ++i) {
    const std::size_t at = candidates.references[i].at;
    made.scenarios.insert(made.scenarios.begin() + static_cast<std::ptrdiff_t>(at),
                          std::move(references[i]));
    for (AttackedScenario& each : made.attacked) each.scenario += each.scenario >= at ? 1 : 0;
  }
  return made;
}

Result<ExitCode> write(Context& context, const fs::path& out, const Played& played) {
  const Comparison comparison = compare(played.scenarios);
  const Robustness robust = robustness(played.scenarios, played.attacked);
  std::vector<std::pair<const char*, std::string>> files{
      {kCompareTable, comparison_csv(comparison)},
      {kComparePaper, comparison_tex(comparison)},
      {kComparePage, comparison_page(played.scenarios, comparison, played.attacked)}};
  if (!robust.rows.empty()) files.emplace_back(kRobustnessTable, robustness_csv(robust));
  print(context.console, comparison, robust);
  Json fields = comparison_json(comparison);
  if (!robust.rows.empty()) fields["robustness"] = robustness_json(robust);
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
  const auto attacks = COPPICE_TRY(parse_attacks(options.attacks));
  const Candidates candidates =
      COPPICE_TRY(options.vary.empty() ? from_files(context, options) : varied(context, options));
  AttackedStudy attacked =
      COPPICE_TRY(attacked_study(candidates.scenarios, attacks, context.environment));
  std::vector<StudyScenario> all = candidates.scenarios;
  all.insert(all.end(), attacked.scenarios.begin(), attacked.scenarios.end());
  COPPICE_TRY(check(options, candidates, all));
  const fs::path out = options.out.empty()
                           ? fs::path("runs") / cat("compare-", folder_name(candidates.about))
                           : fs::path(options.out);
  auto played = play_study(
      context, {.out = out, .scenarios = std::move(all), .first_seed = 1, .seeds = options.seeds});
  if (!played.ok() && played.error().code == ErrorCode::kCancelled) {
    context.console.note("stopped; the same command goes on");
    return ExitCode::kInterrupted;
  }
  if (!played.ok()) return std::move(played).error();
  return write(context, out,
               sorted_out(candidates, std::move(attacked.attacked), std::move(*played)));
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
                  "--vary round.weighted_by=examples,uniform --seeds 3\n"
                  "coppice sim compare examples/sim/quickstart.toml "
                  "--vary round.strategy=fedavg,rfa,local-only --attacks sign-flip,scale:10"},
      [options](Context& at) { return compare_scenarios(at, *options); });
  command.add_option("SCENARIO", options->scenarios, "TOML files; differences are to the first")
      .required()
      .type_name("");
  command
      .add_option("--vary", options->vary,
                  "Instead of several files: one, with each of these values of a setting")
      .allow_extra_args(false)
      .type_name("KEY=V1,V2");
  command
      .add_option(
          "--attacks", options->attacks,
          "Play each scenario under each of these too, on the same seeds: sign-flip, scale, "
          "inner-product, alie, mimic, label-flip, backdoor, nan; a strength behind a colon")
      .type_name("NAME[:STRENGTH],...");
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
