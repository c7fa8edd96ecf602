// SPDX-License-Identifier: Apache-2.0
// A simulation of some seconds: twelve invented people on the repository's own model, six a round.
#pragma once

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "formats/json.h"
#include "sim/simulation.h"

namespace coppice {

inline fs::path assets() { return fs::path(COPPICE_SOURCE_DIR) / "assets"; }

inline Scenario scenario_with(const std::vector<Override>& more) {
  std::vector<Override> set{
      {"rounds", "3", ""},
      {"model", "coppice-4m.q4_0.gguf", ""},
      {"lora.r", "2", ""},
      {"lora.target_modules", "q_proj,v_proj", ""},
      {"training.max_steps", "2", ""},
      {"training.batch_tokens", "64", ""},
      {"training.max_length", "64", ""},
      {"round.max_train_nodes", "6", ""},
      {"round.min_survivors", "3", ""},
      {"round.deadline", "10m", ""},
      {"population.devices", "12", ""},
      {"population.drop_while_training", "0.1", ""},
      {"data.bytes_each", "4kB", ""},
      {"report.every", "3", ""},
      {"report.clients", "1", ""},
      {"report.global_bytes", "2kB", ""},
      {"personal.max_steps", "1", ""},
  };
  set.insert(set.end(), more.begin(), more.end());
  const auto settings = Settings::load_text(scenario_keys(), "", "test.toml", {}, set);
  EXPECT_TRUE(settings.ok()) << settings.error().message;
  auto scenario = scenario_of(*settings);
  EXPECT_TRUE(scenario.ok()) << scenario.error().message;
  return std::move(scenario).value();
}

// Every worker's engine is of `open`.
inline SimulationParts parts_of(
    Scenario scenario,
    const std::function<Result<std::unique_ptr<Engine>>(std::shared_ptr<const BaseModel>)>& open) {
  SimulationParts parts{
      .scenario = std::move(scenario), .scenario_folder = assets(), .base = nullptr, .engine = {}};
  if (parts.scenario.model.empty()) return parts;
  parts.base = BaseModel::open(assets() / parts.scenario.model).value();
  parts.engine = [base = parts.base, open](unsigned) { return open(base); };
  return parts;
}

inline Ranks& alone() {
  static const std::unique_ptr<Ranks> ranks = single_rank();
  return *ranks;
}

struct Played {
  std::vector<Sha256> releases;
  Sha256 events;
};

inline Played play(const fs::path& out, SimulationParts parts) {
  auto folder = RunFolder::create(out, Json::object());
  EXPECT_TRUE(folder.ok()) << folder.error().message;
  auto simulation = Simulation::open(std::move(parts), alone(), std::move(folder).value());
  EXPECT_TRUE(simulation.ok()) << simulation.error().message;
  const auto end = (*simulation)->run(nullptr, {});
  EXPECT_TRUE(end.ok()) << end.error().message;
  return {end->releases, sha256_file(out / kEventsFile).value()};
}

// Stopped after each round and opened again, by an object that knows only the folder.
inline std::vector<Sha256> play_in_parts(const fs::path& out,
                                         const std::function<SimulationParts()>& make,
                                         const std::function<void()>& between = {}) {
  { auto made = RunFolder::create(out, Json::object()); }
  for (int part = 0; part < 10; ++part) {
    if (part > 0 && between) between();
    auto opened = RunFolder::open(out);
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    auto simulation = Simulation::open(make(), alone(), std::move(opened).value()).value();
    std::atomic<bool> stop{false};
    const auto end = simulation->run(&stop, [&](const RoundNews&) { stop = true; });
    if (end.ok()) return end->releases;
    EXPECT_EQ(end.error().code, ErrorCode::kCancelled);
  }
  return {};
}

} // namespace coppice
