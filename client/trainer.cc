// SPDX-License-Identifier: Apache-2.0
#include "client/trainer.h"

#include <algorithm>

#include "base/check.h"
#include "base/text.h"
#include "client/client_training.h"

namespace coppice {
namespace {

// A session and its clients, from their start or their checkpoints to the last one's end.
class PackTraining {
 public:
  PackTraining(Engine& engine, std::vector<TrainMember> members, const ForEachClient& for_each);
  std::vector<Result<TrainOutcome>> run();

 private:
  struct Client {
    std::unique_ptr<ClientTraining> training;
    std::optional<Error> error;
    bool ended = false; // takes no further step
    std::optional<TrainOutcome> outcome;
    bool in() const { return !error; }
    bool works() const { return in() && !ended; }
  };

  Result<void> begin();
  Result<void> train();
  Result<void> step();
  Result<void> look_at_gate();
  Result<void> finish();
  // Of the clients that `wanted` says; the others' are empty. Clients of the session alone.
  Result<std::vector<Score>> score(const std::function<bool(const Client&)>& wanted);

  Engine& engine_;
  const ForEachClient for_each_;
  const std::atomic<bool>* stop_;
  std::vector<Client> clients_;
  std::vector<Client*> session_clients_;
  std::unique_ptr<TrainSession> session_;
};

void one_after_another(std::size_t count, const std::function<void(std::size_t)>& job) {
  for (std::size_t i = 0; i < count; ++i) job(i);
}

PackTraining::PackTraining(Engine& engine, std::vector<TrainMember> members,
                           const ForEachClient& for_each)
    : engine_(engine),
      for_each_(for_each ? for_each : one_after_another),
      stop_(members.at(0).request.stop),
      clients_(members.size()) {
  for (const TrainMember& member : members) {
    COPPICE_CHECK(member.request.stop == stop_, "clients that train together stop together");
  }
  const std::size_t context = engine.base().config().context;
  for_each_(members.size(), [&](std::size_t i) {
    clients_[i].training = std::make_unique<ClientTraining>(*members[i].examples,
                                                            std::move(members[i].request), context);
  });
  for (Client& client : clients_) {
    if (client.training->has_text()) {
      session_clients_.push_back(&client);
    } else {
      client.error = Error{ErrorCode::kFailedPrecondition, "there is no text to train on"};
    }
  }
}

std::vector<Result<TrainOutcome>> PackTraining::run() {
  if (!session_clients_.empty()) {
    const auto done = [&]() -> Result<void> {
      COPPICE_TRY(begin());
      COPPICE_TRY(train());
      return finish();
    }();
    for (Client& client : clients_) {
      if (!done.ok() && client.in()) client.error = client.training->stopped(done.error());
    }
  }
  std::vector<Result<TrainOutcome>> outcomes;
  outcomes.reserve(clients_.size());
  for (Client& client : clients_) {
    if (client.error) {
      outcomes.emplace_back(std::move(*client.error));
    } else {
      outcomes.emplace_back(std::move(*client.outcome));
    }
  }
  return outcomes;
}

Result<std::vector<Score>> PackTraining::score(const std::function<bool(const Client&)>& wanted) {
  std::vector<std::span<const Sequence>> texts;
  bool any = false;
  for (const Client* client : session_clients_) {
    const bool scored = wanted(*client);
    texts.emplace_back(scored ? client->training->gate() : std::span<const Sequence>());
    any = any || scored;
  }
  if (!any) return std::vector<Score>(texts.size());
  return session_->score(texts);
}

Result<void> PackTraining::begin() {
  std::vector<TrainJob> jobs;
  for (const Client* client : session_clients_) jobs.push_back(client->training->job());
  session_ = COPPICE_TRY(engine_.start_training(std::move(jobs)));
  for (std::size_t place = 0; place < session_clients_.size(); ++place) {
    Client& client = *session_clients_[place];
    auto joined = client.training->join(engine_, *session_, place);
    if (!joined.ok()) client.error = std::move(joined).error();
  }
  const auto is_new = [](const Client& client) { return client.in() && client.training->is_new(); };
  const std::vector<Score> before = COPPICE_TRY(score(is_new));
  for (std::size_t place = 0; place < session_clients_.size(); ++place) {
    const Client& client = *session_clients_[place];
    if (is_new(client)) client.training->begin(before[place]);
    if (client.in()) client.training->start_clock();
  }
  return {};
}

Result<void> PackTraining::train() {
  for (;;) {
    COPPICE_TRY(look_at_gate());
    bool all_ended = true;
    for (Client* client : session_clients_) {
      if (client->works()) client->ended = client->training->over();
      all_ended = all_ended && !client->works();
    }
    if (all_ended) return {};
    COPPICE_TRY(step());
  }
}

Result<void> PackTraining::look_at_gate() {
  const auto looks = [](const Client& client) {
    return client.works() && client.training->looks_at_gate();
  };
  const std::vector<Score> scores = COPPICE_TRY(score(looks));
  for (std::size_t place = 0; place < session_clients_.size(); ++place) {
    Client& client = *session_clients_[place];
    if (looks(client)) COPPICE_TRY(client.training->saw_gate(scores[place]));
  }
  return {};
}

Result<void> PackTraining::step() {
  if (stop_ != nullptr && stop_->load()) return stopped_error();
  std::vector<Batch> batches(session_clients_.size());
  std::vector<Millis> before(session_clients_.size());
  for (std::size_t place = 0; place < batches.size(); ++place) {
    const Client& client = *session_clients_[place];
    if (!client.works()) continue;
    batches[place] = client.training->next();
    before[place] = client.training->request().now();
  }
  const std::vector<StepResult> results = COPPICE_TRY(session_->step(batches));
  for (std::size_t place = 0; place < batches.size(); ++place) {
    Client& client = *session_clients_[place];
    if (!client.works()) continue;
    const Millis took = client.training->request().now() - before[place];
    auto stepped = client.training->stepped(results[place], took);
    if (!stepped.ok()) client.error = std::move(stepped).error();
    if (client.in()) client.training->save_when_due();
  }
  return {};
}

Result<void> PackTraining::finish() {
  const std::vector<Score> after = COPPICE_TRY(score([](const Client& of) { return of.in(); }));
  std::vector<std::span<const float>> values(session_clients_.size());
  for (std::size_t place = 0; place < values.size(); ++place) {
    if (session_clients_[place]->in()) values[place] = COPPICE_TRY(session_->values(place));
  }
  for_each_(values.size(), [&](std::size_t place) {
    Client& client = *session_clients_[place];
    if (client.in()) client.outcome = client.training->finish(after[place], values[place]);
  });
  return {};
}

} // namespace

Result<TrainOutcome> train_adapter(Engine& engine, const ExampleSet& examples,
                                   TrainRequest request) {
  std::vector<TrainMember> members;
  members.push_back({&examples, std::move(request)});
  return std::move(train_adapters(engine, std::move(members)).front());
}

std::vector<Result<TrainOutcome>> train_adapters(Engine& engine, std::vector<TrainMember> members,
                                                 const ForEachClient& for_each) {
  if (members.empty()) return {};
  std::optional<StopScope> stoppable;
  if (members.front().request.stop != nullptr) {
    stoppable.emplace(engine, members.front().request.stop);
  }
  return PackTraining(engine, std::move(members), for_each).run();
}

} // namespace coppice
