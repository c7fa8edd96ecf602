// SPDX-License-Identifier: Apache-2.0
#include "cli/sim_scenario.h"

#include <time.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <thread>

#include "base/text.h"
#include "cli/engine_choice.h"
#include "config/overrides.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxScenarioBytes = std::size_t{1} << 20U;
// A base of a hundred million parameters: of larger ones a step is long enough to pack it.
constexpr std::uint64_t kKeptWeights = std::uint64_t{512} << 20U;

struct ScenarioSource {
  std::string text; // of the file
  std::string file;
  std::vector<std::string> set;
  Environment environment;
};

// "2026-05-04 07:30:12 UTC"
std::string utc_now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t length =
      std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return {text.data(), length};
}

// Of the environment's variables those that set something here.
Environment relevant(const Environment& environment) {
  Environment kept;
  for (const KeySpec& key : scenario_keys()) {
    const auto found = environment.find(environment_name(key));
    if (found != environment.end()) kept.insert(*found);
  }
  return kept;
}

Result<LoadedScenario> load(const ScenarioSource& source) {
  const auto overrides = COPPICE_TRY(parse_overrides(source.set));
  const Settings settings = COPPICE_TRY(Settings::load_text(
      scenario_keys(), source.text, source.file, source.environment, overrides));
  LoadedScenario loaded{.settings = settings,
                        .scenario = COPPICE_TRY(scenario_of(settings)),
                        .folder = fs::path(source.file).parent_path(),
                        .manifest = {}};
  Json rows = Json::array();
  std::string decisive; // all that results follow from
  for (const Settings::Row& row : settings.show_origin()) {
    rows.push_back({{"name", row.name}, {"value", row.value}, {"origin", row.origin}});
    const bool decides = row.name != "workers" && row.name != "name" && row.name != "device";
    if (decides) decisive += cat(row.name, "=", row.value, "\n");
  }
  loaded.manifest = {{"schema", "coppice.sim_manifest.v1"},
                     {"name", loaded.scenario.name},
                     {"seed", loaded.scenario.seed},
                     {"scenario", std::move(rows)},
                     {"scenario_sha256", sha256(as_bytes(decisive)).hex()},
                     {"scenario_file", source.file},
                     {"scenario_text", source.text},
                     {"set", source.set},
                     {"environment", source.environment},
                     {"identities", Json::array()},
                     {"program_version", program_version()}};
  Json only = Json::array();
  if (loaded.scenario.noise_cohort > 0) {
    only.push_back(cat("privacy.noise_cohort = ", loaded.scenario.noise_cohort,
                       ": the noise is that of a larger cohort than trained"));
  }
  const AttackSettings& attack = loaded.scenario.attack;
  if (attack.kind != AttackKind::kNone) {
    only.push_back(cat("attack.kind = ", attack_name(attack.kind), ": about ",
                       fixed(100 * attack.fraction, 0), " % of the devices are hostile"));
  }
  loaded.manifest["simulation_only"] = std::move(only);
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  loaded.manifest["workers"] = loaded.scenario.workers > 0 ? loaded.scenario.workers : cores;
  loaded.manifest["host"] = cat(cores, " cores");
  loaded.manifest["started"] = utc_now();
  return loaded;
}

// Those of this process: of several ranks each has one, by its number on its host.
std::vector<std::string> devices_of(const Scenario& scenario, const RankPlace& place) {
  const std::vector<std::string>& named = scenario.devices;
  if (named.front() == "cuda") return {cat("cuda:", place.local_rank)};
  if (place.size == 1) return named;
  return {named[place.local_rank % named.size()]};
}

} // namespace

Result<LoadedScenario> load_scenario(const fs::path& file, const std::vector<std::string>& set,
                                     const Environment& environment) {
  const Bytes raw = COPPICE_TRY(read_file(file, kMaxScenarioBytes));
  return scenario_of_text(std::string(as_text(raw)), file, set, environment);
}

Result<LoadedScenario> scenario_of_text(std::string text, const fs::path& file,
                                        const std::vector<std::string>& set,
                                        const Environment& environment) {
  return load({.text = std::move(text),
               .file = fs::absolute(file).lexically_normal().string(),
               .set = set,
               .environment = relevant(environment)});
}

Result<LoadedScenario> reload_scenario(const Json& manifest) {
  ScenarioSource source;
  source.text = COPPICE_TRY(json_string(manifest, "scenario_text"));
  source.file = COPPICE_TRY(json_string(manifest, "scenario_file"));
  source.set = COPPICE_TRY(json_string_array(manifest, "set"));
  const Json& environment = *COPPICE_TRY(json_object(manifest, "environment"));
  for (const auto& [name, value] : environment.items()) {
    source.environment[name] = COPPICE_TRY(json_string(environment, name));
  }
  return load(source);
}

Result<SimulationParts> simulation_parts(LoadedScenario& loaded, const RankPlace& place) {
  const Scenario& scenario = loaded.scenario;
  SimulationParts parts{
      .scenario = scenario, .scenario_folder = loaded.folder, .base = nullptr, .engine = {}};
  if (scenario.model.empty()) return parts;
  parts.base = COPPICE_TRY(BaseModel::open(loaded.folder / scenario.model));
  if (scenario.training == TrainingKind::kNone) return parts;
  const std::vector<std::string> devices = devices_of(scenario, place);
  const bool on_cpu = devices.front() == "cpu";
  if (!on_cpu && scenario.workers == 0) {
    parts.scenario.workers = static_cast<unsigned>(devices.size());
    loaded.manifest["workers"] = devices.size();
  }
  const auto open = [base = parts.base, engine = scenario.engine, devices,
                     options = EngineOptions{.threads = 1,
                                             .activation_bytes = scenario.memory,
                                             .precision = scenario.precision}](
                        unsigned worker, std::uint64_t kept_weight_bytes) {
    EngineOptions own = options;
    own.device = devices[worker % devices.size()];
    own.kept_weight_bytes = kept_weight_bytes;
    return open_engine(engine, base, own);
  };
  parts.engine = [open](unsigned worker) { return open(worker, kKeptWeights); };
  const auto probe = COPPICE_TRY(open(0, 0)); // it computes nothing, and packs nothing for that
  const EngineInfo info = probe->info();
  parts.packs = info.packs;
  loaded.manifest["engine"] = info.name;
  loaded.manifest["device"] = join(devices, ",");
  loaded.manifest["instruction_level"] = info.instruction_level;
  return parts;
}

} // namespace coppice
