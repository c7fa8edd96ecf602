// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {
namespace {

TrainJob job_of(Adapter start, OptimizerSettings optimizer = {}) {
  return {.frozen = {},
          .start = std::make_shared<const Adapter>(std::move(start)),
          .optimizer = optimizer};
}

std::vector<float> moved(const TrainSession& session, std::size_t client, const Adapter& start) {
  return delta_between(session.adapter(client).value(), start).value();
}

TEST(Training, ThreeClientsTogetherLearnWhatEachLearnsAlone) {
  const auto base = mixed_tiny_model();
  const auto engine = engine_for(base);
  const Adapter personal = random_adapter(*base, 2, 40, {"q_proj", "down_proj"});
  std::vector<TrainJob> jobs;
  std::vector<Batch> batches(3);
  for (std::uint64_t client = 0; client < 3; ++client) {
    jobs.push_back(job_of(random_adapter(*base, 4, client), {.learning_rate = 1e-3F}));
    for (std::uint64_t i = 0; i <= client; ++i) {
      batches[client].sequences.push_back(random_sequence(*base, 20 + 9 * i, 100 * client + i));
    }
  }
  jobs[1].frozen = {{.adapter = &personal}}; // lists may differ between clients
  const auto together = engine->start_training(jobs).value();
  EXPECT_EQ(together->clients(), 3U);
  const auto results = together->step(batches).value();
  for (std::size_t client = 0; client < 3; ++client) {
    const auto alone = engine->start_training({jobs[client]}).value();
    const auto own = alone->step({&batches[client], 1}).value();
    // Products over more rows may add in another order: float32 rounding over some 30 products.
    EXPECT_NEAR(results[client].loss, own[0].loss, 1e-5);
    EXPECT_NEAR(results[client].gradient_norm, own[0].gradient_norm, 1e-5 * own[0].gradient_norm);
    EXPECT_EQ(results[client].tokens, own[0].tokens);
    // Adam's first step has the size of the rate whatever the gradient's: where a gradient is
    // nearly zero, rounding decides its sign, so vectors are compared, not values.
    EXPECT_LT(relative_difference(moved(*together, client, *jobs[client].start),
                                  moved(*alone, 0, *jobs[client].start)),
              1e-2);
  }
}

// Texts of several lengths, another number of them each, under a frozen adapter and without.
TEST(Training, ASessionScoresEachClientAsTheEngineDoesUnderItsAdapters) {
  const auto base = mixed_tiny_model();
  const auto engine = engine_for(base);
  const Adapter personal = random_adapter(*base, 2, 40, {"q_proj", "down_proj"});
  std::vector<TrainJob> jobs;
  std::vector<Batch> batches(4);
  std::vector<std::vector<Sequence>> texts(4);
  for (std::uint64_t client = 0; client < 4; ++client) {
    jobs.push_back(job_of(random_adapter(*base, 4, client), {.learning_rate = 1e-3F}));
    batches[client].sequences = {random_sequence(*base, 20, client)};
    for (std::uint64_t i = 0; i < 2 * client; ++i) {
      texts[client].push_back(random_sequence(*base, 9 + 11 * i, 100 * client + i));
    }
  }
  jobs[1].frozen = {{.adapter = &personal, .strength = 0.5F}};
  const auto session = engine->start_training(jobs).value();
  ASSERT_TRUE(session->step(batches).ok());
  const std::vector<std::span<const Sequence>> views(texts.begin(), texts.end());
  const auto scores = session->score(views).value();
  EXPECT_EQ(scores[0].tokens, 0U);
  for (std::size_t client = 1; client < 4; ++client) {
    const Adapter present = session->adapter(client).value();
    std::vector<AdapterUse> uses = jobs[client].frozen;
    uses.push_back({.adapter = &present});
    const auto each = engine->score(uses, texts[client]).value();
    Score wanted;
    for (const Score& score : each) wanted += score;
    EXPECT_EQ(scores[client].tokens, wanted.tokens);
    EXPECT_NEAR(scores[client].nats, wanted.nats, 1e-5 * wanted.nats);
  }
}

TEST(Training, GradientsOfClientsTogetherEqualThoseAlone) {
  const auto base = float_tiny_model();
  const auto engine = engine_for(base);
  std::vector<TrainJob> jobs = {job_of(random_adapter(*base, 4, 1)),
                                job_of(random_adapter(*base, 4, 2))};
  const Batch batch{.sequences = {random_sequence(*base, 30, 3)}};
  const auto together = engine->start_training(jobs).value();
  for (std::size_t client = 0; client < 2; ++client) {
    const auto alone = engine->start_training({jobs[client]}).value();
    EXPECT_LT(relative_difference(together->gradient(client, batch).value().values(),
                                  alone->gradient(0, batch).value().values()),
              1e-5);
  }
}

// In float64: AdamW from Loshchilov and Hutter's algorithm 2 with PyTorch's order of operations,
// and SGD from the documentation of torch.optim.SGD (dampening 0, no Nesterov).
struct ReferenceOptimizer {
  OptimizerSettings settings;
  std::vector<double> start, values, first, second;
  int steps = 0;

