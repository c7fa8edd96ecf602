// SPDX-License-Identifier: Apache-2.0
// Which adapters help on a device's own text, and an own one on top of the shared adapter.
//
// The gate scores base, shared and personal on gate text; the best serves. Figures for
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

enum class Served { kBase, kShared, kPersonal };
const char* served_name(Served served); // "base", "shared", "personal"

struct GateOutcome {
  Served served = Served::kBase;
  AdapterVersion version; // of the shared adapter that was judged
  double base = 0;        // nats a token on gate text
  double shared = 0;
  std::optional<double> personal; // none while there is no fresh one
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

// The adapters that serve where the personal one does: both, or it alone. They must outlive it.
std::vector<AdapterUse> personal_uses(PersonalMethod method, const Adapter& shared,
                                      const Adapter& personal);

// What is judged; must outlive the call.
struct Candidates {
  const Adapter& shared;
  const Adapter* personal = nullptr; // null: none
  PersonalMethod method = PersonalMethod::kDual;
};
// The caller fills in `version`.
Result<GateOutcome> judge_adapters(Engine& engine, const Candidates& candidates,
                                   const ExampleSet& examples);
Result<Report> report_adapters(Engine& engine, const Candidates& candidates,
                               const ExampleSet& examples);

// The training of a personal adapter from the shared one, which must outlive it: of its targets.
// Initial values and batches follow from `shared_hash` alone.
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
