// SPDX-License-Identifier: Apache-2.0
#include "sim/training_learner.h"

#include <algorithm>
#include <atomic>
#include <map>

#include "client/kept_rules.h"
#include "client/local_trainer.h"
#include "protocol/shared_values.h"
#include "sim/attack.h"

namespace coppice {
namespace {

constexpr std::size_t kAheadPerWorker = 2; // packs that are trained before they are needed

// Of a pack, from its text to its delta.
struct PackClient {
  Assignment assignment;
  bool keeps_delta = false;
  std::optional<Error> error;
  ExampleSet examples;
  std::uint64_t steps = 0;
  std::uint64_t tokens = 0;
  KeptVectors kept; // between rounds
  std::optional<RoundTrainer::RoundDelta> made;
};

struct Pack {
  std::vector<PackClient> clients;
  bool hostile = false;
  bool mine = true; // not another rank's
  bool started = false;
  std::atomic<std::size_t> unprepared = 0;
};

// Virtual time passes by whole steps.
RoundMember member_of(PackClient& client, std::uint32_t max_rank) {
  const Assignment& assignment = client.assignment;
  return {.examples = &client.examples,
          .client_number = random_client(assignment.id),
          .deadline = assignment.deadline,
          .now =
              [&client] {
                const Assignment& of = client.assignment;
                return of.started +
                       millis(Nanos{static_cast<std::int64_t>(client.steps) * of.step_time.count});
              },
          .on_step =
              [&client](const TrainProgress& progress) {
                client.steps = progress.step;
                client.tokens = progress.tokens;
              },
          .max_rank = max_rank,
          .kept = &client.kept};
}

Result<std::vector<Piece>> training_pieces(const ClientData& data, std::uint64_t client) {
  auto pieces = COPPICE_TRY(data.pieces(client));
  const bool trains =
      std::ranges::any_of(pieces, [](const Piece& piece) { return piece.split == Split::kTrain; });
  if (!trains) return Error{ErrorCode::kFailedPrecondition, "there is no text to train on"};
  return pieces;
}

class TrainingLearner final : public Learner {
 public:
  TrainingLearner(EngineTeam& team, const ClientData& data, const BaseModel& base,
                  TrainingLearnerSettings settings)
      : team_(team), data_(data), base_(base), settings_(std::move(settings)) {
    if (team_.packs()) {
      helpers_ = std::make_unique<ThreadTeam>(std::thread::hardware_concurrency() / 2);
    }
  }
  ~TrainingLearner() override { end(); }

  void begin(const RoundPlan& plan, const Adapter& start,
             std::shared_ptr<const std::vector<float>> control) override {
    plan_ = &plan;
    start_ = std::make_shared<const Adapter>(start);
    control_ = std::move(control);
  }
  void expect(const Assignment& assignment) override {
    waiting_.emplace(std::pair(assignment.arrives, assignment.device), assignment);
  }
  Result<Learned> take(DeviceNumber device) override;
  void end() override;

 private:
  using Slot = std::optional<Result<Learned>>;

  std::uint32_t max_rank(DeviceNumber device) const {
    return settings_.max_rank_of ? settings_.max_rank_of(device) : 0;
  }
  bool hostile(DeviceNumber device) const {
    return is_hostile(settings_.attack, settings_.seed, device);
  }
  void cut_packs();
  void cut_pack(std::vector<Assignment> assignments, bool hostile);
  void disguise(Pack& pack) const;
  void top_up();
  void start(const std::shared_ptr<Pack>& pack, bool urgent);
  void add(EngineTeam::Task task, bool urgent) {
    urgent ? team_.add_first(std::move(task)) : team_.add(std::move(task));
  }
  // On workers and helpers.
  bool wanted();
  void prepare(const Pack& pack, PackClient& client);
  void train(const Result<Engine*>& engine, std::span<PackClient> clients,
             const ForEachClient& for_each);
  void put(PackClient& client);
  Result<Learned> encoded(PackClient& client) const;
  Result<Learned> from_elsewhere(DeviceNumber device);

  EngineTeam& team_;
  const ClientData& data_;
  const BaseModel& base_;
  TrainingLearnerSettings settings_;
  const RoundPlan* plan_ = nullptr;
  std::shared_ptr<const Adapter> start_;
  std::shared_ptr<const std::vector<float>> control_;
  std::map<std::pair<Nanos, DeviceNumber>, Assignment> waiting_; // in no pack yet
  std::vector<std::shared_ptr<Pack>> packs_;                     // of this round
  std::map<DeviceNumber, std::size_t> pack_of_;                  // index into them
  std::size_t next_ = 0;  // the first that may not be started
  std::size_t ahead_ = 0; // clients started and not taken

