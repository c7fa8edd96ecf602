// SPDX-License-Identifier: Apache-2.0
// An engine whose loss is a parabola: nats a token = 1 + (sum of every adapter's first value -
// best)^2. A step moves the trained adapter's first value by the learning rate towards `best`.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/engine.h"
#include "model/text_windows.h"
#include "tests/aggregator/temporary_folder.h"
#include "tests/model/tiny_model.h"

namespace coppice {

// What the engine was asked, and what it shall answer.
struct FakeWorld {
  double best = 1;            // where the loss is smallest
  double train_best = 1;      // where training goes: elsewhere than `best` it overfits
  std::vector<float> factors; // learning-rate factors of the steps, in order
  std::optional<std::size_t> not_finite_at; // this step's loss is NaN
  std::function<void()> on_step;
  std::vector<TokenId> first_tokens;        // of each sequence that was trained on, in order
  std::vector<std::uint32_t> trained_ranks; // of each session's clients, as their jobs say
  std::vector<std::size_t> packs;           // how many clients each session had
  // What is added to the gradients of each session's clients; empty: nothing.
  std::vector<std::vector<float>> offsets;
  std::function<void()> on_score;
  const std::atomic<bool>* stop = nullptr;
  bool stopped() const { return stop != nullptr && stop->load(); }
};

inline double total_of(std::span<const AdapterUse> adapters) {
  double total = 0;
  for (const AdapterUse& use : adapters) {
    total += static_cast<double>(use.strength) * static_cast<double>(use.adapter->values()[0]);
  }
  return total;
}

inline Score score_of(const FakeWorld& world, std::span<const AdapterUse> adapters,
                      const Sequence& sequence) {
  const std::uint64_t tokens = sequence.tokens.size() - 1;
  const double nats = 1 + std::pow(total_of(adapters) - world.best, 2);
  return {.nats = nats * static_cast<double>(tokens), .tokens = tokens};
}

class FakeSession final : public TrainSession {
 public:
  FakeSession(const std::vector<TrainJob>& jobs, FakeWorld& world) : world_(world) {
    for (const TrainJob& job : jobs) {
      world.trained_ranks.push_back(job.optimizer.trained_rank);
      clients_.push_back({.job = job,
                          .adapter = *job.start,
                          .moments = std::vector<float>(job.start->values().size())});
    }
  }
  std::size_t clients() const override { return clients_.size(); }
  Result<std::vector<StepResult>> step(std::span<const Batch> batches) override {
    if (world_.stopped()) return stopped_error();
    std::vector<StepResult> results;
    for (std::size_t i = 0; i < batches.size(); ++i) {
      results.push_back(batches[i].sequences.empty() ? StepResult{}
                                                     : step_of(clients_[i], batches[i]));
    }
    if (world_.on_step) world_.on_step();
    return results;
  }
  Result<std::vector<Score>> score(std::span<const std::span<const Sequence>> texts) override {
    if (world_.on_score) world_.on_score();
    if (world_.stopped()) return stopped_error();
    std::vector<Score> scores(clients_.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      std::vector<AdapterUse> uses = clients_[i].job.frozen;
      uses.push_back({&clients_[i].adapter, 1.0F});
      for (const Sequence& text : texts[i]) scores[i] += score_of(world_, uses, text);
    }
    return scores;
  }
  Result<Adapter> gradient(std::size_t, const Batch&) override {
    return Error{ErrorCode::kUnsupported, "not asked for here"};
  }
  Result<Adapter> adapter(std::size_t client) const override { return clients_[client].adapter; }
  Result<std::span<const float>> values(std::size_t client) const override {
    return clients_[client].adapter.values();
  }
  // The moments only travel: a step depends on the values alone.
  Result<TrainState> state(std::size_t client) const override {
    const Client& of = clients_[client];
    return TrainState{.values = of.adapter.values(),
                      .first_moment = of.moments,
                      .second_moment = of.moments,
                      .steps = of.steps};
  }
  Result<void> restore(std::size_t client, const TrainState& state) override {
    Client& to = clients_[client];
    std::ranges::copy(state.values, to.adapter.values().begin());
    to.moments.assign(state.first_moment.begin(), state.first_moment.end());
    to.steps = state.steps;
    return {};
  }

