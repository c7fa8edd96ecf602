// SPDX-License-Identifier: Apache-2.0
// One client's training beside others': what it trains on next, when it ends, what it keeps.
//
// Holds every rule of a recipe (schedule, budgets, early stop) and the checkpoint; who computes
// calls it between the steps of a session (client/trainer.cc). For one thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "client/train_checkpoint.h"
#include "client/trainer.h"

namespace coppice {

// Remembers the adapter that was best on gate text, and says when patience is over.
class EarlyStop {
 public:
  EarlyStop(std::uint32_t patience, std::shared_ptr<const Adapter> start)
      : patience_(patience), best_(std::move(start)) {}

  void begin(double loss) { best_loss_ = loss; }
  // `adapter` is called where the loss is the best so far.
  Result<void> seen(double loss, const std::function<Result<Adapter>()>& adapter);
  bool over() const { return without_gain_ >= patience_; }
  double best_loss() const { return best_loss_; }
  const Adapter& best() const { return *best_; }

  void save(TrainCheckpoint& checkpoint) const;
  void restore(const TrainCheckpoint& checkpoint);

 private:
  std::uint32_t patience_;
  std::uint32_t without_gain_ = 0;
  double best_loss_ = 0;
  std::shared_ptr<const Adapter> best_;
};

class ClientTraining {
 public:
  // `examples` must outlive it. `context` is the base's.
  ClientTraining(const ExampleSet& examples, TrainRequest request, std::size_t context);

  const TrainRequest& request() const { return request_; }
  bool has_text() const { return !batches_.empty(); }
  TrainJob job() const;
  const std::vector<Sequence>& gate() const { return gate_; } // text to score

  // Takes part in the session as its client `place`, and goes on from the checkpoint where there is
  // one. Errors of train_adapter().
  Result<void> join(const Engine& engine, TrainSession& session, std::size_t place);
  // Then, where it begins anew, with the start's score on gate text.
  bool is_new() const { return is_new_; }
  void begin(const Score& gate);
  void start_clock();

  // Before each step: whether gate text is to be scored first, and its score.
  bool looks_at_gate() const;
  Result<void> saw_gate(const Score& gate);
  bool over() const; // no further step
  Batch next();      // of the step that follows
  // kFailedPrecondition for a loss that is no finite number.
  Result<void> stepped(const StepResult& result, Millis took);
  void save_when_due();

  // After the last step, with the score of its adapter, and its values.
  TrainOutcome finish(const Score& gate, std::span<const float> values) const;
  // What is returned for `error`. Asked to stop: what is done goes to the checkpoint.
  Error stopped(Error error);

 private:
  Result<void> resume();
  bool spent() const;
  Result<void> save();
  Millis elapsed() const { return elapsed_before_ + (request_.now() - started_); }

  const ExampleSet& examples_;
  const TrainRequest request_;
  const Recipe& recipe_;
  std::vector<Sequence> gate_;
  BatchStream batches_;
  const std::uint64_t steps_; // planned; 0: unknown
  struct Progress {           // a part of TrainOutcome
    double gate_before = 0;
    double loss_first = 0;
    double loss_last = 0;
    std::uint64_t steps = 0;
    std::uint64_t tokens = 0;
    double seconds = 0;
    std::uint64_t resumed_at = 0;
  };
  Progress progress_;
  bool is_new_ = true;
  TrainSession* session_ = nullptr;
  std::size_t place_ = 0; // in it
  std::optional<EarlyStop> early_stop_;
  BatchStream::Position next_;  // of the step after progress_.steps
  std::uint64_t looked_at_ = 0; // the step after which gate text was scored last
  Millis elapsed_before_{0};    // in the runs before this one
  Millis started_{0};

  TrainIdentity identity_; // with a checkpoint, as the rest
  bool unsaved_ = false;   // something was done that the file doesn't hold
  std::uint64_t saved_steps_ = 0;
  Millis saved_at_{0};
};

} // namespace coppice
