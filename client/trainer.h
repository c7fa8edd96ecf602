// SPDX-License-Identifier: Apache-2.0
// Local training after a plan's recipe. Knows recipes, never strategies' names.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "client/example_store.h"
#include "model/engine.h"
#include "protocol/round_plan.h"

namespace coppice {

struct TrainProgress {
  std::uint64_t step = 0;
  std::uint64_t steps_max = 0; // 0: bounded by tokens or time
  std::uint64_t tokens = 0;
  double loss = 0; // of this step, nats a token
};

struct TrainOutcome {
  Adapter adapter;        // the trained one
  double gate_before = 0; // nats a token on gate text; what early stop looks at
  double gate_after = 0;
  double loss_first = 0; // of the first and the last step, on train text
  double loss_last = 0;
  std::uint64_t steps = 0;
  std::uint64_t tokens = 0;
  std::uint64_t examples = 0;   // training windows of the store
  double seconds = 0;           // of the optimizer's steps alone
  std::uint64_t resumed_at = 0; // the step that a checkpoint held; 0: none did
};

// Where a training is kept while it runs, so that it can go on after a stop or a kill.
struct Checkpointing {
  fs::path file;
  Sha256 base;                   // of the base model's file
  std::uint64_t every_steps = 0; // written after so many steps, 0: not by steps;
  Millis every{0};               // after so long, 0: not by time; and when it is stopped
  bool discard_unfit = false;    // a file that doesn't fit is no error: training starts anew
};

struct TrainRequest {
  Recipe recipe;
  RandomKey randomness;           // of the batches' order
  std::vector<AdapterUse> frozen; // below the trained one; must outlive the call
  std::shared_ptr<const Adapter> start;
  std::shared_ptr<const std::vector<float>> gradient_offset{}; // of TrainJob
  std::shared_ptr<const CoreBasis> core{};                     // likewise
  std::function<Millis()> now;             // monotonic; for max_seconds and the deadline
  Millis deadline{0};                      // 0: none
  const std::atomic<bool>* stop = nullptr; // looked at within steps too: see Engine::stop_when()
  std::function<void(const TrainProgress&)> on_step;
  std::optional<Checkpointing> checkpoint{};
};

// Goes on from the checkpoint where there is one, with the same bits as if it had never stopped;
// max_seconds counts the time that it ran. The file stays: forget_checkpoint() once the outcome is
// stored. kCancelled if stopped, after the steps so far are in the checkpoint; kInvalidArgument or
// kCorrupt for one that doesn't fit (client/train_checkpoint.h); kFailedPrecondition without
// training text, and if the loss stops being finite. With early stop the outcome is the adapter
// that was best on gate text.
Result<TrainOutcome> train_adapter(Engine& engine, const ExampleSet& examples,
                                   TrainRequest request);

// One of several clients that train side by side. `examples` must outlive the call.
struct TrainMember {
  const ExampleSet* examples = nullptr;
  TrainRequest request;
};
// How the work that each client needs by itself, on the CPU, is shared out: calls job(i) for each i
// below `count`, in any order and on any threads, and returns when all are done. Empty: one after
// another.
using ForEachClient =
    std::function<void(std::size_t count, const std::function<void(std::size_t)>& job)>;
// The same of K clients in one session of the engine, each after its own recipe, text, budget and
// early stop, with one `stop` for all: a step is one of each client that isn't at its end, and the
// others rest. What a client gets follows from the members and their order, never from time. An
// error of one client ends that client alone; the engine's is everybody's.
std::vector<Result<TrainOutcome>> train_adapters(Engine& engine, std::vector<TrainMember> members,
                                                 const ForEachClient& for_each = {});

// What a round needs of training: the agent's worker calls it, tests and benchmarks put others in
// its place.
class RoundTrainer {
 public:
  virtual ~RoundTrainer() = default;
  struct Job {
    RoundPlan plan;
    std::shared_ptr<const Adapter> start;
    Millis deadline;
    const std::atomic<bool>* stop = nullptr;
    // What the release carries for devices' corrections, in the order of Adapter::values(); null:
    // nothing.
    std::shared_ptr<const std::vector<float>> control{};
  };
  struct RoundDelta {
    std::vector<float> delta; // of what the recipe shares, in the order of the plan's delta slots
    double loss_before = 0;
    double loss_after = 0;
    std::uint64_t examples = 0;
    std::uint64_t steps = 0;
    // With a power q of the loss F before training: F^q + q F^(q-1) |delta|^2 / learning_rate, by
    // which q-FedAvg divides (Li et al. 2020, equation 6, over its L = 1 / learning_rate). AdamW's
    // learning rate says nothing of L: then F^q alone.
    double curvature = 0;
    std::optional<std::uint32_t> cluster{}; // that it is for, where the recipe has some
    // What earlier uploads lost, which is in `delta` already; of all of the adapter's values, or
    // empty: nothing.
    std::vector<float> feedback{};
  };
  virtual Result<RoundDelta> train(const Job& job) = 0;
};

// The same delta every time, without an engine: for measuring the protocol and for builds without
// one.
std::unique_ptr<RoundTrainer> constant_trainer(float value);

} // namespace coppice
