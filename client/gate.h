// SPDX-License-Identifier: Apache-2.0
// Which adapters help on a device's own text, and an own one on top of the shared adapter.
//
// The gate scores base, shared, and shared + personal on gate text; the best serves. Figures for
// people come from report text, and nothing selects on them. Functions of engine, adapters and
// text, without disk: client/serving.h keeps their results, the simulator its own. For one thread
// at a time per engine.
#pragma once

#include <atomic>
#include <functional>
#include <optional>

#include "client/settings.h"
#include "client/trainer.h"

namespace coppice {

enum class Served { kBase, kShared, kSharedAndPersonal };
const char* served_name(Served served); // "base", "shared", "shared + personal"

struct GateOutcome {
  Served served = Served::kBase;
  AdapterVersion version; // of the shared adapter that was judged
  double base = 0;        // nats a token on gate text
  double shared = 0;
  std::optional<double> personal; // shared + personal; none while there is no fresh one
  bool release_kept() const { return served != Served::kBase; }
};

// Bits a byte on report text.
struct Report {
  AdapterVersion version;
  double base = 0;
  double shared = 0;
  std::optional<double> personal;
  std::uint64_t bytes = 0;
};

// `personal` may be null. The caller fills in `version`.
Result<GateOutcome> judge_adapters(Engine& engine, const Adapter& shared, const Adapter* personal,
                                   const ExampleSet& examples);
Result<Report> report_adapters(Engine& engine, const Adapter& shared, const Adapter* personal,
                               const ExampleSet& examples);

// What a personal adapter trains on top of the shared one, which must outlive it: of its targets,
// with the settings' rank. Initial values and batches follow from `shared_hash` alone.
Result<TrainRequest> personal_training(const Adapter& shared, const Sha256& shared_hash,
                                       const PersonalSettings& settings,
                                       std::function<Millis()> now);
// Trains it; errors as train_adapter().
Result<TrainOutcome> train_personal_adapter(Engine& engine, const Adapter& shared,
                                            const Sha256& shared_hash,
                                            const PersonalSettings& settings,
                                            const ExampleSet& examples, std::function<Millis()> now,
                                            const std::atomic<bool>* stop,
                                            std::optional<Checkpointing> checkpoint = {});

} // namespace coppice