  ReferenceOptimizer(std::vector<double> from, const OptimizerSettings& optimizer)
      : settings(optimizer),
        start(std::move(from)),
        values(start),
        first(start.size()),
        second(start.size()) {}

  void step(std::span<const float> loss_gradient, double rate_factor) {
    std::vector<double> gradient(loss_gradient.begin(), loss_gradient.end());
    double squares = 0;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      gradient[i] += double{settings.proximal_mu} * (values[i] - start[i]);
      squares += gradient[i] * gradient[i];
    }
    const double norm = std::sqrt(squares), limit = double{settings.max_gradient_norm};
    const double clip = limit > 0 ? std::min(1.0, limit / (norm + 1e-6)) : 1.0;
    const double rate = double{settings.learning_rate} * rate_factor;
    const double beta1 = double{settings.beta1}, beta2 = double{settings.beta2};
    ++steps;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      const double g = gradient[i] * clip;
      if (settings.kind == OptimizerKind::kSgd) {
        const double decayed = g + double{settings.weight_decay} * values[i];
        first[i] = double{settings.momentum} * first[i] + decayed;
        values[i] -= rate * first[i];
        continue;
      }
      values[i] -= rate * double{settings.weight_decay} * values[i];
      first[i] = beta1 * first[i] + (1 - beta1) * g;
      second[i] = beta2 * second[i] + (1 - beta2) * g * g;
      const double mean = first[i] / (1 - std::pow(beta1, steps));
      const double size = std::sqrt(second[i] / (1 - std::pow(beta2, steps)));
      values[i] -= rate * mean / (size + double{settings.epsilon});
    }
  }
};

void expect_as_reference(const OptimizerSettings& settings) {
  const auto base = float_tiny_model();
  const auto engine = engine_for(base);
  const Adapter start = random_adapter(*base, 3, 6);
  const auto session = engine->start_training({job_of(start, settings)}).value();
  ReferenceOptimizer reference({start.values().begin(), start.values().end()}, settings);
  for (std::uint64_t step = 0; step < 5; ++step) {
    const float factor = 1.0F - 0.1F * static_cast<float>(step);
    const Batch batch{.sequences = {random_sequence(*base, 24, step)},
                      .learning_rate_factor = factor};
    const Adapter gradient = session->gradient(0, batch).value();
    reference.step(gradient.values(), double{factor});
    ASSERT_TRUE(session->step({&batch, 1}).ok());
  }
  const Adapter trained = session->adapter(0).value();
  // Each step rounds a value of size 0.2 once or twice (2^-24 of it) and its own size of at most
  // the rate some ten times: after five steps below 1e-7. Gradients differ as the values do, far
  // below.
  for (std::size_t i = 0; i < trained.values().size(); ++i) {
    ASSERT_NEAR(double{trained.values()[i]}, reference.values[i], 2e-7) << "value " << i;
  }
}

TEST(Training, StepsAreAdamW) { expect_as_reference({.learning_rate = 1e-2F}); }

TEST(Training, StepsAreSgdWithMomentumAndDecay) {
  expect_as_reference({.kind = OptimizerKind::kSgd, .learning_rate = 0.1F});
  expect_as_reference({.kind = OptimizerKind::kSgd,
                       .momentum = 0.9F,
                       .learning_rate = 0.05F,
                       .weight_decay = 0.1F,
                       .max_gradient_norm = 0.05F,
                       .proximal_mu = 0.5F});
}

TEST(Training, StepsDecayClipAndPullTowardsTheStart) {
  expect_as_reference(
      {.learning_rate = 1e-2F,
       .beta1 = 0.8F,
       .beta2 = 0.95F,
       .epsilon = 1e-4F, // large enough for the gradient's scale, and so clipping, to matter
       .weight_decay = 0.1F,
       .max_gradient_norm = 0.05F,
       .proximal_mu = 0.5F});
}

