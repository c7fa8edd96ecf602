// SPDX-License-Identifier: Apache-2.0
#include "client/trainer.h"

#include <gmock/gmock.h>

#include "client/train_checkpoint.h"
#include "protocol/learning_rates.h"
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
  TrainRequest request() {
    return {.recipe = recipe_,
            .randomness = {},
            .frozen = {},
            .start = start(),
            .now = [this] { return now_; },
            .deadline = deadline_,
            .stop = &stop_,
            .on_step = {},
            .checkpoint = checkpoint_};
  }
  Result<TrainOutcome> train() { return train_adapter(engine_, examples_, request()); }
  ExampleSet examples_;
  Recipe recipe_;
  Millis now_{1'000};
  Millis deadline_{0};
  std::atomic<bool> stop_{false};
  std::optional<Checkpointing> checkpoint_;
};

// Text whose windows differ, an early stop, and a checkpoint.
class CheckpointedTrainerTest : public TrainerTest {
 protected:
  CheckpointedTrainerTest() {
    for (std::size_t i = 0; i < examples_.train.size(); ++i) {
      examples_.train[i].tokens[0] = static_cast<TokenId>(10 + i);
    }
    world_.best = 0.45;
    world_.train_best = 2;
    recipe_.max_steps = 14;
    recipe_.evaluate_every = 3;
    recipe_.early_stop_patience = 3;
    recipe_.schedule = Schedule::kCosine;
    world_.on_step = [this] { now_ = now_ + Millis{100}; };
  }
  Checkpointing kept_at(const char* name) const {
    return {.file = folder_ / name, .base = {}, .every_steps = 0, .every = {}};
  }
  static void expect_same(const TrainOutcome& one, const TrainOutcome& other) {
    EXPECT_TRUE(std::ranges::equal(one.adapter.values(), other.adapter.values()));
    EXPECT_EQ(one.gate_before, other.gate_before);
    EXPECT_EQ(one.gate_after, other.gate_after);
    EXPECT_EQ(one.loss_first, other.loss_first);
    EXPECT_EQ(one.loss_last, other.loss_last);
    EXPECT_EQ(one.steps, other.steps);
    EXPECT_EQ(one.tokens, other.tokens);
    EXPECT_EQ(one.examples, other.examples);
    EXPECT_NEAR(one.seconds, other.seconds, 1e-9);
  }
};

// Every place at which work is asked for: steps, looks at gate text, the last score.
TEST_F(CheckpointedTrainerTest, StoppedAnywhereItGoesOnAsIfItNeverHadBeen) {
  const TrainOutcome whole = train().value();
  ASSERT_GT(whole.steps, 9U);
  const auto factors = std::exchange(world_.factors, {});
  const auto order = std::exchange(world_.first_tokens, {});
  int places = 0; // all of them in a whole run
  const auto count_to = [&](int place) {
    places = 0;
    const auto passes = [this, place, &places] {
      if (++places == place) stop_ = true;
    };
    world_.on_score = passes;
    world_.on_step = [this, passes] {
      now_ = now_ + Millis{100};
      passes();
    };
  };
  for (int place = 1;; ++place) {
    SCOPED_TRACE(place);
    checkpoint_ = kept_at("stopped");
    world_.factors.clear();
    world_.first_tokens.clear();
    count_to(place);
    const auto first = train();
    if (first.ok()) { // the place was after its end
      EXPECT_GT(place, static_cast<int>(whole.steps));
      break;
    }
    ASSERT_EQ(first.error().code, ErrorCode::kCancelled);
    stop_ = false;
    count_to(0);
    now_ = now_ + Millis{1'000'000}; // asleep
    const TrainOutcome second = train().value();
    expect_same(second, whole);
    EXPECT_EQ(world_.factors, factors);
    EXPECT_EQ(world_.first_tokens, order);
    forget_checkpoint(checkpoint_->file);
  }
}

TEST_F(CheckpointedTrainerTest, ItIsWrittenAfterSoManyStepsOrSoLong) {
  checkpoint_ = kept_at("kept");
  recipe_.early_stop_patience = 0;
  std::vector<std::size_t> written; // the steps after which there was a newer file
  const auto watch = [&] {
    written.clear();
    fs::remove(checkpoint_->file);
    world_.factors.clear();
    world_.on_step = [&] {
      now_ = now_ + Millis{100};
      if (fs::remove(checkpoint_->file)) written.push_back(world_.factors.size() - 1);
    };
    EXPECT_EQ(train()->steps, 14U);
  };
  watch();
  EXPECT_THAT(written, ElementsAre());
  checkpoint_->every_steps = 5;
  watch();
  EXPECT_THAT(written, ElementsAre(5, 10));
  checkpoint_->every_steps = 0;
  checkpoint_->every = Millis{400};
  watch();
  EXPECT_THAT(written, ElementsAre(4, 8, 12));
}

