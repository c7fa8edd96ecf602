// SPDX-License-Identifier: Apache-2.0
#include "client/local_trainer.h"

#include "adapters/factor_choice.h"

namespace coppice {
namespace {

class LocalTrainer final : public RoundTrainer {
 public:
  LocalTrainer(Workshop& workshop, const Clock& clock, std::uint64_t client_number,
               RoundCheckpoint checkpoint)
      : workshop_(workshop),
        clock_(clock),
        client_number_(client_number),
        checkpoint_(std::move(checkpoint)) {}

  Result<RoundDelta> train(const Job& job) override {
    Engine* const engine = COPPICE_TRY(workshop_.engine());
    const ExampleSet examples = COPPICE_TRY(workshop_.examples(job.stop));
    Job kept = job;
    if (!checkpoint_.file.empty()) {
      kept.checkpoint = {.file = checkpoint_.file,
                         .base = job.plan.base_hash,
                         .every = checkpoint_.every,
                         .discard_unfit = true}; // an older round's, or text that has changed
    }
    return train_round(*engine, examples, kept, client_number_,
                       [this] { return clock_.monotonic(); }, {});
  }

 private:
  Workshop& workshop_;
  const Clock& clock_;
  std::uint64_t client_number_;
  RoundCheckpoint checkpoint_;
};

} // namespace

Result<RoundTrainer::RoundDelta> train_round(Engine& engine, const ExampleSet& examples,
                                             const RoundTrainer::Job& job,
                                             std::uint64_t client_number,
                                             std::function<Millis()> now,
                                             std::function<void(const TrainProgress&)> on_step) {
  const RandomKey randomness{.experiment = job.plan.recipe.seed,
                             .round = job.plan.round.value,
                             .client = client_number,
                             .purpose = RandomPurpose::kBatchOrder};
  TrainRequest request{.recipe = job.plan.recipe,
                       .randomness = randomness,
                       .frozen = {},
                       .start = job.start,
                       .now = std::move(now),
                       .deadline = job.deadline,
                       .stop = job.stop,
                       .on_step = std::move(on_step),
                       .checkpoint = job.checkpoint};
  const TrainOutcome outcome = COPPICE_TRY(train_adapter(engine, examples, std::move(request)));
  const Recipe& recipe = job.plan.recipe;
  const std::vector<float> moved = COPPICE_TRY(delta_between(outcome.adapter, job.start));
  RoundTrainer::RoundDelta made{
      .delta = chosen_values<float>(job.start.spec(), {recipe.share_a, recipe.share_b}, moved),
      .loss_before = outcome.gate_before,
      .loss_after = outcome.gate_after,
      .examples = outcome.examples,
      .steps = outcome.steps};
  if (recipe.normalize_by_steps && outcome.steps > 0) {
    const double factor =
        static_cast<double>(planned_steps(recipe)) / static_cast<double>(outcome.steps);
    for (float& value : made.delta) value = static_cast<float>(value * factor);
  }
  return made;
}

Result<Engine*> Workshop::engine() {
  if (!engine_) engine_ = COPPICE_TRY(factory_());
  return engine_.get();
}

Result<ExampleSet> Workshop::examples(const std::atomic<bool>* stop) {
  Engine* const opened = COPPICE_TRY(engine());
  return load_examples(data_, opened->base(), limits_, stop);
}

std::unique_ptr<RoundTrainer> local_trainer(Workshop& workshop, const Clock& clock,
                                            std::uint64_t client_number,
                                            RoundCheckpoint checkpoint) {
  return std::make_unique<LocalTrainer>(workshop, clock, client_number, std::move(checkpoint));
}

} // namespace coppice
