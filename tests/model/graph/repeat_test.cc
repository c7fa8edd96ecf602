// SPDX-License-Identifier: Apache-2.0
// The same bits for any number of threads, and from run to run.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {
namespace {

struct Outcome {
  std::vector<float> trained;
  std::vector<double> losses;
  std::vector<double> scores;
  std::vector<float> logits;
  std::vector<TokenId> text;
};

void expect_same(const Outcome& one, const Outcome& other, const char* what) {
  EXPECT_EQ(one.trained, other.trained) << what;
  EXPECT_EQ(one.losses, other.losses) << what;
  EXPECT_EQ(one.scores, other.scores) << what;
  EXPECT_EQ(one.logits, other.logits) << what;
  EXPECT_EQ(one.text, other.text) << what;
}

Outcome everything(const std::shared_ptr<const BaseModel>& base, unsigned threads) {
  const auto engine = engine_for(base, threads);
  const Adapter frozen = random_adapter(*base, 3, 1);
  const std::vector<AdapterUse> adapters = {{.adapter = &frozen}};
  Outcome outcome;

  // Lengths that are no multiple of any block, and more tokens than one.
  const std::size_t length = std::min<std::size_t>(base->config().context - 5, 151);
  Batch batch;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    batch.sequences.push_back(random_sequence(*base, length - seed, seed));
  }
  std::vector<TrainJob> jobs(1, TrainJob{.frozen = adapters,
                                         .start = random_start(*base, 5, 2),
                                         .optimizer = {.max_gradient_norm = 0.5F}});
  const auto session = engine->start_training(jobs).value();
  for (int step = 0; step < 2; ++step) {
    const auto results = session->step({&batch, 1}).value();
    outcome.losses.insert(outcome.losses.end(), {results[0].loss, results[0].gradient_norm});
  }
  const Adapter trained = session->adapter(0).value();
  outcome.trained.assign(trained.values().begin(), trained.values().end());

  const auto scores = engine->score(adapters, batch.sequences).value();
  for (const Score& score : scores) {
    outcome.scores.push_back(score.nats);
    outcome.scores.push_back(static_cast<double>(score.correct));
  }
  outcome.logits = engine->logits(adapters, batch.sequences[0].tokens).value();
  GenerateRequest request{
      .adapters = adapters, .prompt = random_tokens(*base, 7, 4), .max_tokens = 40};
  request.sampler = {.temperature = 1.0F, .top_k = 0, .top_p = 1.0F, .seed = 3};
  outcome.text = engine->generate(request).value().tokens;
  return outcome;
}

void expect_same_bits(const std::shared_ptr<const BaseModel>& base) {
  const Outcome one = everything(base, 1);
  expect_same(one, everything(base, 1), "from run to run");
  expect_same(one, everything(base, 2), "two threads");
  expect_same(one, everything(base, 4), "four threads");
}

TEST(Repeat, MixedBlockTypesGiveTheSameBitsForAnyThreads) { expect_same_bits(mixed_tiny_model()); }

TEST(Repeat, TheRepositoryModelGivesTheSameBitsForAnyThreads) {
  expect_same_bits(repository_model());
}

} // namespace
} // namespace coppice::graph
