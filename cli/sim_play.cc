// SPDX-License-Identifier: Apache-2.0
#include "cli/sim_play.h"

#include <optional>

#include "base/clock.h"
#include "base/text.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

Result<std::vector<ClientId>> parse_identities(const Json& hex) {
  std::vector<ClientId> identities;
  for (const Json& id : hex) {
    auto parsed = ClientId::parse_hex(id.get<std::string>(), "identity");
    if (!parsed.ok()) return std::move(parsed).error();
    identities.push_back(*parsed);
  }
  return identities;
}

// The bits would differ on another engine, level or version.
Result<void> check_same_program(const Json& begun, const Json& now) {
  for (const char* key : {"engine", "instruction_level", "program_version"}) {
    if (begun.value(key, "") == now.value(key, "")) continue;
    return Error{ErrorCode::kFailedPrecondition,
                 cat("the run was begun with ", key, " ", begun.value(key, ""), ", and this is ",
                     now.value(key, ""), ": the bits would differ; begin a new run")};
  }
  return {};
}

Result<void> check_ranks(Ranks& ranks, const LoadedScenario& loaded, const SimulationParts& parts) {
  if (ranks.place().size == 1) return {}; // the base need not be hashed for nobody
  RunIdentity identity{.configuration = COPPICE_TRY(Sha256::parse_hex(
                           loaded.manifest.value("scenario_sha256", ""), "the scenario's hash")),
                       .base = {},
                       .instruction_level = loaded.manifest.value("instruction_level", ""),
                       .program_version = std::string(program_version())};
  if (parts.base) identity.base = COPPICE_TRY(sha256_file(parts.base->path()));
  return check_same_run(ranks, identity);
}

} // namespace

Result<SimulationEnd> play_scenario(Console& console, Ranks& ranks, LoadedScenario loaded,
                                    const RunPlace& place) {
  SimulationParts parts = COPPICE_TRY(simulation_parts(loaded, ranks.place()));
  loaded.manifest["ranks"] = ranks.place().size;
  parts.identities = COPPICE_TRY(parse_identities(loaded.manifest["identities"]));
  COPPICE_TRY(check_ranks(ranks, loaded, parts));
  const bool first = ranks.place().rank == 0;
  std::optional<RunFolder> folder;
  if (first) {
    folder = COPPICE_TRY(place.resume ? RunFolder::open(place.folder)
                                      : RunFolder::create(place.folder, loaded.manifest));
    if (place.resume) COPPICE_TRY(check_same_program(folder->manifest(), loaded.manifest));
  }
  const std::uint64_t rounds = parts.scenario.rounds;
  auto simulation = COPPICE_TRY(Simulation::open(std::move(parts), ranks, std::move(folder)));
  const SystemClock clock;
  std::optional<Progress> progress;
  if (first) progress.emplace(console, ProgressText{place.label, "rounds"}, rounds, clock);
  return simulation->run(&interrupted(), [&](const RoundNews& news) {
    if (!progress) return;
    progress->update(
        news.round,
        news.loss_after > 0
            ? cat("loss ", fixed(news.loss_before, 3), " -> ", fixed(news.loss_after, 3))
            : cat(news.played.counted.size() + news.played.late_counted.size(), " counted"));
  });
}

} // namespace coppice
