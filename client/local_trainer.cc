// SPDX-License-Identifier: Apache-2.0
#include "client/local_trainer.h"

#include <algorithm>
#include <cmath>

#include "adapters/rank_slices.h"
#include "base/sum_of_squares.h"
#include "client/cluster_choice.h"
#include "client/kept_rules.h"
#include "crypto/hash.h"
#include "protocol/shared_values.h"

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

// What of the release a member trains.
struct Start {
  std::shared_ptr<const Adapter> adapter;
  std::optional<std::uint32_t> cluster;
};
Result<Start> start_of(Engine& engine, const RoundPlan& plan,
                       const std::shared_ptr<const Adapter>& release, const RoundMember& member) {
  const std::uint32_t clusters = plan.recipe.clusters;
  if (clusters == 1) {
    return Start{member.kept != nullptr ? with_own_factors(release, *member.kept) : release, {}};
  }
  const std::uint32_t cluster =
      COPPICE_TRY(choose_cluster(engine, *member.examples, *release, clusters,
                                 {.experiment = plan.recipe.seed,
                                  .round = plan.round.value,
                                  .client = member.client_number,
                                  .purpose = RandomPurpose::kCluster}));
  return Start{std::make_shared<const Adapter>(slice_of(*release, clusters, cluster)), cluster};
}

TrainMember member_of(const RoundPlan& plan, const Start& start, const RoundMember& member,
                      std::shared_ptr<const CoreBasis> core) {
  const RandomKey randomness{.experiment = plan.recipe.seed,
                             .round = plan.round.value,
                             .client = member.client_number,
                             .purpose = RandomPurpose::kBatchOrder};
  const KeptVectors none;
  const KeptVectors& kept = member.kept != nullptr ? *member.kept : none;
  const std::size_t values = start.adapter->values().size();
  Recipe recipe = plan.recipe;
  // A core is small whatever the rank, and is trained whole.
  if (!recipe.core) recipe.trained_rank = own_rank(recipe.trained_rank, member.max_rank);
  return {
      member.examples,
      {.recipe = recipe,
       .randomness = randomness,
       .frozen = {},
       .start = start.adapter,
       .gradient_offset = gradient_offset_of(plan.recipe, kept, values_of(member.control), values),
       .core = std::move(core),
       .now = member.now,
       .deadline = member.deadline,
       .on_step = member.on_step}};
}

std::shared_ptr<const CoreBasis> core_of(const RoundPlan& plan, const Adapter& release) {
  return plan.recipe.core ? std::make_shared<const CoreBasis>(release) : nullptr;
}

// q-FedAvg: devices with much loss pull harder. Without gate text the loss is the first step's.
void weigh_by_loss(const Recipe& recipe, const TrainOutcome& outcome,
                   RoundTrainer::RoundDelta& made) {
  const double loss = outcome.gate_before > 0 ? outcome.gate_before : outcome.loss_first;
  const double power = static_cast<double>(recipe.loss_power);
  const double factor = std::pow(loss, power);
  const double squares = sum_of_squares(made.delta);
  for (float& value : made.delta) value = static_cast<float>(value * factor);
  made.curvature = factor;
  if (recipe.optimizer == LocalOptimizer::kSgd) {
    made.curvature +=
        power * std::pow(loss, power - 1) * squares / static_cast<double>(recipe.learning_rate);
  }
}

// What the plan's recipe has leave the device, and in `kept` (may be null) what it has stay.
Result<RoundTrainer::RoundDelta> delta_of(const Result<TrainOutcome>& trained, const Start& start,
                                          const Adapter& release, const RoundPlan& plan,
                                          KeptVectors* kept, const Control& control) {
  if (!trained.ok()) return trained.error();
  const TrainOutcome& outcome = *trained;
  const Recipe& recipe = plan.recipe;
  std::vector<float> feedback;
  if (kept != nullptr) {
    if (plan.encoding.error_feedback) feedback = feedback_of(*kept, release.values().size());
    *kept = kept_after(recipe, *kept,
                       {.start = *start.adapter,
                        .trained = outcome.adapter,
                        .steps = outcome.steps,
                        .control = values_of(control),
                        .cluster = start.cluster});
  }
  std::vector<float> moved = COPPICE_TRY(delta_between(outcome.adapter, *start.adapter));
  if (start.cluster) {
    moved = slice_in_place(release.spec(), recipe.clusters, *start.cluster, moved);
  }
  RoundTrainer::RoundDelta made{.delta = shared_values(recipe, release, moved),
                                .loss_before = outcome.gate_before,
                                .loss_after = outcome.gate_after,
                                .examples = outcome.examples,
                                .steps = outcome.steps,
                                .cluster = start.cluster};
  if (recipe.normalize_by_steps && outcome.steps > 0) {
    const double factor =
        static_cast<double>(planned_steps(recipe)) / static_cast<double>(outcome.steps);
    for (float& value : made.delta) value = static_cast<float>(value * factor);
  }
  if (recipe.loss_power > 0) weigh_by_loss(recipe, outcome, made);
  add_feedback(release.spec(), recipe, feedback, made.delta);
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
    const RoundMember self{.examples = &examples,
                           .client_number = client_number_,
                           .deadline = job.deadline,
                           .now = [this] { return clock_.monotonic(); },
                           .max_rank = max_rank_,
                           .kept = &kept,
                           .control = job.control};
    const Start start = COPPICE_TRY(start_of(*engine, job.plan, job.start, self));
    TrainMember member = member_of(job.plan, start, self, core_of(job.plan, *job.start));
    member.request.stop = job.stop;
    if (!checkpoint_.file.empty()) {
      member.request.checkpoint = {.file = checkpoint_.file,
                                   .base = job.plan.base_hash,
                                   .every = checkpoint_.every,
                                   .discard_unfit = true}; // an older round's, or other text
    }
    auto delta = delta_of(train_adapter(*engine, examples, std::move(member.request)), start,
                          *job.start, job.plan, &kept, job.control);
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
    Engine& engine, const RoundPlan& plan, const std::shared_ptr<const Adapter>& release,
    std::span<const RoundMember> members, const ForEachClient& for_each) {
  std::vector<TrainMember> all;
  std::vector<Start> starts;
  const auto core = core_of(plan, *release);
  for (const RoundMember& member : members) {
    auto start = start_of(engine, plan, release, member);
    if (!start.ok()) { // the engine's error is everybody's
      return std::vector<Result<RoundTrainer::RoundDelta>>(members.size(), start.error());
    }
    all.push_back(member_of(plan, *start, member, core));
    starts.push_back(std::move(start).value());
  }
  const auto outcomes = train_adapters(engine, std::move(all), for_each);
  std::vector<std::optional<Result<RoundTrainer::RoundDelta>>> made(outcomes.size());
  const auto make = [&](std::size_t i) {
    made[i] = delta_of(outcomes[i], starts[i], *release, plan, members[i].kept, members[i].control);
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
