// SPDX-License-Identifier: Apache-2.0
#include "sim/training_learner.h"

#include <algorithm>
#include <map>

#include "adapters/factor_choice.h"
#include "client/local_trainer.h"

namespace coppice {
namespace {

constexpr std::size_t kAheadPerWorker = 2; // packs that are trained before they are needed

// Virtual time passes by whole steps.
Result<std::vector<Piece>> training_pieces(const ClientData& data, std::uint64_t client) {
  auto pieces = COPPICE_TRY(data.pieces(client));
  const bool trains =
      std::ranges::any_of(pieces, [](const Piece& piece) { return piece.split == Split::kTrain; });
  if (!trains) return Error{ErrorCode::kFailedPrecondition, "there is no text to train on"};
  return pieces;
}

Result<Learned> learn(Engine& engine, const ClientData& data, std::uint64_t client,
                      const Assignment& assignment, const RoundPlan& plan, const Adapter& start) {
  const ExampleSet examples =
      tokenize_pieces(COPPICE_TRY(training_pieces(data, client)), engine.base());
  Learned learned;
  std::uint64_t steps = 0;
  const auto now = [&] {
    return assignment.started +
           millis(Nanos{static_cast<std::int64_t>(steps) * assignment.step_time.count});
  };
  const auto on_step = [&](const TrainProgress& progress) {
    steps = progress.step;
    learned.tokens = progress.tokens;
  };
  const RoundTrainer::Job job{plan, start, assignment.deadline, nullptr};
  RoundTrainer::RoundDelta made =
      COPPICE_TRY(train_round(engine, examples, job, random_client(assignment.id), now, on_step));
  learned.delta = all_values(start.spec(), {plan.recipe.share_a, plan.recipe.share_b}, made.delta);
  learned.encoded = COPPICE_TRY(encode_delta(plan, assignment.id, std::move(made.delta),
                                             {.loss_before = made.loss_before,
                                              .loss_after = made.loss_after,
                                              .release_kept = false,
                                              .examples = made.examples,
                                              .steps = made.steps}));
  return learned;
}

class TrainingLearner final : public Learner {
 public:
  TrainingLearner(EngineTeam& team, const ClientData& data, TrainingLearnerSettings settings)
      : team_(team), data_(data), settings_(std::move(settings)) {}
  ~TrainingLearner() override { end(); }

  void begin(const RoundPlan& plan, const Adapter& start) override {
    plan_ = &plan;
    start_ = &start;
    taken_ = 0;
  }
  void expect(const Assignment& assignment) override {
    arrivals_.emplace(assignment.device, assignment.arrives);
    if (!settings_.mine(assignment.device)) return;
    waiting_.emplace(std::pair(assignment.arrives, assignment.device), assignment);
    top_up();
  }
  Result<Learned> take(DeviceNumber device) override;
  void end() override;

 private:
  using Slot = std::optional<Result<Learned>>;

  // In the order of their arrival, as many as a worker takes at once.
  void top_up() {
    while (!waiting_.empty() && ahead_ < kAheadPerWorker * team_.workers() * settings_.pack) {
      std::vector<Assignment> pack;
      while (!waiting_.empty() && pack.size() < settings_.pack) {
        pack.push_back(waiting_.extract(waiting_.begin()).mapped());
      }
      start(std::move(pack), false);
    }
  }
  void start(std::vector<Assignment> pack, bool urgent);
  void work(const Result<Engine*>& engine, const Assignment& assignment);
  Result<Learned> from_elsewhere(DeviceNumber device);

  EngineTeam& team_;
  const ClientData& data_;
  TrainingLearnerSettings settings_;
  const RoundPlan* plan_ = nullptr;
  const Adapter* start_ = nullptr;
  std::map<std::pair<Nanos, DeviceNumber>, Assignment> waiting_;
  std::map<DeviceNumber, Nanos> arrivals_;
  std::size_t ahead_ = 0; // started and not taken
  std::uint32_t taken_ = 0;

