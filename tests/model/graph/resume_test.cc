// SPDX-License-Identifier: Apache-2.0
// Training that stops goes on from its state to the same bits, and a stop changes nothing.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "base/random.h"
#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {
namespace {

using namespace std::chrono_literals;

// A state whose spans are its own.
struct Kept {
  explicit Kept(const TrainState& state)
      : values(state.values.begin(), state.values.end()),
        first(state.first_moment.begin(), state.first_moment.end()),
        second(state.second_moment.begin(), state.second_moment.end()),
        steps(state.steps) {}
  TrainState state() const {
    return {.values = values, .first_moment = first, .second_moment = second, .steps = steps};
  }
  bool operator==(const Kept&) const = default;
  std::vector<float> values, first, second;
  std::uint64_t steps;
};

// Clients that differ in all that a job may say.
std::vector<TrainJob> two_jobs(const BaseModel& base, const Adapter& frozen) {
  std::vector<TrainJob> jobs;
  jobs.push_back({.frozen = {{.adapter = &frozen}},
                  .start = random_start(base, 3, 1),
                  .optimizer = {.learning_rate = 5e-3F, .max_gradient_norm = 0.5F}});
  jobs.push_back(
      {.frozen = {},
       .start = random_start(base, 3, 2),
       .optimizer = {
           .learning_rate = 2e-3F, .weight_decay = 0.1F, .proximal_mu = 0.3F, .train_a = false}});
  return jobs;
}

std::vector<Batch> batches_of(const BaseModel& base, std::uint64_t step) {
  std::vector<Batch> batches(2);
  for (std::uint64_t client = 0; client < 2; ++client) {
    for (std::uint64_t i = 0; i <= step % 3; ++i) {
      batches[client].sequences.push_back(
          random_sequence(base, 15 + 4 * i + client, 100 * step + 10 * client + i));
    }
    batches[client].learning_rate_factor = 1.0F / static_cast<float>(1 + step);
  }
  return batches;
}

std::vector<Kept> states_of(const TrainSession& session) {
  std::vector<Kept> states;
  for (std::size_t client = 0; client < session.clients(); ++client) {
    states.emplace_back(session.state(client).value());
  }
  return states;
}

TEST(Resume, AtAnyStepAnotherEngineGoesOnToTheSameBits) {
  constexpr std::uint64_t kSteps = 8;
  const auto base = mixed_tiny_model();
  const Adapter frozen = random_adapter(*base, 2, 9);
  const auto run = [&](TrainSession& session, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t step = from; step < to; ++step) {
      ASSERT_TRUE(session.step(batches_of(*base, step)).ok());
    }
  };
  const auto engine = engine_for(base);
  const auto whole = engine->start_training(two_jobs(*base, frozen)).value();
  run(*whole, 0, kSteps);
  KeyedRandom random({.experiment = 5});
  for (int stop = 0; stop < 4; ++stop) {
    const std::uint64_t at = random.below(kSteps + 1);
    SCOPED_TRACE(at);
    std::vector<Kept> kept;
    {
      const auto first = engine_for(base);
      const auto session = first->start_training(two_jobs(*base, frozen)).value();
      run(*session, 0, at);
      kept = states_of(*session);
    }
    const auto second = engine_for(base, 1);
    const auto session = second->start_training(two_jobs(*base, frozen)).value();
    for (std::size_t client = 0; client < 2; ++client) {
      ASSERT_TRUE(session->restore(client, kept[client].state()).ok());
    }
    run(*session, at, kSteps);
    EXPECT_EQ(states_of(*session), states_of(*whole));
  }
}

TEST(Resume, AStateOfAnotherTrainingIsRefusedAndChangesNothing) {
  const auto base = float_tiny_model();
  const auto engine = engine_for(base);
  const Adapter frozen = random_adapter(*base, 2, 9);
  const auto session = engine->start_training(two_jobs(*base, frozen)).value();
  ASSERT_TRUE(session->step(batches_of(*base, 0)).ok());
  const std::vector<Kept> before = states_of(*session);
  const auto refused = [&](const auto& spoil, const char* why) {
    Kept kept = before[0];
    spoil(kept);
    const auto answer = session->restore(0, kept.state());
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(answer.error().message.find(why), std::string::npos) << answer.error().message;
  };
  refused([](Kept& kept) { kept.values.pop_back(); }, "of another training");
  refused([](Kept& kept) { kept.second.push_back(0); }, "of another training");
  refused([](Kept& kept) { kept.values[3] = std::nanf(""); }, "no training leaves");
  refused([](Kept& kept) { kept.first[3] = INFINITY; }, "no training leaves");
  refused([](Kept& kept) { kept.second[3] = -1e-9F; }, "no training leaves");
  EXPECT_FALSE(session->restore(2, before[0].state()).ok());
  EXPECT_FALSE(session->state(2).ok());
  EXPECT_EQ(states_of(*session), before);
}

