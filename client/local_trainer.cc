// SPDX-License-Identifier: Apache-2.0
#include "client/local_trainer.h"

#include <algorithm>
#include <cmath>

#include "client/kept_rules.h"
#include "crypto/hash.h"
#include "protocol/plan_encoding.h"

namespace coppice {
namespace {

using Control = std::shared_ptr<const std::vector<float>>;
std::span<const float> values_of(const Control& control) {
  return control ? std::span<const float>(*control) : std::span<const float>{};
}

// A device trains no more ranks than it has room for.
std::uint32_t own_rank(std::uint32_t planned, std::uint32_t most) {
  if (planned == 0 || most == 0) return std::max(planned, most);
  return std::min(planned, most);
}

TrainMember member_of(const RoundPlan& plan, std::shared_ptr<const Adapter> start,
                      const RoundMember& member) {
  const RandomKey randomness{.experiment = plan.recipe.seed,
                             .round = plan.round.value,
                             .client = member.client_number,
                             .purpose = RandomPurpose::kBatchOrder};
  const KeptVectors none;
  const KeptVectors& kept = member.kept != nullptr ? *member.kept : none;
  const std::size_t values = start->values().size();
  Recipe recipe = plan.recipe;
  recipe.trained_rank = own_rank(recipe.trained_rank, member.max_rank);
  return {
      member.examples,
      {.recipe = recipe,
       .randomness = randomness,
       .frozen = {},
       .start = with_own_factors(std::move(start), kept),
       .gradient_offset = gradient_offset_of(plan.recipe, kept, values_of(member.control), values),
       .now = member.now,
       .deadline = member.deadline,
       .on_step = member.on_step}};
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
  made.curvature = factor;
  if (recipe.optimizer == LocalOptimizer::kSgd) {
    made.curvature +=
        power * std::pow(loss, power - 1) * squares / static_cast<double>(recipe.learning_rate);
  }
}

// What the plan's recipe has leave the device, and in `kept` (may be null) what it has stay.
Result<RoundTrainer::RoundDelta> delta_of(const Result<TrainOutcome>& trained, const Adapter& start,
                                          const RoundPlan& plan, KeptVectors* kept,
                                          const Control& control) {
  if (!trained.ok()) return trained.error();
  const TrainOutcome& outcome = *trained;
  const Recipe& recipe = plan.recipe;
  std::vector<float> feedback;
  if (kept != nullptr) {
    if (plan.encoding.error_feedback) feedback = feedback_of(*kept, start.values().size());
    *kept = kept_after(recipe, *kept,
                       {.start = start,
                        .trained = outcome.adapter,
                        .steps = outcome.steps,
                        .control = values_of(control)});
  }
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
  add_feedback(start.spec(), recipe, feedback, made.delta);
  made.feedback = std::move(feedback);
  return made;
}

class LocalTrainer final : public RoundTrainer {
 public:
  LocalTrainer(Workshop& workshop, const Clock& clock, std::uint64_t client_number,
               RoundCheckpoint checkpoint, std::optional<KeptFile> kept, std::uint32_t max_rank)
      : workshop_(workshop),
        clock_(clock),
        client_number_(client_number),
        checkpoint_(std::move(checkpoint)),
        kept_file_(std::move(kept)),
        max_rank_(max_rank) {}

  Result<RoundDelta> train(const Job& job) override {
    const KeptBinding binding{.fleet = job.plan.fleet,
                              .base = job.plan.base_hash,
                              .spec = sha256(job.start->spec().encode())};
    const bool keeps = keeps_between_rounds(job.plan);
    if (keeps && !kept_file_) {
      return Error{
          ErrorCode::kFailedPrecondition,
          "the plan has devices keep something between rounds, and here is no place for it"};
    }
    // Also where this recipe has no use for what is there: then it is not kept on.
    const bool stores = keeps || (kept_file_ && kept_file_->exists());
    KeptVectors kept = stores ? COPPICE_TRY(kept_file_->counted(binding)) : KeptVectors{};
    Engine* const engine = COPPICE_TRY(workshop_.engine());
    const ExampleSet examples = COPPICE_TRY(workshop_.examples(job.stop));
    TrainMember member = member_of(job.plan, job.start,
                                   {.examples = &examples,
                                    .client_number = client_number_,
                                    .deadline = job.deadline,
                                    .now = [this] { return clock_.monotonic(); },
                                    .max_rank = max_rank_,
                                    .kept = &kept,
                                    .control = job.control});
    member.request.stop = job.stop;
    if (!checkpoint_.file.empty()) {
      member.request.checkpoint = {.file = checkpoint_.file,
                                   .base = job.plan.base_hash,
                                   .every = checkpoint_.every,
                                   .discard_unfit = true}; // an older round's, or other text
    }
    const std::shared_ptr<const Adapter> start = member.request.start;
    auto delta = delta_of(train_adapter(*engine, examples, std::move(member.request)), *start,
                          job.plan, &kept, job.control);
    if (delta.ok() && stores) {
      COPPICE_TRY(
          kept_file_->store_made(binding, {job.plan.hash(), job.plan.parent}, std::move(kept)));
    }
    return delta;
  }

 private:
  Workshop& workshop_;
  const Clock& clock_;
  std::uint64_t client_number_;
  RoundCheckpoint checkpoint_;
  std::optional<KeptFile> kept_file_;
  std::uint32_t max_rank_;
};

} // namespace

std::vector<Result<RoundTrainer::RoundDelta>> train_rounds(
    Engine& engine, const RoundPlan& plan, const std::shared_ptr<const Adapter>& start,
    std::span<const RoundMember> members, const ForEachClient& for_each) {
  std::vector<TrainMember> all;
  std::vector<std::shared_ptr<const Adapter>> starts;
  for (const RoundMember& member : members) {
    all.push_back(member_of(plan, start, member));
    starts.push_back(all.back().request.start);
  }
  const auto outcomes = train_adapters(engine, std::move(all), for_each);
  std::vector<std::optional<Result<RoundTrainer::RoundDelta>>> made(outcomes.size());
  const auto make = [&](std::size_t i) {
    made[i] = delta_of(outcomes[i], *starts[i], plan, members[i].kept, members[i].control);
  };
  if (for_each) {
    for_each(made.size(), make);
  } else {
    for (std::size_t i = 0; i < made.size(); ++i) make(i);
  }
  std::vector<Result<RoundTrainer::RoundDelta>> deltas;
  deltas.reserve(made.size());
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
                                            std::optional<KeptFile> kept, std::uint32_t max_rank) {
  return std::make_unique<LocalTrainer>(workshop, clock, client_number, std::move(checkpoint),
                                        std::move(kept), max_rank);
}

} // namespace coppice