  std::mutex mutex_; // of what follows
  std::condition_variable changed_;
  std::map<DeviceNumber, Slot> slots_;
  std::size_t running_ = 0;
  bool dropped_ = false; // nobody will take what is still queued

  std::unique_ptr<ThreadTeam> helpers_; // last: its threads use the rest
};

void TrainingLearner::cut_packs() {
  std::vector<Assignment> hostiles;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const auto next = std::next(at);
    if (hostile(at->first.second)) hostiles.push_back(waiting_.extract(at).mapped());
    at = next;
  }
  while (!waiting_.empty()) {
    std::vector<Assignment> some;
    while (!waiting_.empty() && some.size() < settings_.pack) {
      some.push_back(waiting_.extract(waiting_.begin()).mapped());
    }
    cut_pack(std::move(some), false);
  }
  if (!hostiles.empty()) cut_pack(std::move(hostiles), true);
}

void TrainingLearner::cut_pack(std::vector<Assignment> assignments, bool hostile) {
  auto pack = std::make_shared<Pack>();
  pack->mine = packs_.size() % settings_.place.size == settings_.place.rank;
  pack->hostile = hostile;
  for (Assignment& assignment : assignments) {
    PackClient& client = pack->clients.emplace_back();
    client.assignment = std::move(assignment);
    client.keeps_delta = !hostile && pack_of_.size() < settings_.keep_deltas;
    pack_of_.emplace(client.assignment.device, packs_.size());
  }
  packs_.push_back(std::move(pack));
}

// What they trained gives way to what they send. Those without a delta of their own stay out.
void TrainingLearner::disguise(Pack& pack) const {
  std::vector<PackClient*> present;
  std::vector<std::vector<float>> learned;
  for (PackClient& client : pack.clients) {
    if (!client.made) continue;
    present.push_back(&client);
    learned.push_back(client.made->delta);
  }
  std::vector<const std::vector<float>*> all;
  for (const auto& delta : learned) all.push_back(&delta);
  for (std::size_t i = 0; i < present.size(); ++i) {
    present[i]->made->delta = hostile_delta(settings_.attack, all, i);
  }
}

void TrainingLearner::top_up() {
  const std::size_t most = kAheadPerWorker * team_.workers() * settings_.pack;
  for (; next_ < packs_.size() && ahead_ < most; ++next_) {
    if (packs_[next_]->mine && !packs_[next_]->started) start(packs_[next_], false);
  }
}

void TrainingLearner::start(const std::shared_ptr<Pack>& pack, bool urgent) {
  pack->started = true;
  ahead_ += pack->clients.size();
  {
    const std::lock_guard lock(mutex_);
    for (const PackClient& client : pack->clients) {
      slots_.emplace(client.assignment.device, std::nullopt);
    }
    running_ += pack->clients.size();
  }
  if (!helpers_) {
    add(
        [this, pack](const Result<Engine*>& engine) {
          for (PackClient& client : pack->clients) {
            prepare(*pack, client);
            train(engine, {&client, 1}, {});
            if (!pack->hostile) put(client);
          }
          if (!pack->hostile) return;
          disguise(*pack);
          for (PackClient& client : pack->clients) put(client);
        },
        urgent);
    return;
  }
  pack->unprepared = pack->clients.size();
  const auto train_together = [this, pack](const Result<Engine*>& engine) {
    train(engine, pack->clients,
          [this](std::size_t count, const auto& job) { helpers_->for_each(count, job); });
    if (pack->hostile) disguise(*pack);
    for (PackClient& client : pack->clients) {
      helpers_->add([this, pack, &client](unsigned) { put(client); });
    }
  };
  for (PackClient& client : pack->clients) {
    helpers_->add([this, pack, &client, train_together, urgent](unsigned) {
      prepare(*pack, client);
      if (--pack->unprepared == 0) add(train_together, urgent);
    });
  }
}

bool TrainingLearner::wanted() {
  const std::lock_guard lock(mutex_);
  return !dropped_;
}

void TrainingLearner::prepare(const Pack& pack, PackClient& client) {
  const auto done = [&]() -> Result<void> {
    if (!wanted()) return Error{ErrorCode::kCancelled, "the round is over"};
    const std::uint64_t number = settings_.client_of(client.assignment.device);
    auto pieces = COPPICE_TRY(training_pieces(data_, number));
    if (pack.hostile) pieces = poisoned(settings_.attack, std::move(pieces));
    client.examples = tokenize_pieces(pieces, base_);
    return {};
  }();
  if (!done.ok()) client.error = done.error();
}

void TrainingLearner::train(const Result<Engine*>& engine, std::span<PackClient> clients,
                            const ForEachClient& for_each) {
  std::vector<PackClient*> present;
  std::vector<RoundMember> members;
  const bool still_wanted = wanted();
  for (PackClient& client : clients) {
    if (client.error) continue;
    if (!engine.ok()) client.error = engine.error();
    if (!still_wanted) client.error = Error{ErrorCode::kCancelled, "the round is over"};
    if (client.error) continue;
    if (settings_.kept != nullptr) {
      client.kept = settings_.kept->counted(client.assignment.device);
    }
    present.push_back(&client);
    members.push_back(member_of(client, max_rank(client.assignment.device)));
    members.back().control = control_;
  }
  if (present.empty()) return;
  auto deltas = train_rounds(**engine, *plan_, start_, members, for_each);
  for (std::size_t i = 0; i < present.size(); ++i) {
    if (deltas[i].ok()) {
      present[i]->made = std::move(deltas[i]).value();
      continue;
    }
    present[i]->error = std::move(deltas[i]).error();
    // The others don't see it, and would count the client.
    if (settings_.place.size > 1) present[i]->error->code = ErrorCode::kInternal;
  }
}

Result<Learned> TrainingLearner::encoded(PackClient& client) const {
  if (client.error) return std::move(*client.error);
  RoundTrainer::RoundDelta& made = *client.made;
  Learned learned;
  learned.tokens = client.tokens;
  if (client.keeps_delta) {
    learned.delta = shared_in_place(plan_->recipe, *start_, made.delta);
  }
  learned.encoded = COPPICE_TRY(encode_delta(*plan_, client.assignment.id, std::move(made.delta),
                                             {.loss_before = made.loss_before,
                                              .loss_after = made.loss_after,
                                              .release_kept = false,
                                              .examples = made.examples,
                                              .steps = made.steps,
                                              .curvature = made.curvature,
                                              .cluster = made.cluster}));
  if (settings_.kept == nullptr) return learned;
  if (plan_->encoding.error_feedback) {
    client.kept[kKeptFeedback] =
        feedback_after(start_->spec(), plan_->recipe, std::move(made.feedback),
                       std::exchange(learned.encoded.lost, {}));
  }
  settings_.kept->made(client.assignment.device, std::move(client.kept));
  return learned;
}

void TrainingLearner::put(PackClient& client) {
  Result<Learned> learned = encoded(client);
  // What can't be encoded is no fault of the simulation where its device is hostile: it drops out.
  if (!learned.ok() && hostile(client.assignment.device) &&
      learned.error().code == ErrorCode::kInvalidArgument) {
    learned = Error{ErrorCode::kFailedPrecondition, learned.error().message};
  }
  client.examples = {};
  client.made.reset();
  const std::lock_guard lock(mutex_);
  slots_[client.assignment.device] = std::move(learned);
  running_ -= 1;
  changed_.notify_all();
}

Result<Learned> TrainingLearner::take(DeviceNumber device) {
  if (!pack_of_.contains(device)) cut_packs();
  COPPICE_CHECK(pack_of_.contains(device), "a delta was asked for that nobody was told of");
  top_up();
  const std::shared_ptr<Pack>& pack = packs_[pack_of_.at(device)];
  if (!pack->mine) return from_elsewhere(device);
  if (!pack->started) start(pack, true);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return slots_.at(device).has_value(); });
  Result<Learned> learned = std::move(*slots_.at(device));
  slots_.erase(device);
  lock.unlock();
  ahead_ -= 1;
  top_up();
  return learned;
}