  std::mutex mutex_; // of what follows
  std::condition_variable changed_;
  std::map<DeviceNumber, Slot> slots_;
  std::size_t running_ = 0;
  bool dropped_ = false; // nobody will take what is still queued
};

void TrainingLearner::start(std::vector<Assignment> pack, bool urgent) {
  ahead_ += pack.size();
  {
    const std::lock_guard lock(mutex_);
    for (const Assignment& assignment : pack) slots_.emplace(assignment.device, std::nullopt);
    running_ += pack.size();
  }
  auto task = [this, pack = std::move(pack)](const Result<Engine*>& engine) {
    for (const Assignment& assignment : pack) work(engine, assignment);
  };
  if (urgent) {
    team_.add_first(std::move(task));
  } else {
    team_.add(std::move(task));
  }
}

void TrainingLearner::work(const Result<Engine*>& engine, const Assignment& assignment) {
  bool wanted = false;
  {
    const std::lock_guard lock(mutex_);
    wanted = !dropped_;
  }
  Result<Learned> learned = Error{ErrorCode::kCancelled, "the round is over"};
  if (!engine.ok()) {
    learned = engine.error();
  } else if (wanted) {
    learned =
        learn(**engine, data_, settings_.client_of(assignment.device), assignment, *plan_, *start_);
  }
  const std::lock_guard lock(mutex_);
  slots_[assignment.device] = std::move(learned);
  running_ -= 1;
  changed_.notify_all();
}

Result<Learned> TrainingLearner::take(DeviceNumber device) {
  const auto arrival = arrivals_.find(device);
  COPPICE_CHECK(arrival != arrivals_.end(), "a delta was asked for that nobody was told of");
  if (!settings_.mine(device)) return from_elsewhere(device);
  const auto waits = waiting_.find(std::pair(arrival->second, device));
  if (waits != waiting_.end()) start({waiting_.extract(waits).mapped()}, true);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return slots_.at(device).has_value(); });
  Result<Learned> learned = std::move(*slots_.at(device));
  slots_.erase(device);
  lock.unlock();
  ahead_ -= 1;
  if (learned.ok() && taken_++ >= settings_.keep_deltas) learned->delta.reset();
  top_up();
  return learned;
}

// Ranks must agree on who drops out: by what each can see without training.
Result<Learned> TrainingLearner::from_elsewhere(DeviceNumber device) {
  COPPICE_TRY(training_pieces(data_, settings_.client_of(device)));
  Learned learned;
  learned.elsewhere = true;
  learned.encoded.elements.assign(plan_->ring_elements(), 0);
  taken_ += 1;
  return learned;
}

void TrainingLearner::end() {
  waiting_.clear();
  arrivals_.clear();
  std::unique_lock lock(mutex_);
  dropped_ = true;
  changed_.wait(lock, [&] { return running_ == 0; });
  slots_.clear();
  ahead_ = 0;
  dropped_ = false;
}

class IdleLearner final : public Learner {
 public:
  void begin(const RoundPlan& plan, const Adapter&) override {
    auto encoded = encode_delta(plan, ClientId{}, std::vector<float>(plan.delta_elements()), {});
    if (encoded.ok()) zeros_.encoded = *encoded;
    fault_ = encoded.ok() ? Result<void>{} : Result<void>(encoded.error());
  }
  void expect(const Assignment&) override {}
  Result<Learned> take(DeviceNumber) override {
    COPPICE_TRY(Result<void>(fault_));
    return zeros_;
  }
  void end() override {}

 private:
  Learned zeros_;
  Result<void> fault_;
};

} // namespace

std::unique_ptr<Learner> idle_learner() { return std::make_unique<IdleLearner>(); }

std::unique_ptr<Learner> training_learner(EngineTeam& team, const ClientData& data,
                                          TrainingLearnerSettings settings) {
  return std::make_unique<TrainingLearner>(team, data, std::move(settings));
}

} // namespace coppice
