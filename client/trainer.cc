// SPDX-License-Identifier: Apache-2.0
#include "client/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/log.h"
#include "base/text.h"
#include "client/train_checkpoint.h"

namespace coppice {
namespace {

// Remembers the adapter that was best on gate text, and says when patience is over.
class EarlyStop {
 public:
  EarlyStop(std::uint32_t patience, double first, const Adapter& start)
      : patience_(patience), best_loss_(first), best_(start) {}

  void seen(double loss, const Adapter& adapter) {
    if (loss < best_loss_) {
      best_loss_ = loss;
      best_ = adapter;
      without_gain_ = 0;
    } else {
      without_gain_ += 1;
    }
  }
  bool over() const { return without_gain_ >= patience_; }
  double best_loss() const { return best_loss_; }
  const Adapter& best() const { return best_; }

  void save(TrainCheckpoint& checkpoint) const {
    checkpoint.best_loss = best_loss_;
    checkpoint.without_gain = without_gain_;
    checkpoint.best = best_.values();
  }
  void restore(const TrainCheckpoint& checkpoint) {
    best_loss_ = checkpoint.best_loss;
    without_gain_ = checkpoint.without_gain;
    std::ranges::copy(checkpoint.best, best_.values().begin());
  }

 private:
  std::uint32_t patience_;
  std::uint32_t without_gain_ = 0;
  double best_loss_;
  Adapter best_;
};

Result<double> gate_loss(Engine& engine, const std::vector<AdapterUse>& frozen,
                         const Adapter& adapter, const ExampleSet& examples) {
  std::vector<AdapterUse> uses = frozen;
  uses.push_back({&adapter, 1.0F});
  const auto scored = COPPICE_TRY(score_documents(engine, uses, examples.gate));
  if (scored.score.tokens == 0) return 0.0;
  return scored.score.nats / static_cast<double>(scored.score.tokens);
}

OptimizerSettings optimizer_of(const Recipe& recipe) {
  return {.kind = recipe.optimizer == LocalOptimizer::kSgd ? OptimizerKind::kSgd
                                                           : OptimizerKind::kAdamW,
          .momentum = recipe.momentum,
          .learning_rate = recipe.learning_rate,
          .weight_decay = recipe.weight_decay,
          .max_gradient_norm = recipe.max_gradient_norm,
          .proximal_mu = recipe.proximal_mu,
          .train_a = recipe.train_a,
          .train_b = recipe.train_b};
}

// A training, from its start or its checkpoint to its end.
class TrainingRun {
 public:
  TrainingRun(Engine& engine, const ExampleSet& examples, TrainRequest request)
      : engine_(engine),
        examples_(examples),
        request_(std::move(request)),
        recipe_(request_.recipe),
        batches_(examples.train, recipe_.window, recipe_.batch_tokens, request_.randomness),
        steps_(planned_steps(recipe_)),
        outcome_{.adapter = request_.start} {}
  Result<TrainOutcome> run();

 private:
  Result<void> begin();
  Result<bool> resume();
  Result<void> train();
  Result<void> step();
  Result<void> look_at_gate();
  Result<void> finish();
  bool spent() const;
  Result<void> save();
  void save_when_due();
  Error stopped(Error error);
  Millis elapsed() const { return elapsed_before_ + (request_.now() - started_); }

  Engine& engine_;
  const ExampleSet& examples_;
  const TrainRequest request_;
  const Recipe& recipe_;
  BatchStream batches_;
  const std::uint64_t steps_; // planned; 0: unknown
  TrainOutcome outcome_;
  std::unique_ptr<TrainSession> session_;
  std::optional<EarlyStop> early_stop_;
  BatchStream::Position next_;  // of the step after outcome_.steps
  std::uint64_t looked_at_ = 0; // the step after which gate text was scored last
  Millis elapsed_before_{0};    // in the runs before this one
  Millis started_{0};

