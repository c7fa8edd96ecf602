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
  std::vector<TokenId> first_tokens; // of each sequence that was trained on, in order
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

class FakeSession final : public TrainSession {
 public:
  FakeSession(TrainJob job, FakeWorld& world)
      : job_(std::move(job)), world_(world), moments_(job_.start.values().size()) {}
  std::size_t clients() const override { return 1; }
  Result<std::vector<StepResult>> step(std::span<const Batch> batches) override {
    const Batch& batch = batches[0];
    StepResult result;
    if (world_.stopped()) return stopped_error();
    steps_ += 1;
    moments_[0] += 1;
    for (const Sequence& sequence : batch.sequences) {
      result.tokens += sequence.tokens.size() - 1;
      world_.first_tokens.push_back(sequence.tokens.front());
    }
    const float value = job_.start.values()[0];
    result.loss = 1 + std::pow(static_cast<double>(value) - world_.train_best, 2);
    if (world_.not_finite_at == world_.factors.size()) result.loss = std::nan("");
    const float towards = static_cast<double>(value) < world_.train_best ? 1.0F : -1.0F;
    job_.start.values()[0] += towards * job_.optimizer.learning_rate * batch.learning_rate_factor;
    world_.factors.push_back(batch.learning_rate_factor);
    if (world_.on_step) world_.on_step();
    return std::vector{result};
  }
  Result<Adapter> gradient(std::size_t, const Batch&) override {
    return Error{ErrorCode::kUnsupported, "not asked for here"};
  }
  Result<Adapter> adapter(std::size_t) const override { return job_.start; }
  // The moments only travel: a step depends on the values alone.
  Result<TrainState> state(std::size_t) const override {
    return TrainState{.values = job_.start.values(),
                      .first_moment = moments_,
                      .second_moment = moments_,
                      .steps = steps_};
  }
  Result<void> restore(std::size_t, const TrainState& state) override {
    std::ranges::copy(state.values, job_.start.values().begin());
    moments_.assign(state.first_moment.begin(), state.first_moment.end());
    steps_ = state.steps;
    return {};
  }

 private:
  TrainJob job_;
  FakeWorld& world_;
  std::vector<float> moments_;
  std::uint64_t steps_ = 0;
};

class FakeEngine final : public Engine {
 public:
  FakeEngine(std::shared_ptr<const BaseModel> base, FakeWorld& world)
      : base_(std::move(base)), world_(world) {}
  EngineInfo info() const override { return {"fake", "cpu", "none"}; }
  const BaseModel& base() const override { return *base_; }
  Result<std::vector<Score>> score(std::span<const AdapterUse> adapters,
                                   std::span<const Sequence> sequences) override {
    if (world_.on_score) world_.on_score();
    if (world_.stopped()) return stopped_error();
    std::vector<Score> scores;
    for (const Sequence& sequence : sequences) {
      const std::uint64_t tokens = sequence.tokens.size() - 1;
      const double nats = 1 + std::pow(total_of(adapters) - world_.best, 2);
      scores.push_back({.nats = nats * static_cast<double>(tokens), .tokens = tokens});
    }
    return scores;
  }
  Result<std::vector<float>> logits(std::span<const AdapterUse>,
                                    std::span<const TokenId>) override {
    return Error{ErrorCode::kUnsupported, "not asked for here"};
  }
  Result<std::unique_ptr<TrainSession>> start_training(std::vector<TrainJob> jobs) override {
    return std::unique_ptr<TrainSession>(
        std::make_unique<FakeSession>(std::move(jobs.at(0)), world_));
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
