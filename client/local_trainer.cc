// SPDX-License-Identifier: Apache-2.0
#include "client/local_trainer.h"

#include <algorithm>
#include <cmath>

#include "protocol/plan_encoding.h"

namespace coppice {
namespace {

// A device trains no more ranks than it has room for.
std::uint32_t own_rank(std::uint32_t planned, std::uint32_t most) {
  if (planned == 0 || most == 0) return std::max(planned, most);
  return std::min(planned, most);
}

TrainMember member_of(const RoundPlan& plan, std::shared_ptr<const Adapter> start,
                      RoundMember member) {
  const RandomKey randomness{.experiment = plan.recipe.seed,
                             .round = plan.round.value,
                             .client = member.client_number,
                             .purpose = RandomPurpose::kBatchOrder};
  Recipe recipe = plan.recipe;
  recipe.trained_rank = own_rank(recipe.trained_rank, member.max_rank);
  return {member.examples,
          {.recipe = recipe,
           .randomness = randomness,
           .frozen = {},
           .start = std::move(start),
           .now = std::move(member.now),
           .deadline = member.deadline,
           .on_step = std::move(member.on_step)}};
}

// q-FedAvg: devices with much loss pull harder. Without gate text the loss is the first step's.
void weigh_by_loss(const Recipe& recipe, const TrainOutcome& outcome,
                   RoundTrainer::RoundDelta& made) {
  const double loss = outcome.gate_before > 0 ? outcome.gate_before : outcome.loss_first;
  const double power = static_cast<double>(recipe.loss_power);
  const double factor = std::pow(loss, power);
  double squares = 0;
  for (float& value : made.delta) {
    squares += static_cast<double>(value) * static_cast<double>(value);
    value = static_cast<float>(value * factor);
  }
  made.curvature = factor + power * std::pow(loss, power - 1) * squares /
                                static_cast<double>(recipe.learning_rate);
}

// What the plan's recipe has leave the device.
Result<RoundTrainer::RoundDelta> delta_of(const Result<TrainOutcome>& trained, const Adapter& start,
                                          const Recipe& recipe) {
  if (!trained.ok()) return trained.error();
  const TrainOutcome& outcome = *trained;
  const std::vector<float> moved = COPPICE_TRY(delta_between(outcome.adapter, start));
  RoundTrainer::RoundDelta made{
      .delta = chosen_values<float>(start.spec(), shared_factors(recipe), moved),
      .loss_before = outcome.gate_before,
      .loss_after = outcome.gate_after,
      .examples = outcome.examples,
      .steps = outcome.steps};
  if (recipe.normalize_by_steps && outcome.steps > 0) {
    const double factor =
        static_cast<double>(planned_steps(recipe)) / static_cast<double>(outcome.steps);
    for (float& value : made.delta) value = static_cast<float>(value * factor);
  }
  if (recipe.loss_power > 0) weigh_by_loss(recipe, outcome, made);
  return made;
}

class LocalTrainer final : public RoundTrainer {
 public:
  LocalTrainer(Workshop& workshop, const Clock& clock, std::uint64_t client_number,
               RoundCheckpoint checkpoint, std::uint32_t max_rank)
      : workshop_(workshop),
        clock_(clock),
        client_number_(client_number),
        checkpoint_(std::move(checkpoint)),
        max_rank_(max_rank) {}

  Result<RoundDelta> train(const Job& job) override {
    Engine* const engine = COPPICE_TRY(workshop_.engine());
    const ExampleSet examples = COPPICE_TRY(workshop_.examples(job.stop));
    TrainMember member = member_of(job.plan, job.start,
                                   {.examples = &examples,
                                    .client_number = client_number_,
                                    .deadline = job.deadline,
                                    .now = [this] { return clock_.monotonic(); },
                                    .max_rank = max_rank_});
    member.request.stop = job.stop;
    if (!checkpoint_.file.empty()) {
      member.request.checkpoint = {.file = checkpoint_.file,
                                   .base = job.plan.base_hash,
                                   .every = checkpoint_.every,
                                   .discard_unfit = true}; // an older round's, or other text
    }
    return delta_of(train_adapter(*engine, examples, std::move(member.request)), *job.start,
                    job.plan.recipe);
  }

 private:
  Workshop& workshop_;
  const Clock& clock_;
  std::uint64_t client_number_;
  RoundCheckpoint checkpoint_;
  std::uint32_t max_rank_;
};

} // namespace

std::vector<Result<RoundTrainer::RoundDelta>> train_rounds(
    Engine& engine, const RoundPlan& plan, const std::shared_ptr<const Adapter>& start,
    std::vector<RoundMember> members, const ForEachClient& for_each) {
  std::vector<TrainMember> all;
  for (RoundMember& member : members) all.push_back(member_of(plan, start, std::move(member)));
  const auto outcomes = train_adapters(engine, std::move(all), for_each);
  std::vector<std::optional<Result<RoundTrainer::RoundDelta>>> made(outcomes.size());
  const auto make = [&](std::size_t i) { made[i] = delta_of(outcomes[i], *start, plan.recipe); };
  if (for_each) {
    for_each(made.size(), make);
  } else {
    for (std::size_t i = 0; i < made.size(); ++i) make(i);
  }
  std::vector<Result<RoundTrainer::RoundDelta>> deltas;
  for (auto& delta : made) deltas.push_back(std::move(*delta));
  return deltas;
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
                                            std::uint64_t client_number, RoundCheckpoint checkpoint,
                                            std::uint32_t max_rank) {
  return std::make_unique<LocalTrainer>(workshop, clock, client_number, std::move(checkpoint),
                                        max_rank);
}

} // namespace coppice
