// SPDX-License-Identifier: Apache-2.0
#include "cli/sim_tuning.h"

#include <algorithm>

#include "base/text.h"
#include "config/settings_copy.h"

namespace coppice {
namespace {

constexpr std::size_t kMostTuningBytes = std::size_t{16} << 20U;

} // namespace

fs::path tuning_file(const fs::path& scenario_file) {
  fs::path path = scenario_file;
  return path.replace_extension(".sweep.json");
}

Result<std::optional<TuningBudget>> read_tuning(const fs::path& scenario_file,
                                                const LoadedScenario& loaded,
                                                std::string& why_not) {
  const fs::path path = tuning_file(scenario_file);
  std::error_code code;
  if (!fs::exists(path, code)) return std::optional<TuningBudget>{};
  const Json tuning = COPPICE_TRY(parse_json(COPPICE_TRY(read_file(path, kMostTuningBytes))));
  if (COPPICE_TRY(json_string(tuning, "schema")) != kTuningSchema) {
    return Error{ErrorCode::kUnsupported, cat(path.string(),
                                              " is of another version of the "
                                              "program; sweep the scenario again")};
  }
  const Json& chosen = *COPPICE_TRY(json_object(tuning, "chosen"));
  for (const auto& [name, _] : chosen.items()) {
    const std::string value = COPPICE_TRY(json_string(chosen, name, "chosen"));
    const auto now = values_of(loaded.settings, {name});
    if (now.contains(name) && now.at(name) == value) continue;
    why_not = cat(path.string(), " chose ", name, " = ", value,
                  ", which the scenario doesn't have: "
                  "it counts as not tuned");
    return std::optional<TuningBudget>{};
  }
  TuningBudget budget;
  budget.values = COPPICE_TRY(json_uint(tuning, "values"));
  budget.seeds = COPPICE_TRY(json_array(tuning, "seeds"))->size();
  budget.rounds = COPPICE_TRY(json_uint(tuning, "rounds"));
  budget.tokens = COPPICE_TRY(json_uint(tuning, "tokens"));
  return std::optional<TuningBudget>{budget};
}

std::map<std::string, std::string> values_of(const Settings& settings,
                                             const std::vector<std::string>& names) {
  std::map<std::string, std::string> values;
  for (const Settings::Row& row : settings.show_origin()) {
    if (std::ranges::find(names, row.name) != names.end()) values[row.name] = row.value;
  }
  return values;
}

Result<std::string> scenario_copy(const LoadedScenario& loaded, const fs::path& folder,
                                  const std::vector<std::string>& comments) {
  const fs::path from = fs::absolute(folder / "").lexically_normal();
  std::map<std::string, std::string> replaced;
  for (const std::string_view key : scenario_path_keys()) {
    const fs::path path = loaded.settings.get_string(key);
    if (path.empty() || path.is_absolute()) continue;
    replaced[std::string(key)] =
        (loaded.folder / path).lexically_normal().lexically_relative(from).string();
  }
  std::string text;
  for (const std::string& line : comments) text += cat("# ", line, "\n");
  return text + COPPICE_TRY(copy_settings(loaded.settings, replaced));
}

} // namespace coppice