  TrainIdentity identity_; // with a checkpoint, as the rest
  bool unsaved_ = false;   // something was done that the file doesn't hold
  std::uint64_t saved_steps_ = 0;
  Millis saved_at_{0};
};

Result<TrainOutcome> TrainingRun::run() {
  if (batches_.empty()) {
    return Error{ErrorCode::kFailedPrecondition, "there is no text to train on"};
  }
  const auto done = [&]() -> Result<void> {
    COPPICE_TRY(begin());
    COPPICE_TRY(train());
    return finish();
  }();
  if (!done.ok()) return stopped(done.error());
  return std::move(outcome_);
}

Result<void> TrainingRun::begin() {
  outcome_.examples = (batches_.tokens() + recipe_.window - 1) / recipe_.window;
  std::vector<TrainJob> jobs;
  jobs.push_back({request_.frozen, request_.start, optimizer_of(recipe_)});
  session_ = COPPICE_TRY(engine_.start_training(std::move(jobs)));
  const bool early = recipe_.early_stop_patience > 0 && !examples_.gate.empty();
  if (early) early_stop_.emplace(recipe_.early_stop_patience, 0.0, request_.start);
  if (!COPPICE_TRY(resume())) {
    outcome_.gate_before =
        COPPICE_TRY(gate_loss(engine_, request_.frozen, request_.start, examples_));
    if (early) {
      early_stop_.emplace(recipe_.early_stop_patience, outcome_.gate_before, request_.start);
    }
  }
  started_ = saved_at_ = request_.now();
  return {};
}

// Whether there was a checkpoint to go on from.
Result<bool> TrainingRun::resume() {
  if (!request_.checkpoint) return false;
  const fs::path& file = request_.checkpoint->file;
  identity_ = identity_of(engine_, examples_, request_, request_.checkpoint->base);
  const auto taken = [&]() -> Result<bool> {
    const auto loaded =
        COPPICE_TRY(read_checkpoint(file, identity_, request_.start.spec().parameters()));
    if (!loaded) return false;
    const TrainCheckpoint& from = loaded->checkpoint;
    if (from.best.empty() == early_stop_.has_value()) {
      return Error{ErrorCode::kCorrupt, cat(file.string(), ": its parts don't belong together")};
    }
    COPPICE_TRY(batches_.seek(from.position));
    COPPICE_TRY(session_->restore(0, from.state)); // the last that can fail
    if (early_stop_) early_stop_->restore(from);
    outcome_.steps = outcome_.resumed_at = saved_steps_ = from.state.steps;
    outcome_.tokens = from.tokens;
    outcome_.gate_before = from.gate_before;
    outcome_.loss_first = from.loss_first;
    outcome_.loss_last = from.loss_last;
    outcome_.seconds = from.seconds;
    next_ = from.position;
    looked_at_ = from.looked_at;
    elapsed_before_ = from.elapsed;
    return true;
  }();
  if (taken.ok() || !request_.checkpoint->discard_unfit) return taken;
  log::info("training starts anew: ", taken.error().message);
  COPPICE_TRY(batches_.seek({}));
  return false;
}

Result<void> TrainingRun::train() {
  for (;;) {
    COPPICE_TRY(look_at_gate());
    if ((early_stop_ && early_stop_->over()) || spent()) return {};
    COPPICE_TRY(step());
    save_when_due();
  }
}

bool TrainingRun::spent() const {
  if (steps_ > 0 && outcome_.steps >= steps_) return true;
  if (recipe_.max_tokens > 0 && outcome_.tokens >= recipe_.max_tokens) return true;
  const Millis limit{std::int64_t{recipe_.max_seconds} * 1000};
  if (limit.count > 0 && elapsed() >= limit) return true;
  return request_.deadline.count > 0 && request_.now() >= request_.deadline;
}

Result<void> TrainingRun::step() {
  if (request_.stop != nullptr && request_.stop->load()) return stopped_error();
  Batch batch = batches_.next();
  batch.learning_rate_factor = schedule_factor(recipe_, outcome_.steps, steps_);
  const Millis before = request_.now();
  const auto results = COPPICE_TRY(session_->step(std::span(&batch, 1)));
  outcome_.seconds += static_cast<double>((request_.now() - before).count) / 1000.0;
  const StepResult& result = results.at(0);
  if (!std::isfinite(result.loss)) {
    return Error{ErrorCode::kInternal, cat("the loss is not finite after ", outcome_.steps,
                                           " steps; lower the learning rate")};
  }
  if (outcome_.steps == 0) outcome_.loss_first = result.loss;
  outcome_.loss_last = result.loss;
  outcome_.steps += 1;
  outcome_.tokens += result.tokens;
  next_ = batches_.position();
  unsaved_ = true;
  if (request_.on_step) request_.on_step({outcome_.steps, steps_, outcome_.tokens, result.loss});
  return {};
}

// Before the next step, so that a training that was stopped here looks when it goes on.
Result<void> TrainingRun::look_at_gate() {
  const bool due = early_stop_ && recipe_.evaluate_every > 0 && outcome_.steps > looked_at_ &&
                   outcome_.steps % recipe_.evaluate_every == 0;
  if (!due) return {};
  const Adapter present = COPPICE_TRY(session_->adapter(0));
  early_stop_->seen(COPPICE_TRY(gate_loss(engine_, request_.frozen, present, examples_)), present);
  looked_at_ = outcome_.steps;
  unsaved_ = true;
  return {};
}

Result<void> TrainingRun::finish() {
  outcome_.adapter = COPPICE_TRY(session_->adapter(0));
  outcome_.gate_after =
      COPPICE_TRY(gate_loss(engine_, request_.frozen, outcome_.adapter, examples_));
  if (early_stop_ && early_stop_->best_loss() < outcome_.gate_after) {
    outcome_.adapter = early_stop_->best();
    outcome_.gate_after = early_stop_->best_loss();
  }
  return {};
}

Result<void> TrainingRun::save() {
  TrainCheckpoint checkpoint{.state = COPPICE_TRY(session_->state(0)),
                             .position = next_,
                             .tokens = outcome_.tokens,
                             .looked_at = looked_at_,
                             .gate_before = outcome_.gate_before,
                             .loss_first = outcome_.loss_first,
                             .loss_last = outcome_.loss_last,
                             .seconds = outcome_.seconds,
                             .elapsed = elapsed(),
                             .best = {}};
  if (early_stop_) early_stop_->save(checkpoint);
  crash_point("client.training.before");
  COPPICE_TRY(write_checkpoint(request_.checkpoint->file, identity_, checkpoint));
  crash_point("client.training.after");
  saved_steps_ = outcome_.steps;
  unsaved_ = false;
  return {};
}

void TrainingRun::save_when_due() {
  if (!request_.checkpoint) return;
  const Checkpointing& wanted = *request_.checkpoint;
  const Millis now = request_.now();
  const bool by_steps =
      wanted.every_steps > 0 && outcome_.steps - saved_steps_ >= wanted.every_steps;
  const bool by_time = wanted.every.count > 0 && now - saved_at_ >= wanted.every;
  if (!by_steps && !by_time) return;
  const auto saved = save();
  // A full disk is no reason to lose the training itself.
  if (!saved.ok()) log::warning("the training's checkpoint: ", saved.error().message);
  saved_at_ = request_.now();
}

// Asked to stop: what is done goes to the checkpoint. The step under way changed nothing.
Error TrainingRun::stopped(Error error) {
  if (error.code != ErrorCode::kCancelled) return error;
  error.message = cat("training was stopped after ", outcome_.steps, " steps");
  if (!request_.checkpoint || outcome_.steps == 0) return error;
  if (unsaved_) {
    auto saved = save();
    if (!saved.ok()) return std::move(saved).error().with_context(error.message);
  }
  error.message += cat("; the same training goes on from ", request_.checkpoint->file.string());
  return error;
}

} // namespace

float schedule_factor(const Recipe& recipe, std::uint64_t step, std::uint64_t steps) {
  if (step < recipe.warmup_steps) {
    return static_cast<float>(step + 1) / static_cast<float>(recipe.warmup_steps);
  }
  if (recipe.schedule == Schedule::kConstant || steps <= recipe.warmup_steps) return 1.0F;
  const double progress = static_cast<double>(step - recipe.warmup_steps) /
                          static_cast<double>(steps - recipe.warmup_steps);
  return static_cast<float>(0.5 * (1.0 + std::cos(std::numbers::pi * std::min(progress, 1.0))));
}

Result<TrainOutcome> train_adapter(Engine& engine, const ExampleSet& examples,
                                   TrainRequest request) {
  std::optional<StopScope> stoppable;
  if (request.stop != nullptr) stoppable.emplace(engine, request.stop);
  return TrainingRun(engine, examples, std::move(request)).run();
}

} // namespace coppice