// Ranks must agree on who drops out: by what each can see without training.
Result<Learned> TrainingLearner::from_elsewhere(DeviceNumber device) {
  COPPICE_TRY(training_pieces(data_, settings_.client_of(device)));
  Learned learned;
  learned.elsewhere = true;
  learned.encoded.elements.assign(plan_->ring_elements(), 0);
  return learned;
}

void TrainingLearner::end() {
  waiting_.clear();
  std::unique_lock lock(mutex_);
  dropped_ = true;
  changed_.wait(lock, [&] { return running_ == 0; });
  slots_.clear();
  dropped_ = false;
  lock.unlock();
  packs_.clear();
  pack_of_.clear();
  next_ = ahead_ = 0;
}

class IdleLearner final : public Learner {
 public:
  void begin(const RoundPlan& plan, const Adapter& start,
             std::shared_ptr<const std::vector<float>>) override {
    const std::size_t values = shared_count(start.spec(), plan.recipe);
    auto encoded = encode_delta(plan, ClientId{}, std::vector<float>(values), {});
    if (encoded.ok()) zeros_.encoded = *encoded;
    zeros_.encoded.lost = {}; // nothing was
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
                                          const BaseModel& base, TrainingLearnerSettings settings) {
  return std::make_unique<TrainingLearner>(team, data, base, std::move(settings));
}

} // namespace coppice
