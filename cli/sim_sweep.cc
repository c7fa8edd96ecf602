// SPDX-License-Identifier: Apache-2.0
// `coppice sim sweep`: every combination of some settings, judged on gate text; the best one as a
// scenario that `sim compare` takes.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/report_console.h"
#include "cli/setting_grid.h"
#include "cli/sim_study.h"
#include "cli/sim_tuning.h"
#include "sim/comparison_tables.h"
#include "sim/csv_table.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

constexpr std::uint64_t kFirstSeed = 1001; // beyond those that sim compare plays
constexpr const char* kSweepTable = "sweep.csv";

struct SweepOptions {
  std::string scenario; // file
  std::vector<std::string> grid;
  std::vector<std::string> vary;
  std::vector<std::string> set;
  std::uint64_t seeds = 2;
  std::string out;
};

// A combination of the grid, played.
struct Tried {
  SettingChoice choice;
  std::vector<double> by_seed = {}; // bits per byte on gate text
  MeanInterval bits = {};
  std::uint64_t rounds = 0;
  std::uint64_t tokens = 0;
};

// A scenario, or one that varies from it, with its whole grid.
struct Tuned {
  std::string name;
  std::vector<std::string> set; // before a choice
  std::vector<Tried> tried = {};
  std::size_t best = 0;
  std::vector<std::string> at_edge = {}; // keys
  fs::path file = {};
};

// Runs of a sweep are judged on gate text alone, so nothing else is evaluated: of report text they
// know as good as nothing, and nobody can choose by it.
std::vector<std::string> judged_settings(const Scenario& scenario) {
  const ReportSettings& report = scenario.report;
  return {
      cat("report.gate_bytes=", report.gate_bytes > 0 ? report.gate_bytes : report.global_bytes),
      "report.global_bytes=0",
      "report.every=10000000",
      "report.clients=1",
      "report.answers=0",
      "report.personal=false",
      "report.local_only=false",
      "report.centralized=false"};
}

Result<std::vector<Tuned>> plan(Context& context, const SweepOptions& options) {
  for (const std::string& assignment : options.set) {
    if (is_seed(assignment.substr(0, assignment.find('=')))) {
      return Error{ErrorCode::kInvalidArgument, "--set can't take a seed: a sweep has its own"};
    }
  }
  const LoadedScenario loaded =
      COPPICE_TRY(load_scenario(options.scenario, options.set, context.environment));
  if (loaded.scenario.training == TrainingKind::kNone) {
    return Error{ErrorCode::kInvalidArgument,
                 "a sweep is judged on what was learned: set training.kind = lora"};
  }
  const auto vary = COPPICE_TRY(parse_setting_values(options.vary, "--vary"));
  const auto grid = all_choices(COPPICE_TRY(parse_setting_values(options.grid, "--grid")));
  std::vector<Tuned> all;
  for (const SettingChoice& choice : all_choices(vary)) {
    Tuned tuned{.name = vary.empty() ? loaded.scenario.name : choice.name, .set = options.set};
    tuned.set.insert(tuned.set.end(), choice.set.begin(), choice.set.end());
    for (const SettingChoice& each : grid) tuned.tried.push_back({.choice = each});
    all.push_back(std::move(tuned));
  }
  return all;
}

Result<void> play(Context& context, const SweepOptions& options, const fs::path& out,
                  std::vector<Tuned>& all) {
  Study study{.out = out, .scenarios = {}, .first_seed = kFirstSeed, .seeds = options.seeds};
  for (const Tuned& tuned : all) {
    for (const Tried& tried : tuned.tried) {
      StudyScenario scenario{
          .name = cat(tuned.name, ", ", tried.choice.name),
          .folder = fs::path(folder_name(tuned.name)) / folder_name(tried.choice.name),
          .file = options.scenario,
          .set = tuned.set};
      scenario.set.insert(scenario.set.end(), tried.choice.set.begin(), tried.choice.set.end());
      const LoadedScenario loaded =
          COPPICE_TRY(load_scenario(options.scenario, scenario.set, context.environment));
      const auto judged = judged_settings(loaded.scenario);
      scenario.set.insert(scenario.set.end(), judged.begin(), judged.end());
      study.scenarios.push_back(std::move(scenario));
    }
  }
  const auto played = COPPICE_TRY(play_study(context, study));
  auto at = played.begin();
  for (Tuned& tuned : all) {
    for (Tried& tried : tuned.tried) {
      for (const RunRecord& run : (at++)->runs) {
        const auto last = last_evaluation(run, "gate", "shared");
        tried.by_seed.push_back(last ? last->bits_per_byte : NAN);
        tried.rounds = std::max(tried.rounds, run.end.rounds);
        tried.tokens += totals_of(run).tokens;
      }
      tried.bits = mean_interval(tried.by_seed);
    }
  }
  return {};
}