// Of a core the optimizer's values are its own coordinates: B moves by U (C - C0).
void expect_cores_as_reference(OptimizerSettings settings) {
  settings.train_a = false;
  const auto base = float_tiny_model();
  const auto engine = engine_for(base);
  TrainJob job = job_of(random_adapter(*base, 3, 16), settings);
  const auto basis = std::make_shared<const CoreBasis>(*job.start);
  job.core = basis;
  const auto session = engine->start_training({job}).value();
  const std::vector<double> first = basis->cores(job.start->values());
  ReferenceOptimizer reference(first, settings);
  for (std::uint64_t step = 0; step < 4; ++step) {
    const Batch batch{.sequences = {random_sequence(*base, 24, step)}};
    const auto cores = basis->cores(session->gradient(0, batch).value().values());
    reference.step(std::vector<float>(cores.begin(), cores.end()), 1);
    ASSERT_TRUE(session->step({&batch, 1}).ok());
  }
  std::vector<double> change = reference.values;
  for (std::size_t i = 0; i < change.size(); ++i) change[i] -= first[i];
  const std::vector<double> wanted = basis->in_place(change);
  const Adapter trained = session->adapter(0).value();
  // As above, and a value is the sum of three cores' steps besides.
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_NEAR(double{trained.values()[i]}, double{job.start->values()[i]} + wanted[i], 1e-6)
        << "value " << i;
  }
}

TEST(Training, StepsOfCoresAreThoseOfAnOptimizerThatHasOnlyThem) {
  expect_cores_as_reference({.learning_rate = 1e-2F});
  expect_cores_as_reference({.learning_rate = 1e-2F,
                             .epsilon = 1e-4F,
                             .weight_decay = 0.1F,
                             .max_gradient_norm = 0.05F,
                             .proximal_mu = 0.5F});
  expect_cores_as_reference({.kind = OptimizerKind::kSgd, .momentum = 0.9F, .learning_rate = 0.1F});
}

TEST(Training, AFrozenAOrBKeepsItsBits) {
  const auto base = float_tiny_model();
  const auto engine = engine_for(base);
  const Adapter start = random_adapter(*base, 4, 7);
  const Batch batch{.sequences = {random_sequence(*base, 20, 8)}};
  for (const bool train_a : {false, true}) {
    const auto session =
        engine
            ->start_training(
                {job_of(start, {.weight_decay = 0.1F, .train_a = train_a, .train_b = !train_a})})
            .value();
    ASSERT_TRUE(session->step({&batch, 1}).ok());
    const Adapter after = session->adapter(0).value();
    for (std::size_t target = 0; target < start.targets(); ++target) {
      EXPECT_EQ(std::ranges::equal(after.a(target), start.a(target)), !train_a);
      EXPECT_EQ(std::ranges::equal(after.b(target), start.b(target)), train_a);
    }
  }
}

TEST(Training, LowersTheLossThatItReportsAndScoresAgree) {
  const auto base = repository_model();
  const auto engine = engine_for(base);
  const std::vector<std::string> all = {"all-linear"};
  const auto spec = std::make_shared<const AdapterSpec>(
      base->make_spec(8, 16, LoraScaling::kStandard, all).value());
  const Batch batch{.sequences = {random_sequence(*base, 48, 1), random_sequence(*base, 32, 2)}};
  const auto session =
      engine->start_training({job_of(Adapter::initial(spec, 5), {.learning_rate = 5e-3F})}).value();
  const double first = session->step({&batch, 1}).value()[0].loss;
  double last = first;
  for (int step = 0; step < 12; ++step) last = session->step({&batch, 1}).value()[0].loss;
  EXPECT_LT(last, 0.7 * first) << "two sequences are quickly learned by heart";

  const Adapter trained = session->adapter(0).value();
  const std::vector<AdapterUse> adapters = {{.adapter = &trained}};
  Score total;
  const auto scores = engine->score(adapters, batch.sequences).value();
  for (const Score& score : scores) {
    total.nats += score.nats;
    total.tokens += score.tokens;
  }
  const StepResult next = session->step({&batch, 1}).value()[0];
  EXPECT_EQ(next.tokens, total.tokens);
  EXPECT_NEAR(next.loss, total.nats / static_cast<double>(total.tokens), 1e-5);
}

TEST(Training, TwoStackedAdaptersAreTheirSum) {
  const auto base = float_tiny_model();
  const auto engine = engine_for(base);
  const Adapter first = random_adapter(*base, 4, 1);
  Adapter twice = first; // the same A, so that the sum of the two is B + B
  for (std::size_t target = 0; target < twice.targets(); ++target) {
    for (float& value : twice.b(target)) value *= 2.0F;
  }
  const auto tokens = random_tokens(*base, 20, 1);
  const std::vector<AdapterUse> stacked = {{.adapter = &first}, {.adapter = &first}};
  const std::vector<AdapterUse> stronger = {{.adapter = &first, .strength = 2.0F}};
  const std::vector<AdapterUse> doubled = {{.adapter = &twice}};
  const auto expected = engine->logits(doubled, tokens).value();
  EXPECT_LT(relative_difference(engine->logits(stacked, tokens).value(), expected), 1e-5);
  EXPECT_LT(relative_difference(engine->logits(stronger, tokens).value(), expected), 1e-5);
  EXPECT_GT(relative_difference(engine->logits({}, tokens).value(), expected), 1e-2);
}

} // namespace
} // namespace coppice::graph
