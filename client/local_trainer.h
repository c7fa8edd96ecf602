// SPDX-License-Identifier: Apache-2.0
// A round's training on the device's own engine and text.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "client/kept_state.h"
#include "client/settings.h"
#include "client/trainer.h"

namespace coppice {

// Opened when work begins and kept until close(): an engine costs memory, text is read anew each
// time.
class Workshop {
 public:
  Workshop(EngineFactory factory, fs::path data, ExampleStoreLimits limits)
      : factory_(std::move(factory)), data_(std::move(data)), limits_(limits) {}
  Result<Engine*> engine();
  Result<ExampleSet> examples(const std::atomic<bool>* stop); // of load_examples()
  void close() { engine_.reset(); }

 private:
  EngineFactory factory_;
  fs::path data_;
  ExampleStoreLimits limits_;
  std::unique_ptr<Engine> engine_;
};

// One client's part in a round's training.
struct RoundMember {
  const ExampleSet* examples = nullptr; // must outlive the call
  std::uint64_t client_number = 0;      // keys the batches with the plan's seed and round
  Millis deadline{0};
  std::function<Millis()> now; // what the recipe's times and the deadline are measured on
  std::function<void(const TrainProgress&)> on_step{}; // may be empty
  std::uint32_t max_rank = 0; // trains the first so many of each target's ranks at most, and sends
                              // zeros for the others; 0: as the plan says
  // What it keeps between rounds: what it begins with, and after a training without error what
  // that made of it, but for the feedback, which RoundDelta has. Must outlive the call. Null: it
  // begins with nothing, and nothing is kept.
  KeptVectors* kept = nullptr;
  // Of RoundTrainer::Job.
  std::shared_ptr<const std::vector<float>> control{};
};
// Clients side by side on an open engine, from one plan and one release, with each one's own
// factors where it keeps them, or the cluster that suits its text best; see train_adapters().
std::vector<Result<RoundTrainer::RoundDelta>> train_rounds(
    Engine& engine, const RoundPlan& plan, const std::shared_ptr<const Adapter>& release,
    std::span<const RoundMember> members, const ForEachClient& for_each = {});

// Where a round's training is kept until the round is over for this device.
struct RoundCheckpoint {
  fs::path file; // empty: nowhere
  Millis every{0};
};

// `client_number` keys the batches with the plan's seed and round. What the device keeps between
// rounds is read from `kept` before a training and stored there before its delta is given away, but
// for the feedback, which is whoever's who encodes the delta; without a file such plans are refused
// (kFailedPrecondition). `max_rank` as of RoundMember. `workshop` and `clock` must outlive it.
std::unique_ptr<RoundTrainer> local_trainer(Workshop& workshop, const Clock& clock,
                                            std::uint64_t client_number,
                                            RoundCheckpoint checkpoint = {},
                                            std::optional<KeptFile> kept = {},
                                            std::uint32_t max_rank = 0);

} // namespace coppice
