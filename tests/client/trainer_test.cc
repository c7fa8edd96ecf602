// SPDX-License-Identifier: Apache-2.0
#include "client/trainer.h"

#include <gmock/gmock.h>

#include "client/local_trainer.h"
#include "tests/client/fake_engine.h"

namespace coppice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TrainerTest : public EngineTest {
 protected:
  TrainerTest() {
    for (int i = 0; i < 8; ++i) examples_.train.push_back(document(9)); // 8 predicted tokens each
    examples_.gate.push_back(document(9));
    recipe_.learning_rate = 0.1F;
    recipe_.schedule = Schedule::kConstant;
    recipe_.window = 9;
    recipe_.batch_tokens = 18; // two windows
  }
  Result<TrainOutcome> train() {
    TrainRequest request{.recipe = recipe_,
                         .randomness = {},
                         .frozen = {},
                         .start = zeros(),
                         .now = [this] { return now_; },
                         .deadline = deadline_,
                         .stop = &stop_,
                         .on_step = {}};
    return train_adapter(engine_, examples_, std::move(request));
  }
  ExampleSet examples_;
  Recipe recipe_;
  Millis now_{1'000};
  Millis deadline_{0};
  std::atomic<bool> stop_{false};
};

TEST_F(TrainerTest, ItStopsAtTheStepsOfTheRecipe) {
  recipe_.max_steps = 3;
  const auto outcome = train().value();
  EXPECT_EQ(outcome.steps, 3U);
  EXPECT_EQ(outcome.tokens, 3 * 16U);
  EXPECT_EQ(outcome.examples, 8U); // 64 predicted tokens, windows of 9
  EXPECT_NEAR(outcome.adapter.values()[0], 0.3, 1e-6);
  EXPECT_NEAR(outcome.loss_first, 2, 1e-6);
  EXPECT_NEAR(outcome.gate_before, 2, 1e-6);
  EXPECT_NEAR(outcome.gate_after, 1 + 0.7 * 0.7, 1e-6);
}

TEST_F(TrainerTest, ItStopsAtTheTokensOfTheRecipe) {
  recipe_.max_tokens = 18 * 3; // of three batches
  EXPECT_EQ(train()->steps, 3U);
}

TEST_F(TrainerTest, ItStopsAtTheSecondsOfTheRecipeAndAtTheRoundsDeadline) {
  recipe_.max_steps = 1'000;
  recipe_.max_seconds = 2;
  world_.on_step = [this] { now_ = now_ + Millis{500}; };
  EXPECT_EQ(train()->steps, 4U);
  deadline_ = now_ + Millis{1'000};
  EXPECT_EQ(train()->steps, 2U);
}

TEST_F(TrainerTest, AskedToStopItEndsAtTheNextStepWithNothing) {
  recipe_.max_steps = 1'000;
  world_.on_step = [this] { stop_ = world_.factors.size() == 5; };
  EXPECT_EQ(train().error().code, ErrorCode::kCancelled);
  EXPECT_EQ(world_.factors.size(), 5U);
}

TEST_F(TrainerTest, WithoutTextItSaysSo) {
  examples_.train.clear();
  recipe_.max_steps = 1;
  EXPECT_THAT(train().error().message, HasSubstr("no text"));
}

TEST_F(TrainerTest, ALossThatIsNotFiniteEndsTraining) {
  recipe_.max_steps = 10;
  world_.not_finite_at = 4;
  const auto outcome = train();
  EXPECT_EQ(outcome.error().code, ErrorCode::kInternal);
  EXPECT_THAT(outcome.error().message, HasSubstr("after 4 steps"));
}

// Training goes on to 2, the gate is best at 0.45: looks at 0.2, 0.4, 0.6, 0.8.
TEST_F(TrainerTest, EarlyStopKeepsTheAdapterThatWasBestOnGateText) {
  world_.best = 0.45;
  world_.train_best = 2;
  recipe_.max_steps = 100;
  recipe_.evaluate_every = 2;
  recipe_.early_stop_patience = 2;
  const auto outcome = train().value();
  EXPECT_EQ(outcome.steps, 8U);
  EXPECT_NEAR(outcome.adapter.values()[0], 0.4, 1e-6);
  EXPECT_NEAR(outcome.gate_after, 1 + 0.05 * 0.05, 1e-6);
}

TEST_F(TrainerTest, EarlyStopGivesTheStartBackWhereNothingHelps) {
  world_.best = -1;
  recipe_.max_steps = 100;
  recipe_.evaluate_every = 1;
  recipe_.early_stop_patience = 3;
  const auto outcome = train().value();
  EXPECT_EQ(outcome.steps, 3U);
  EXPECT_EQ(outcome.adapter.values()[0], 0);
}

TEST_F(TrainerTest, WarmUpThenCosine) {
  recipe_.warmup_steps = 2;
  recipe_.max_steps = 6;
  recipe_.schedule = Schedule::kCosine;
  ASSERT_TRUE(train().ok());
  // Half, whole; then (1 + cos(pi k / 4)) / 2 for k = 0..3.
  ASSERT_EQ(world_.factors.size(), 6U);
  const std::array<double, 6> wanted{0.5, 1, 1, 0.8535534, 0.5, 0.1464466};
  for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(world_.factors[i], wanted[i], 1e-6) << i;
}

TEST_F(TrainerTest, WithoutAKnownEndTheScheduleIsConstant) {
  recipe_.schedule = Schedule::kCosine;
  EXPECT_EQ(schedule_factor(recipe_, 12, 0), 1);
}

TEST_F(TrainerTest, ARoundsDeltaIsWhatTrainingAdded) {
  const TemporaryFolder data;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(write_file_atomically(data / cat(i, ".txt"), as_bytes(cat("text ", i, "\n"))).ok());
  }
  Workshop workshop(
      [this]() -> Result<std::unique_ptr<Engine>> {
        return std::unique_ptr<Engine>(std::make_unique<FakeEngine>(base_, world_));
      },
      data.path(), {});
  const ManualClock clock;
  const auto trainer = local_trainer(workshop, clock, 7);
  RoundTrainer::Job job{{}, with_first(0.5F), {}, nullptr};
  job.plan.recipe = recipe_;
  job.plan.recipe.max_steps = 2;
  const auto delta = trainer->train(job).value();
  EXPECT_NEAR(delta.delta[0], 0.2, 1e-6);
  EXPECT_EQ(delta.delta[1], 0);
  EXPECT_GT(delta.examples, 0U);
}

TEST_F(TrainerTest, AConstantTrainerSendsItsValueEverywhere) {
  const auto delta = constant_trainer(0.001F)->train({{}, zeros(), {}, nullptr}).value();
  EXPECT_EQ(delta.delta, std::vector<float>(zeros().values().size(), 0.001F));
}

} // namespace
} // namespace coppice