// Whether it is stopped in the middle or was through by then.
TEST(Resume, AStepThatIsStoppedInTheMiddleChangesNothingAndIsTakenAgain) {
  const auto base = repository_model();
  const Batch batch{.sequences = {random_sequence(*base, 300, 1), random_sequence(*base, 200, 2)}};
  const std::vector<TrainJob> jobs(
      1, {.frozen = {}, .start = random_start(*base, 4, 3), .optimizer = {.learning_rate = 1e-2F}});
  const auto engine = engine_for(base);
  const auto whole = engine->start_training(jobs).value();
  ASSERT_TRUE(whole->step({&batch, 1}).ok()); // the first takes longer than all others
  const auto started = std::chrono::steady_clock::now();
  ASSERT_TRUE(whole->step({&batch, 1}).ok());
  const auto step_time = std::chrono::steady_clock::now() - started;

  KeyedRandom random({.experiment = 6});
  const auto session = engine->start_training(jobs).value();
  ASSERT_TRUE(session->step({&batch, 1}).ok());
  const std::vector<Kept> before = states_of(*session);
  std::atomic<bool> stop{false};
  bool stopped = false;
  // More where a busy machine makes steps so short or waits so long that none meets the other.
  for (int tries = 0; tries < 8 || (!stopped && tries < 200); ++tries) {
    const StopScope stoppable(*engine, &stop);
    const auto wait = step_time * static_cast<int>(random.below(100)) / 100;
    std::thread owner([&] {
      std::this_thread::sleep_for(wait);
      stop = true;
    });
    const auto step = session->step({&batch, 1});
    owner.join();
    stop = false;
    if (step.ok()) {
      EXPECT_EQ(states_of(*session), states_of(*whole));
      ASSERT_TRUE(session->restore(0, before[0].state()).ok());
      continue;
    }
    stopped = true;
    EXPECT_EQ(step.error().code, ErrorCode::kCancelled);
    EXPECT_EQ(states_of(*session), before);
  }
  EXPECT_TRUE(stopped);
  ASSERT_TRUE(session->step({&batch, 1}).ok());
  EXPECT_EQ(states_of(*session), states_of(*whole));
}

TEST(Resume, WhileTheFlagIsUpScoresAndGradientsEndAndOtherWorkDoesNot) {
  const auto base = float_tiny_model();
  const auto engine = engine_for(base);
  const std::vector<Sequence> sequences = {random_sequence(*base, 30, 1)};
  const Batch batch{.sequences = sequences};
  const std::vector<TrainJob> jobs(
      1, {.frozen = {}, .start = random_start(*base, 3, 1), .optimizer = {}});
  const auto session = engine->start_training(jobs).value();
  const double nats = engine->score({}, sequences).value()[0].nats;
  const auto text = [&] {
    return engine->generate({.adapters = {}, .prompt = random_tokens(*base, 5, 2), .max_tokens = 8})
        .value()
        .tokens;
  };
  const auto before = text();
  std::atomic<bool> stop{true};
  {
    const StopScope stoppable(*engine, &stop);
    EXPECT_EQ(engine->score({}, sequences).error().code, ErrorCode::kCancelled);
    EXPECT_EQ(session->gradient(0, batch).error().code, ErrorCode::kCancelled);
    EXPECT_EQ(session->step({&batch, 1}).error().code, ErrorCode::kCancelled);
    EXPECT_EQ(text(), before);
    stop = false;
    EXPECT_EQ(engine->score({}, sequences).value()[0].nats, nats);
    stop = true;
  }
  EXPECT_EQ(engine->score({}, sequences).value()[0].nats, nats);
}

} // namespace
} // namespace coppice::graph
