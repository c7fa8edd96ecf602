// SPDX-License-Identifier: Apache-2.0
#include "client/trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/text.h"

namespace coppice {
namespace {

// Remembers the adapter that was best on gate text, and says when patience is over.
class EarlyStop {
 public:
  EarlyStop(std::uint32_t patience, double first, const Adapter& start)
      : patience_(patience), best_loss_(first), best_(start) {}

  // True: stop now.
  bool seen(double loss, const Adapter& adapter) {
    if (loss < best_loss_) {
      best_loss_ = loss;
      best_ = adapter;
      without_gain_ = 0;
      return false;
    }
    without_gain_ += 1;
    return without_gain_ >= patience_;
  }
  double best_loss() const { return best_loss_; }
  const Adapter& best() const { return best_; }

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
  return {.learning_rate = recipe.learning_rate,
          .weight_decay = recipe.weight_decay,
          .max_gradient_norm = recipe.max_gradient_norm,
          .proximal_mu = recipe.proximal_mu,
          .train_a = recipe.train_a,
          .train_b = recipe.train_b};
}

class Budget {
 public:
  Budget(const TrainRequest& request, std::uint64_t steps)
      : request_(request), steps_(steps), started_(request.now()) {}
  bool spent(const TrainOutcome& outcome) const {
    if (steps_ > 0 && outcome.steps >= steps_) return true;
    if (request_.recipe.max_tokens > 0 && outcome.tokens >= request_.recipe.max_tokens) return true;
    const Millis now = request_.now();
    const Millis limit{std::int64_t{request_.recipe.max_seconds} * 1000};
    if (limit.count > 0 && now - started_ >= limit) return true;
    return request_.deadline.count > 0 && now >= request_.deadline;
  }

 private:
  const TrainRequest& request_;
  std::uint64_t steps_;
  Millis started_;
};

} // namespace

std::uint64_t planned_steps(const Recipe& recipe) {
  if (recipe.max_steps > 0) return recipe.max_steps;
  if (recipe.max_tokens == 0 || recipe.batch_tokens == 0) return 0;
  return std::max<std::uint64_t>(1, recipe.max_tokens / recipe.batch_tokens);
}

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
  const Recipe& recipe = request.recipe;
  BatchStream batches(examples.train, recipe.window, recipe.batch_tokens, request.randomness);
  if (batches.empty()) {
    return Error{ErrorCode::kFailedPrecondition, "there is no text to train on"};
  }
  TrainOutcome outcome{.adapter = request.start};
  outcome.gate_before = COPPICE_TRY(gate_loss(engine, request.frozen, request.start, examples));
  outcome.examples = (batches.tokens() + recipe.window - 1) / recipe.window;
  const std::uint64_t steps = planned_steps(recipe);
  const Budget budget(request, steps);
  const bool early = recipe.early_stop_patience > 0 && !examples.gate.empty();
  EarlyStop early_stop(recipe.early_stop_patience, outcome.gate_before, request.start);
  std::vector<TrainJob> jobs;
  jobs.push_back({request.frozen, request.start, optimizer_of(recipe)});
  const auto session = COPPICE_TRY(engine.start_training(std::move(jobs)));
  while (!budget.spent(outcome)) {
    if (request.stop != nullptr && request.stop->load()) {
      return Error{ErrorCode::kCancelled, "training was stopped"};
    }
    Batch batch = batches.next();
    batch.learning_rate_factor = schedule_factor(recipe, outcome.steps, steps);
    const Millis before = request.now();
    const auto results = COPPICE_TRY(session->step(std::span(&batch, 1)));
    outcome.seconds += static_cast<double>((request.now() - before).count) / 1000.0;
    const StepResult& result = results.at(0);
    if (!std::isfinite(result.loss)) {
      return Error{ErrorCode::kInternal, cat("the loss is not finite after ", outcome.steps,
                                             " steps; lower the learning rate")};
    }
    if (outcome.steps == 0) outcome.loss_first = result.loss;
    outcome.loss_last = result.loss;
    outcome.steps += 1;
    outcome.tokens += result.tokens;
    if (request.on_step) request.on_step({outcome.steps, steps, outcome.tokens, result.loss});
    if (early && recipe.evaluate_every > 0 && outcome.steps % recipe.evaluate_every == 0) {
      const Adapter present = COPPICE_TRY(session->adapter(0));
      const double loss = COPPICE_TRY(gate_loss(engine, request.frozen, present, examples));
      if (early_stop.seen(loss, present)) break;
    }
  }
  outcome.adapter = COPPICE_TRY(session->adapter(0));
  outcome.gate_after = COPPICE_TRY(gate_loss(engine, request.frozen, outcome.adapter, examples));
  if (early && early_stop.best_loss() < outcome.gate_after) {
    outcome.adapter = early_stop.best();
    outcome.gate_after = early_stop.best_loss();
  }
  return outcome;
}

} // namespace coppice