TEST_F(CheckpointedTrainerTest, SecondsOfTheRecipeAreThoseThatItRan) {
  recipe_.max_steps = 1'000;
  recipe_.early_stop_patience = 0;
  recipe_.max_seconds = 2;
  checkpoint_ = kept_at("kept");
  world_.on_step = [this] {
    now_ = now_ + Millis{500};
    stop_ = world_.factors.size() == 3;
  };
  EXPECT_EQ(train().error().code, ErrorCode::kCancelled);
  stop_ = false;
  now_ = now_ + Millis{60'000};
  const auto outcome = train().value();
  EXPECT_EQ(outcome.resumed_at, 3U);
  EXPECT_EQ(outcome.steps, 4U);
}

TEST_F(CheckpointedTrainerTest, OneOfAnotherTrainingIsRefusedOrLeftBehindAsAsked) {
  checkpoint_ = kept_at("kept");
  world_.on_step = [this] { stop_ = true; };
  ASSERT_EQ(train().error().code, ErrorCode::kCancelled);
  stop_ = false;
  world_.on_step = {};
  const Bytes before = read_file(checkpoint_->file, 1 << 20).value();
  const auto refused = [&](auto& what, auto changed, const char* why) {
    const auto same = std::exchange(what, changed);
    const auto outcome = train();
    ASSERT_FALSE(outcome.ok()) << why;
    EXPECT_EQ(outcome.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(outcome.error().message, HasSubstr(why));
    EXPECT_THAT(outcome.error().message, HasSubstr(checkpoint_->file.string()));
    what = same;
  };
  refused(recipe_.learning_rate, 0.2F, "another recipe");
  refused(recipe_.seed, 7U, "another recipe");
  refused(examples_.train[0].tokens[3], TokenId{6}, "another text");
  refused(examples_.gate[0].targets[3], std::uint8_t{0}, "another text");
  Sha256 other;
  other.bytes[0] = 1;
  refused(checkpoint_->base, other, "another base model");
  EXPECT_EQ(read_file(checkpoint_->file, 1 << 20).value(), before);

  recipe_.learning_rate = 0.2F;
  checkpoint_->discard_unfit = true;
  const auto outcome = train().value();
  EXPECT_EQ(outcome.resumed_at, 0U);
  EXPECT_GT(outcome.steps, 3U);
}

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
  EXPECT_EQ(outcome.error().code, ErrorCode::kFailedPrecondition);
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

// Four clients of one session: each comes out as it does alone, whatever the others' budgets.
class PackTrainerTest : public CheckpointedTrainerTest {
 protected:
  PackTrainerTest() {
    world_.on_step = {};
    texts_.assign(4, examples_);
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      for (std::size_t k = 0; k < texts_[i].train.size(); ++k) {
        texts_[i].train[k].tokens[0] = static_cast<TokenId>(10 * (i + 1) + k);
      }
    }
    texts_[3].gate.clear(); // no early stop
  }
  TrainMember member(std::size_t client) {
    TrainMember made{&texts_[client], request()};
    made.request.randomness.client = client;
    made.request.recipe.max_steps = 3 + 4 * static_cast<std::uint32_t>(client);
    made.request.recipe.warmup_steps = static_cast<std::uint32_t>(client);
    if (client == 2) made.request.recipe.early_stop_patience = 1;
    return made;
  }
  std::vector<Result<TrainOutcome>> train_all(const ForEachClient& for_each = {}) {
    std::vector<TrainMember> members;
    for (std::size_t i = 0; i < texts_.size(); ++i) members.push_back(member(i));
    return train_adapters(engine_, std::move(members), for_each);
  }
  TrainOutcome train_alone(std::size_t client) {
    return train_adapter(engine_, texts_[client], member(client).request).value();
  }
  std::vector<ExampleSet> texts_;
};

TEST_F(PackTrainerTest, EachClientLearnsWhatItLearnsAlone) {
  std::size_t jobs = 0;
  const auto together = train_all([&jobs](std::size_t count, const auto& job) {
    for (std::size_t i = count; i > 0; --i) job(i - 1); // the other way round
    jobs += count;
  });
  EXPECT_THAT(world_.packs, ElementsAre(4));
  EXPECT_GE(jobs, 4U);
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    SCOPED_TRACE(i);
    expect_same(together[i].value(), train_alone(i));
  }
  EXPECT_EQ(together[3]->steps, 15U);
  EXPECT_LT(together[2]->steps, 11U); // its gate text ended it
}

TEST_F(PackTrainerTest, AClientThatFailsEndsAlone) {
  texts_[0].train.clear();
  world_.not_finite_at = 4; // of all steps in turn: the third client's second
  const auto together = train_all();
  EXPECT_THAT(together[0].error().message, HasSubstr("no text"));
  world_.not_finite_at.reset();
  for (std::size_t i = 1; i < texts_.size(); ++i) {
    SCOPED_TRACE(i);
    if (together[i].ok()) {
      expect_same(*together[i], train_alone(i));
    } else {
      EXPECT_THAT(together[i].error().message, HasSubstr("after 1 steps"));
    }
  }
  EXPECT_EQ(std::ranges::count_if(together, [](const auto& one) { return one.ok(); }), 2);
}

TEST_F(PackTrainerTest, StoppedEachGoesOnFromItsOwnCheckpoint) {
  std::vector<TrainMember> members;
  for (std::size_t i = 0; i < 2; ++i) {
    members.push_back(member(i));
    members.back().request.checkpoint = kept_at(i == 0 ? "first" : "second");
  }
  const auto again = members;
  world_.on_step = [this] { stop_ = world_.factors.size() >= 4; };
  for (const auto& one : train_adapters(engine_, std::move(members))) {
    ASSERT_EQ(one.error().code, ErrorCode::kCancelled);
  }
  stop_ = false;
  world_.on_step = {};
  const auto outcomes = train_adapters(engine_, again);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(outcomes[i]->resumed_at, 2U);
    expect_same(*outcomes[i], train_alone(i));
  }
}

TEST_F(TrainerTest, AConstantTrainerSendsItsValueEverywhere) {
  const auto delta = constant_trainer(0.001F)->train({RoundPlan{}, start(), {}, nullptr}).value();
  EXPECT_EQ(delta.delta, std::vector<float>(start()->values().size(), 0.001F));
}

} // namespace
} // namespace coppice
