// SPDX-License-Identifier: Apache-2.0
#include "client/client_training.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/text.h"
#include "protocol/learning_rates.h"

namespace coppice {
namespace {

double nats_per_token(const Score& score) {
  return score.tokens == 0 ? 0.0 : score.nats / static_cast<double>(score.tokens);
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
          .train_b = recipe.train_b,
          .trained_rank = recipe.trained_rank};
}

} // namespace

Result<void> EarlyStop::seen(double loss, const std::function<Result<Adapter>()>& adapter) {
  if (loss < best_loss_) {
    best_loss_ = loss;
    best_ = std::make_shared<const Adapter>(COPPICE_TRY(adapter()));
    without_gain_ = 0;
  } else {
    without_gain_ += 1;
  }
  return {};
}

void EarlyStop::save(TrainCheckpoint& checkpoint) const {
  checkpoint.best_loss = best_loss_;
  checkpoint.without_gain = without_gain_;
  checkpoint.best = best_->values();
}

void EarlyStop::restore(const TrainCheckpoint& checkpoint) {
  best_loss_ = checkpoint.best_loss;
  without_gain_ = checkpoint.without_gain;
  Adapter best(best_->shared_spec());
  std::ranges::copy(checkpoint.best, best.values().begin());
  best_ = std::make_shared<const Adapter>(std::move(best));
}

ClientTraining::ClientTraining(const ExampleSet& examples, TrainRequest request,
                               std::size_t context)
    : examples_(examples),
      request_(std::move(request)),
      recipe_(request_.recipe),
      gate_(scoring_windows(examples.gate, context)),
      batches_(examples.train, recipe_.window, recipe_.batch_tokens, request_.randomness),
      steps_(planned_steps(recipe_)) {}

TrainJob ClientTraining::job() const {
  return {request_.frozen, request_.start, optimizer_of(recipe_), request_.gradient_offset,
          request_.core};
}

Result<void> ClientTraining::join(const Engine& engine, TrainSession& session, std::size_t place) {
  session_ = &session;
  place_ = place;
  if (recipe_.early_stop_patience > 0 && !examples_.gate.empty()) {
    early_stop_.emplace(recipe_.early_stop_patience, request_.start);
  }
  if (!request_.checkpoint) return {};
  identity_ = identity_of(engine, examples_, request_, request_.checkpoint->base);
  const auto resumed = resume();
  if (resumed.ok() || !request_.checkpoint->discard_unfit) return resumed;
  log::info("training starts anew: ", resumed.error().message);
  return batches_.seek({});
}

// Where there is a checkpoint to go on from.
Result<void> ClientTraining::resume() {
  const auto loaded = COPPICE_TRY(
      read_checkpoint(request_.checkpoint->file, identity_, request_.start->spec().parameters()));
  if (!loaded) return {};
  const TrainCheckpoint& from = loaded->checkpoint;
  if (from.best.empty() == early_stop_.has_value()) {
    return Error{ErrorCode::kCorrupt,
                 cat(request_.checkpoint->file.string(), ": its parts don't belong together")};
  }
  COPPICE_TRY(batches_.seek(from.position));
  COPPICE_TRY(session_->restore(place_, from.state)); // the last that can fail
  if (early_stop_) early_stop_->restore(from);
  progress_ = {.gate_before = from.gate_before,
               .loss_first = from.loss_first,
               .loss_last = from.loss_last,
               .steps = from.state.steps,
               .tokens = from.tokens,
               .seconds = from.seconds,
               .resumed_at = from.state.steps};
  saved_steps_ = from.state.steps;
  next_ = from.position;
  looked_at_ = from.looked_at;
  elapsed_before_ = from.elapsed;
  is_new_ = false;
  return {};
}

void ClientTraining::begin(const Score& gate) {
  progress_.gate_before = nats_per_token(gate);
  if (early_stop_) early_stop_->begin(progress_.gate_before);
}

void ClientTraining::start_clock() { started_ = saved_at_ = request_.now(); }

bool ClientTraining::spent() const {
  if (steps_ > 0 && progress_.steps >= steps_) return true;
  if (recipe_.max_tokens > 0 && progress_.tokens >= recipe_.max_tokens) return true;
  const Millis limit{std::int64_t{recipe_.max_seconds} * 1000};
  if (limit.count > 0 && elapsed() >= limit) return true;
  return request_.deadline.count > 0 && request_.now() >= request_.deadline;
}

