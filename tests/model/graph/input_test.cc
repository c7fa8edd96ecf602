// SPDX-License-Identifier: Apache-2.0
// What the engine refuses, with a code and a sentence.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {
namespace {

using testing::HasSubstr;

class EngineInput : public testing::Test {
 protected:
  template <typename T>
  static void expect_refused(const Result<T>& result, const char* why) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(result.error().message, HasSubstr(why));
  }
  static std::vector<TrainJob> job(const Adapter& start, OptimizerSettings optimizer = {}) {
    return {TrainJob{
        .frozen = {}, .start = std::make_shared<const Adapter>(start), .optimizer = optimizer}};
  }

  std::shared_ptr<const BaseModel> base_ = float_tiny_model();
  std::unique_ptr<Engine> engine_ = engine_for(base_, 1);
  Sequence good_ = random_sequence(*base_, 10, 1);
};

TEST_F(EngineInput, TokensOutsideTheVocabularyAreRefused) {
  Sequence bad = good_;
  const auto outside = static_cast<TokenId>(base_->config().vocabulary);
  bad.tokens[3] = outside;
  expect_refused(engine_->score({}, {&bad, 1}), std::to_string(outside).c_str());
  bad.tokens[3] = -1;
  expect_refused(engine_->score({}, {&bad, 1}), "-1");
  expect_refused(engine_->logits({}, bad.tokens), "-1");
  expect_refused(engine_->generate({.adapters = {}, .prompt = {3000}, .max_tokens = 1}), "3000");
}

TEST_F(EngineInput, TextsThatAreEmptyOrLongerThanTheContextAreRefused) {
  const Sequence bad = random_sequence(*base_, 65, 1);
  expect_refused(engine_->score({}, {&bad, 1}), "context is 64");
  expect_refused(engine_->generate({.adapters = {}, .prompt = bad.tokens, .max_tokens = 1}),
                 "context is 64");
  expect_refused(engine_->generate({.adapters = {}, .prompt = {}, .max_tokens = 1}),
                 "at least one");
  const Sequence empty;
  expect_refused(engine_->score({}, {&empty, 1}), "at least one");
}

TEST_F(EngineInput, TargetsMustMarkTokensThatHaveOneBeforeThem) {
  Sequence bad = good_;
  bad.targets.pop_back();
  expect_refused(engine_->score({}, {&bad, 1}), "9 target marks");
  bad = good_;
  bad.targets[0] = 1;
  expect_refused(engine_->score({}, {&bad, 1}), "first token");
}

TEST_F(EngineInput, AnAdapterForAnotherBaseIsRefused) {
  const auto other = mixed_tiny_model();
  const Adapter foreign = random_adapter(*other, 2, 1);
  const std::vector<AdapterUse> adapters = {{.adapter = &foreign}};
  expect_refused(engine_->score(adapters, {&good_, 1}), "blk.0.attn_q");
  expect_refused(engine_->logits(adapters, good_.tokens), "blk.0.attn_q");
  expect_refused(engine_->generate({.adapters = adapters, .prompt = {1}, .max_tokens = 1}),
                 "blk.0.attn_q");
  expect_refused(engine_->start_training(job(foreign)), "blk.0.attn_q");

  AdapterSpec spec = random_adapter(*base_, 2, 1).spec();
  spec.architecture = "gemma2";
  const Adapter stranger(std::make_shared<const AdapterSpec>(spec));
  expect_refused(engine_->start_training(job(stranger)), "gemma2");
  spec.architecture = "llama";
  spec.targets[0].tensor = "blk.7.attn_q";
  const Adapter deeper(std::make_shared<const AdapterSpec>(spec));
  expect_refused(engine_->start_training(job(deeper)), "blk.7.attn_q");
}

TEST_F(EngineInput, JobsThatCannotTrainTogetherAreRefused) {
  expect_refused(engine_->start_training({}), "at least one job");
  std::vector<TrainJob> jobs = job(random_adapter(*base_, 2, 1));
  jobs.push_back(job(random_adapter(*base_, 4, 1))[0]);
  expect_refused(engine_->start_training(jobs), "one spec");
}

TEST_F(EngineInput, SettingsWithoutMeaningAreRefused) {
  const Adapter start = random_adapter(*base_, 2, 1);
  expect_refused(engine_->start_training(job(start, {.learning_rate = std::nanf("")})),
                 "learning rate");
  expect_refused(engine_->start_training(job(start, {.beta2 = 1.0F})), "betas");
  expect_refused(engine_->start_training(job(start, {.weight_decay = -1.0F})), "weight decay");
  expect_refused(engine_->start_training(job(start, {.train_a = false, .train_b = false})),
                 "train_a");
  expect_refused(open_engine(base_, {.threads = 0}), "at least one thread");
}

TEST_F(EngineInput, BatchesThatTeachNothingAreRefused) {
  const auto session = engine_->start_training(job(random_adapter(*base_, 2, 1))).value();
  const Batch empty;
  expect_refused(session->step({&empty, 1}), "predicts no token");
  Batch silent{.sequences = {good_}};
  silent.sequences[0].targets.assign(10, 0);
  expect_refused(session->step({&silent, 1}), "predicts no token");
  expect_refused(session->step({}), "a batch for each");
  expect_refused(session->gradient(1, silent), "no client 1");
  expect_refused(session->adapter(1), "no client 1");
  expect_refused(session->values(1), "no client 1");
  expect_refused(session->score({}), "texts for each");
}

// Two clients, each with two texts: what isn't finite of the one reaches nothing of the other.
TEST_F(EngineInput, AClientWhoseLossIsNoNumberIsNotUpdatedAndTheOthersAre) {
  std::vector<TrainJob> jobs{job(random_adapter(*base_, 2, 1), {.learning_rate = 1e30F})[0],
                             job(random_adapter(*base_, 2, 2))[0]};
  std::vector<Batch> batches(2);
  batches[0].sequences = {good_, random_sequence(*base_, 7, 2)};
  batches[1].sequences = {random_sequence(*base_, 9, 3), random_sequence(*base_, 14, 4)};
  const auto session = engine_->start_training(jobs).value();
  ASSERT_TRUE(session->step(batches).ok());
  const Adapter spoilt = session->adapter(0).value();
  const auto second = session->step(batches).value();
  EXPECT_TRUE(std::isnan(second[0].loss));
  EXPECT_TRUE(std::ranges::equal(session->values(0).value(), spoilt.values()));
  EXPECT_THAT(session->gradient(0, batches[0]).error().message, HasSubstr("no finite number"));

  const auto alone = engine_->start_training({jobs[1]}).value();
  ASSERT_TRUE(alone->step({&batches[1], 1}).ok());
  EXPECT_NEAR(second[1].loss, alone->step({&batches[1], 1}).value()[0].loss, 1e-5);
  EXPECT_LT(relative_difference(session->values(1).value(), alone->values(0).value()), 1e-3);
}

} // namespace
} // namespace coppice::graph
