// SPDX-License-Identifier: Apache-2.0
#include "cli/sim_study.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "base/text.h"
#include "cli/sim_play.h"
#include "cli/sim_report_files.h"
#include "sim/run_log.h"

namespace coppice {
namespace {

// One run of a study, and what there is of it.
struct StudyRun {
  LoadedScenario loaded;
  fs::path folder;
  std::string label;
  bool begun = false;
  std::optional<RunRecord> ended;
};

using Rows = std::map<std::string, std::string>;

Rows rows_of(const Json& manifest) {
  Rows rows;
  const auto settings = json_array(manifest, "scenario");
  if (!settings.ok()) return rows;
  for (const Json& row : **settings) {
    rows[row.value("name", "")] = row.value("value", "");
  }
  return rows;
}

std::vector<std::string> differing_names(const Rows& a, const Rows& b) {
  std::vector<std::string> names;
  for (const auto& [name, value] : b) {
    const auto found = a.find(name);
    if (found != a.end() && found->second != value) names.push_back(name);
  }
  return names;
}

// What decides who the clients are and what they are evaluated on. Paths may be written otherwise
// in another folder: the texts' hashes are compared once runs have begun.
bool decides_texts(const std::string& name) {
  if (name == "data.path" || name == "data.sha256") return false;
  static const std::set<std::string> kOthers{"population.devices", "report.global_bytes",
                                             "report.clients", "report.answers"};
  return name.starts_with("data.") || kOthers.contains(name);
}

Result<void> check_texts(const StudyRun& first, const StudyRun& other) {
  std::vector<std::string> differing =
      differing_names(rows_of(first.loaded.manifest), rows_of(other.loaded.manifest));
  std::erase_if(differing, [](const std::string& name) { return !decides_texts(name); });
  if (differing.empty()) return {};
  return Error{ErrorCode::kInvalidArgument,
               cat(other.label, " and ", first.label, " differ in ", join(differing, ", "),
                   ": their clients would have different texts, and a difference of their figures "
                   "would say nothing; put such runs side by side with 'coppice sim report'")};
}

// A run in the folder must be of these settings.
Result<void> look_at(StudyRun& run) {
  std::error_code code;
  if (!fs::exists(run.folder / kManifestFile, code)) return {};
  const Json manifest = COPPICE_TRY(RunFolder::read_manifest(run.folder));
  if (manifest.value("scenario_sha256", "") != run.loaded.manifest.value("scenario_sha256", "")) {
    const auto names = differing_names(rows_of(manifest), rows_of(run.loaded.manifest));
    return Error{ErrorCode::kFailedPrecondition,
                 cat("the run in ", run.folder.string(), " was begun with other settings (",
                     join(names, ", "), "); give --out another folder, or remove that one")};
  }
  run.begun = true;
  if (!fs::exists(run.folder / kEventsFile, code)) return {};
  RunRecord record = COPPICE_TRY(read_run(run.folder));
  if (record.ended) run.ended = std::move(record);
  return {};
}

Result<StudyRun> load_run(Context& context, const Study& study, const StudyScenario& scenario,
                          std::uint64_t seed) {
  std::vector<std::string> set = scenario.set;
  set.push_back(cat("seed=", seed));
  set.push_back(cat("training.seed=", seed));
  StudyRun run{.loaded = COPPICE_TRY(load_scenario(scenario.file, set, context.environment)),
               .folder = study.out / scenario.folder / cat("seed-", seed),
               .label = cat(scenario.name, ", seed ", seed),
               .ended = {}};
  COPPICE_TRY(look_at(run));
  return run;
}

// Versions may differ in any bit, so a study has one.
Result<void> check_versions(const std::vector<StudyRun>& runs) {
  const bool done =
      std::ranges::all_of(runs, [](const StudyRun& run) { return run.ended.has_value(); });
  for (const StudyRun& run : runs) {
    if (done || !run.ended || run.ended->manifest.program_version == program_version()) continue;
    return Error{ErrorCode::kFailedPrecondition,
                 cat("the run in ", run.folder.string(), " was played by version ",
                     run.ended->manifest.program_version, ", and this is ", program_version(),
                     ": give --out another folder")};
  }
  return {};
}

// The page and tables that `sim run` leaves too.
Result<RunRecord> reported(const fs::path& folder) {
  std::vector<RunRecord> runs;
  runs.push_back(COPPICE_TRY(read_run(folder)));
  COPPICE_TRY(write_report_files({.out = {}, .csv = true, .tensorboard = true}, runs));
  return std::move(runs.front());
}

Result<RunRecord> play(Console& console, Ranks& ranks, StudyRun run, std::string progress) {
  std::error_code code;
  if (run.ended && fs::exists(run.folder / kReportFile, code)) return std::move(*run.ended);
  if (!run.ended) {
    const RunPlace place{
        .folder = run.folder, .resume = run.begun, .label = cat(run.label, " ", progress)};
    COPPICE_TRY(play_scenario(console, ranks, std::move(run.loaded), place));
  }
  return reported(run.folder);
}

Result<std::vector<StudyRun>> load_runs(Context& context, const Study& study) {
  std::vector<StudyRun> runs; // by seed, and in it by scenario
  for (std::uint64_t i = 0; i < study.seeds; ++i) {
    for (const StudyScenario& scenario : study.scenarios) {
      runs.push_back(COPPICE_TRY(load_run(context, study, scenario, study.first_seed + i)));
      const bool trains = runs.back().loaded.scenario.training == TrainingKind::kLora;
      if (trains) COPPICE_TRY(check_texts(runs[i * study.scenarios.size()], runs.back()));
    }
  }
  COPPICE_TRY(check_versions(runs));
  return runs;
}

} // namespace

std::string folder_name(const std::string& name) {
  std::string made;
  for (const char letter : name) {
    const bool kept = std::isalnum(static_cast<unsigned char>(letter)) != 0 ||
                      std::string_view("._=+-").find(letter) != std::string_view::npos;
    made += kept ? letter : '-';
  }
  return made.empty() || made.front() == '.' ? cat("scenario", made) : made;
}

Result<std::vector<ComparedScenario>> play_study(Context& context, const Study& study) {
  const auto ranks = COPPICE_TRY(open_ranks());
  if (ranks->place().size > 1) {
    return Error{ErrorCode::kInvalidArgument,
                 "a study's runs are played by one process; several processes share one run of "
                 "'coppice sim run', and the study takes what lies in its folders"};
  }
  std::vector<StudyRun> runs = COPPICE_TRY(load_runs(context, study));
  const auto ended =
      std::ranges::count_if(runs, [](const StudyRun& run) { return run.ended.has_value(); });
  if (ended > 0) {
    context.console.note(cat(ended, " of ", runs.size(),
                             " runs ended before, and are taken as they "
                             "are"));
  }
  std::vector<ComparedScenario> played;
  for (const StudyScenario& scenario : study.scenarios) played.push_back({scenario.name, {}});
  for (std::size_t i = 0; i < runs.size(); ++i) {
    ComparedScenario& scenario = played[i % played.size()];
    scenario.runs.push_back(COPPICE_TRY(play(context.console, *ranks, std::move(runs[i]),
                                             cat("(run ", i + 1, " of ", runs.size(), ")"))));
    if (i % played.size() + 1 == played.size()) { // a seed's last: its pairs are whole
      const std::size_t seeds = scenario.runs.size();
      COPPICE_CHECK(std::ranges::all_of(
          played, [seeds](const ComparedScenario& each) { return each.runs.size() == seeds; }));
      COPPICE_TRY(check_comparable(played));
    }
  }
  return played;
}

} // namespace coppice