bool ClientTraining::over() const { return (early_stop_ && early_stop_->over()) || spent(); }

Batch ClientTraining::next() {
  Batch batch = batches_.next();
  batch.learning_rate_factor = schedule_factor(recipe_, progress_.steps, steps_);
  return batch;
}

Result<void> ClientTraining::stepped(const StepResult& result, Millis took) {
  progress_.seconds += static_cast<double>(took.count) / 1000.0;
  if (!std::isfinite(result.loss)) {
    return Error{ErrorCode::kFailedPrecondition,
                 cat("loss or gradient are no finite numbers any more after ", progress_.steps,
                     " steps; start again with a lower learning rate or with gradient clipping")};
  }
  if (progress_.steps == 0) progress_.loss_first = result.loss;
  progress_.loss_last = result.loss;
  progress_.steps += 1;
  progress_.tokens += result.tokens;
  next_ = batches_.position();
  unsaved_ = true;
  if (request_.on_step) {
    request_.on_step({progress_.steps, steps_, progress_.tokens, result.loss});
  }
  return {};
}

// Before the next step, so that a training that was stopped here looks when it goes on.
bool ClientTraining::looks_at_gate() const {
  return early_stop_ && recipe_.evaluate_every > 0 && progress_.steps > looked_at_ &&
         progress_.steps % recipe_.evaluate_every == 0;
}

Result<void> ClientTraining::saw_gate(const Score& gate) {
  COPPICE_TRY(
      early_stop_->seen(nats_per_token(gate), [this] { return session_->adapter(place_); }));
  looked_at_ = progress_.steps;
  unsaved_ = true;
  return {};
}

TrainOutcome ClientTraining::finish(const Score& gate, std::span<const float> values) const {
  TrainOutcome outcome{.adapter = Adapter(request_.start->shared_spec()),
                       .gate_before = progress_.gate_before,
                       .gate_after = nats_per_token(gate),
                       .loss_first = progress_.loss_first,
                       .loss_last = progress_.loss_last,
                       .steps = progress_.steps,
                       .tokens = progress_.tokens,
                       .examples = (batches_.tokens() + recipe_.window - 1) / recipe_.window,
                       .seconds = progress_.seconds,
                       .resumed_at = progress_.resumed_at};
  if (early_stop_ && early_stop_->best_loss() < outcome.gate_after) {
    outcome.adapter = early_stop_->best();
    outcome.gate_after = early_stop_->best_loss();
  } else {
    std::ranges::copy(values, outcome.adapter.values().begin());
  }
  return outcome;
}

Result<void> ClientTraining::save() {
  TrainCheckpoint checkpoint{.state = COPPICE_TRY(session_->state(place_)),
                             .position = next_,
                             .tokens = progress_.tokens,
                             .looked_at = looked_at_,
                             .gate_before = progress_.gate_before,
                             .loss_first = progress_.loss_first,
                             .loss_last = progress_.loss_last,
                             .seconds = progress_.seconds,
                             .elapsed = elapsed(),
                             .best = {}};
  if (early_stop_) early_stop_->save(checkpoint);
  crash_point("client.training.before");
  COPPICE_TRY(write_checkpoint(request_.checkpoint->file, identity_, checkpoint));
  crash_point("client.training.after");
  saved_steps_ = progress_.steps;
  unsaved_ = false;
  return {};
}

void ClientTraining::save_when_due() {
  if (!request_.checkpoint) return;
  const Checkpointing& wanted = *request_.checkpoint;
  const Millis now = request_.now();
  const bool by_steps =
      wanted.every_steps > 0 && progress_.steps - saved_steps_ >= wanted.every_steps;
  const bool by_time = wanted.every.count > 0 && now - saved_at_ >= wanted.every;
  if (!by_steps && !by_time) return;
  const auto saved = save();
  // A full disk is no reason to lose the training itself.
  if (!saved.ok()) log::warning("the training's checkpoint: ", saved.error().message);
  saved_at_ = request_.now();
}

// The step under way changed nothing.
Error ClientTraining::stopped(Error error) {
  if (error.code != ErrorCode::kCancelled) return error;
  error.message = cat("training was stopped after ", progress_.steps, " steps");
  if (!request_.checkpoint || progress_.steps == 0) return error;
  if (unsaved_) {
    auto saved = save();
    if (!saved.ok()) return std::move(saved).error().with_context(error.message);
  }
  error.message += cat("; the same training goes on from ", request_.checkpoint->file.string());
  return error;
}

} // namespace coppice