// Whether the chosen of three or more numbers is the least or the largest: a better one may lie
// beyond.
bool is_at_edge(const std::vector<Tried>& tried, std::size_t best, std::size_t key) {
  std::vector<double> numbers;
  const auto number_of = [key](const Tried& each) {
    const std::string& assignment = each.choice.set[key];
    const std::string value = assignment.substr(assignment.find('=') + 1);
    char* end = nullptr;
    const double number = std::strtod(value.c_str(), &end);
    return *end == '\0' ? number : NAN;
  };
  for (const Tried& each : tried) {
    const double number = number_of(each);
    if (std::isnan(number)) return false;
    if (std::ranges::find(numbers, number) == numbers.end()) numbers.push_back(number);
  }
  const auto [least, most] = std::ranges::minmax(numbers);
  const double chosen = number_of(tried[best]);
  return numbers.size() >= 3 && (chosen == least || chosen == most);
}

std::string key_of(const std::string& assignment) {
  return assignment.substr(0, assignment.find('='));
}

Result<void> choose(Tuned& tuned) {
  const auto better = [](const Tried& a, const Tried& b) { // one that diverged is never better
    return a.bits.count > b.bits.count ||
           (a.bits.count == b.bits.count && a.bits.mean < b.bits.mean);
  };
  tuned.best =
      static_cast<std::size_t>(std::ranges::min_element(tuned.tried, better) - tuned.tried.begin());
  const Tried& best = tuned.tried[tuned.best];
  if (best.bits.count < best.by_seed.size()) {
    return Error{ErrorCode::kFailedPrecondition,
                 cat("no values of the grid gave ", tuned.name,
                     " a loss on gate text with every seed: all diverged, or clients have no gate "
                     "text")};
  }
  for (std::size_t key = 0; key < best.choice.set.size(); ++key) {
    if (is_at_edge(tuned.tried, tuned.best, key)) {
      tuned.at_edge.push_back(key_of(best.choice.set[key]));
    }
  }
  return {};
}

Json table_json(const Tuned& tuned) {
  Json table = Json::array();
  for (const Tried& tried : tuned.tried) {
    Json row{{"set", tried.choice.set},
             {"bits_per_byte", number_or_null(tried.bits.mean)},
             {"by_seed", Json::array()}};
    for (const double bits : tried.by_seed) row["by_seed"].push_back(number_or_null(bits));
    table.push_back(std::move(row));
  }
  return table;
}

TuningBudget budget_of(const Tuned& tuned) {
  TuningBudget budget{.values = tuned.tried.size(),
                      .seeds = tuned.tried.front().by_seed.size(),
                      .rounds = 0,
                      .tokens = 0};
  for (const Tried& tried : tuned.tried) {
    budget.rounds = std::max(budget.rounds, tried.rounds);
    budget.tokens += tried.tokens;
  }
  return budget;
}

// The winner's scenario, and beside it how it was chosen.
Result<Json> write_winner(Context& context, const SweepOptions& options, const fs::path& out,
                          Tuned& tuned) {
  const Tried& best = tuned.tried[tuned.best];
  std::vector<std::string> set = tuned.set;
  set.insert(set.end(), best.choice.set.begin(), best.choice.set.end());
  set.push_back(cat("name=", tuned.name));
  const LoadedScenario loaded =
      COPPICE_TRY(load_scenario(options.scenario, set, context.environment));
  std::vector<std::string> keys;
  for (const std::string& assignment : best.choice.set) keys.push_back(key_of(assignment));
  const TuningBudget budget = budget_of(tuned);
  tuned.file = out / cat(folder_name(tuned.name), ".toml");
  const std::string toml = COPPICE_TRY(scenario_copy(
      loaded, out,
      {cat("Chosen by 'coppice sim sweep' over ", tuning_text(budget), ","),
       cat("by ", kJudgedBy, ": ", fixed(best.bits.mean, 4), " with ", join(best.choice.set, ", "),
           "."),
       cat("The others' figures are in ", tuning_file(tuned.file).filename().string(), ".")}));
  Json seeds = Json::array();
  for (std::uint64_t i = 0; i < budget.seeds; ++i) seeds.push_back(kFirstSeed + i);
  Json chosen = Json::object();
  for (const auto& [name, value] : values_of(loaded.settings, keys)) chosen[name] = value;
  Json tuning{{"schema", kTuningSchema},   {"scenario", tuned.name},
              {"judged_by", kJudgedBy},    {"values", budget.values},
              {"seeds", std::move(seeds)}, {"rounds", budget.rounds},
              {"tokens", budget.tokens},   {"chosen", std::move(chosen)},
              {"at_edge", tuned.at_edge},  {"table", table_json(tuned)}};
  COPPICE_TRY(write_file_atomically(tuned.file, as_bytes(toml)));
  COPPICE_TRY(
      write_file_atomically(tuning_file(tuned.file), as_bytes(dump_json(tuning, 2) + "\n")));
  tuning.erase("schema");
  tuning["file"] = tuned.file.string();
  return tuning;
}