 private:
  struct Client {
    TrainJob job;
    Adapter adapter;
    std::vector<float> moments;
    std::uint64_t steps = 0;
  };

  StepResult step_of(Client& client, const Batch& batch) {
    StepResult result;
    client.steps += 1;
    client.moments[0] += 1;
    for (const Sequence& sequence : batch.sequences) {
      result.tokens += sequence.tokens.size() - 1;
      world_.first_tokens.push_back(sequence.tokens.front());
    }
    float& value = client.adapter.values()[0];
    result.loss = 1 + std::pow(static_cast<double>(value) - world_.train_best, 2);
    const bool finite = world_.not_finite_at != world_.factors.size();
    world_.factors.push_back(batch.learning_rate_factor);
    if (!finite) {
      result.loss = std::nan("");
      return result;
    }
    const float towards = static_cast<double>(value) < world_.train_best ? 1.0F : -1.0F;
    value += towards * client.job.optimizer.learning_rate * batch.learning_rate_factor;
    return result;
  }

  std::vector<Client> clients_;
  FakeWorld& world_;
};

class FakeEngine final : public Engine {
 public:
  FakeEngine(std::shared_ptr<const BaseModel> base, FakeWorld& world)
      : base_(std::move(base)), world_(world) {}
  EngineInfo info() const override {
    return {.name = "fake", .device = "cpu", .instruction_level = "none"};
  }
  const BaseModel& base() const override { return *base_; }
  Result<std::vector<Score>> score(std::span<const AdapterUse> adapters,
                                   std::span<const Sequence> sequences) override {
    if (world_.on_score) world_.on_score();
    if (world_.stopped()) return stopped_error();
    std::vector<Score> scores;
    for (const Sequence& sequence : sequences) {
      scores.push_back(score_of(world_, adapters, sequence));
    }
    return scores;
  }
  Result<std::vector<float>> logits(std::span<const AdapterUse>,
                                    std::span<const TokenId>) override {
    return Error{ErrorCode::kUnsupported, "not asked for here"};
  }
  Result<std::unique_ptr<TrainSession>> start_training(std::vector<TrainJob> jobs) override {
    world_.packs.push_back(jobs.size());
    for (const TrainJob& job : jobs) {
      world_.offsets.push_back(job.gradient_offset ? *job.gradient_offset : std::vector<float>{});
    }
    return std::unique_ptr<TrainSession>(std::make_unique<FakeSession>(jobs, world_));
  }
  Result<TrainingPlan> plan_training(const AdapterSpec&, std::size_t, std::size_t) const override {
    return Error{ErrorCode::kUnsupported, "not asked for here"};
  }
  Result<GenerateResult> generate(const GenerateRequest&) override {
    return Error{ErrorCode::kUnsupported, "not asked for here"};
  }
  const std::atomic<bool>* stop_when(const std::atomic<bool>* stop) override {
    return std::exchange(world_.stop, stop);
  }

 private:
  std::shared_ptr<const BaseModel> base_;
  FakeWorld& world_;
};

// A fixture's engine, its world, and an adapter spec that fits its base.
class EngineTest : public ::testing::Test {
 protected:
  TokenizedDocument document(std::size_t tokens) const {
    return {std::vector<TokenId>(tokens, 5), std::vector<std::uint8_t>(tokens, 1), tokens};
  }
  Adapter zeros() const { return Adapter(spec_); }
  std::shared_ptr<const Adapter> start() const { return std::make_shared<const Adapter>(spec_); }
  Adapter with_first(float value) const {
    Adapter adapter(spec_);
    adapter.values()[0] = value;
    return adapter;
  }

  TemporaryFolder folder_;
  FakeWorld world_;
  std::shared_ptr<const BaseModel> base_ = TinyModel::make().open(folder_.path()).value();
  FakeEngine engine_{base_, world_};
  std::shared_ptr<const AdapterSpec> spec_ = std::make_shared<const AdapterSpec>(
      base_->make_spec(4, 8, LoraScaling::kStandard, std::vector<std::string>{"q_proj"}).value());
};

} // namespace coppice