std::string sweep_csv(const std::vector<Tuned>& all) {
  CsvTable table;
  for (const Tuned& tuned : all) {
    for (std::size_t i = 0; i < tuned.tried.size(); ++i) {
      const Tried& tried = tuned.tried[i];
      table.cell("scenario", tuned.name);
      for (const std::string& assignment : tried.choice.set) {
        table.cell(key_of(assignment), assignment.substr(assignment.find('=') + 1));
      }
      table.cell("chosen", i == tuned.best);
      table.cell("mean", tried.bits.mean);
      table.cell("ci95_low", tried.bits.low());
      table.cell("ci95_high", tried.bits.high());
      for (std::size_t seed = 0; seed < tried.by_seed.size(); ++seed) {
        table.cell(cat("seed.", kFirstSeed + seed), tried.by_seed[seed]);
      }
      table.end_row();
    }
  }
  return std::move(table).take();
}

void print(Console& console, const Tuned& tuned) {
  ReportTable table{
      .caption = cat(tuned.name, ": ", kJudgedBy, ", lower is better"), .columns = {}, .rows = {}};
  for (const std::string& assignment : tuned.tried.front().choice.set) {
    table.columns.push_back({key_of(assignment)});
  }
  for (const char* title : {"bits per byte", "against the best"}) table.columns.push_back({title});
  const Tried& best = tuned.tried[tuned.best];
  for (const Tried& tried : tuned.tried) {
    std::vector<std::string> row;
    for (const std::string& assignment : tried.choice.set) {
      row.push_back(assignment.substr(assignment.find('=') + 1));
    }
    row.push_back(interval_text(MeasureUnit::kBits, tried.bits, tried.by_seed.size()));
    row.push_back(
        &tried == &best
            ? "best"
            : difference_text(MeasureUnit::kBits, paired_difference(tried.by_seed, best.by_seed)));
    table.rows.push_back(std::move(row));
  }
  print_table(console, table);
  for (const std::string& key : tuned.at_edge) {
    console.print(
        cat("The best ", key, " is at the edge of the grid: a better one may lie beyond."));
  }
}

Result<ExitCode> sweep(Context& context, const SweepOptions& options) {
  std::vector<Tuned> all = COPPICE_TRY(plan(context, options));
  const fs::path out =
      options.out.empty()
          ? fs::path("runs") /
                cat("sweep-", folder_name(fs::path(options.scenario).stem().string()))
          : fs::path(options.out);
  const auto played = play(context, options, out, all);
  if (!played.ok() && played.error().code == ErrorCode::kCancelled) {
    context.console.note("stopped; the same command goes on");
    return ExitCode::kInterrupted;
  }
  COPPICE_TRY(Result<void>(played));
  Json winners = Json::array();
  for (Tuned& tuned : all) {
    COPPICE_TRY(choose(tuned));
    winners.push_back(COPPICE_TRY(write_winner(context, options, out, tuned)));
  }
  const fs::path table = out / kSweepTable;
  COPPICE_TRY(write_file_atomically(table, as_bytes(sweep_csv(all))));
  std::string files;
  for (const Tuned& tuned : all) {
    print(context.console, tuned);
    files += " " + tuned.file.string();
  }
  context.console.print(cat("Wrote ", table.string(), " and", files));
  context.console.print(cat("Next: coppice sim compare", files));
  context.console.finish("coppice.sim_sweep.v1", Json{{"out", out.string()},
                                                      {"judged_by", kJudgedBy},
                                                      {"winners", std::move(winners)},
                                                      {"table", table.string()}});
  return ExitCode::kOk;
}

} // namespace

void add_sim_sweep_command(CommandOptions& parent, Context& context) {
  auto options = std::make_shared<SweepOptions>();
  CommandOptions command = new_command(
      parent, context,
      {.name = "sweep",
       .summary = "Choose a scenario's settings on gate text, with seeds of its own",
       .example = "coppice sim sweep examples/sim/quickstart.toml "
                  "--grid training.learning_rate=0.001,0.004,0.016\n"
                  "coppice sim sweep study.toml --vary round.weighted_by=examples,uniform \\\n"
                  "  --grid training.learning_rate=0.001,0.004 --grid training.max_steps=8,16"},
      [options](Context& at) { return sweep(at, *options); });
  command.add_option("SCENARIO", options->scenario, "TOML file").required().type_name("");
  command
      .add_option("--grid", options->grid,
                  "Values of a setting to choose from; several flags: every combination")
      .required()
      .allow_extra_args(false)
      .type_name("KEY=V1,V2");
  command
      .add_option("--vary", options->vary,
                  "Tune each of these by itself, so that they can be compared afterwards")
      .allow_extra_args(false)
      .type_name("KEY=V1,V2");
  command
      .add_option("--seeds", options->seeds,
                  "Each combination is played with seeds 1001 to 1000 + N, which nothing is "
                  "compared with")
      .check(in_range(1, 1000))
      .capture_default_str();
  command
      .add_option("--out", options->out,
                  "Folder of runs, tables and winners (default: runs/sweep-NAME); what ended in it "
                  "is not played again")
      .type_name("DIR");
  command.add_option("--set", options->set, "Any setting, in all runs: section.key=value")
      .allow_extra_args(false)
      .type_name("KEY=VALUE");
}

} // namespace coppice
