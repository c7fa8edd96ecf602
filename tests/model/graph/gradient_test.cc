// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "tests/model/graph/reference_model.h"
#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {
namespace {

// A float32 product of n terms, added in any order, is off by about sqrt(n) 2^-24 of its size; the
// largest n here is 288, so 1e-6. A logit has 2 layers x 7 + 1 = 15 of them behind it, which add up
// in quadrature: 4e-6 of the logits' size. Five times that for norms, softmax and exponentials.
constexpr double kForwardTolerance = 2e-5;

double largest(const std::vector<double>& values) {
  double most = 0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return most;
}

void expect_logits_of_reference(const std::shared_ptr<const BaseModel>& base) {
  const Adapter shared = random_adapter(*base, 4, 11), personal = random_adapter(*base, 2, 12);
  const std::vector<AdapterUse> adapters = {{.adapter = &shared},
                                            {.adapter = &personal, .strength = 0.5F}};
  const auto tokens = random_tokens(*base, 20, 3);
  const auto expected = ReferenceModel(*base).logits(adapters, tokens);
  const auto logits = engine_for(base)->logits(adapters, tokens).value();
  ASSERT_EQ(logits.size(), expected.size());
  const double tolerance = kForwardTolerance * largest(expected);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    ASSERT_NEAR(double{logits[i]}, expected[i], tolerance) << "value " << i;
  }
}

TEST(Forward, GivesTheReferenceLogitsOverMixedBlockTypesAndTwoAdapters) {
  expect_logits_of_reference(mixed_tiny_model());
}

TEST(Forward, GivesTheReferenceLogitsWithATiedHead) {
  expect_logits_of_reference(float_tiny_model());
}

TEST(Forward, ScoresAreTheReferenceLossHoweverSequencesAreGrouped) {
  const auto base = mixed_tiny_model();
  const auto engine = engine_for(base);
  const ReferenceModel reference(*base);
  std::vector<Sequence> sequences;
  for (const std::size_t length : {2U, 30U, 7U, 64U}) {
    sequences.push_back(random_sequence(*base, length, length));
  }
  sequences[3].targets.assign(64, 0);
  for (std::size_t i = 40; i < 64; ++i) sequences[3].targets[i] = 1;
  const auto together = engine->score({}, sequences).value();
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const auto alone = engine->score({}, {&sequences[i], 1}).value();
    const double expected = reference.nats({}, sequences[i]);
    // Random logits have a size of about 5, so a token's loss is off by 5 times the relative error.
    const double tolerance = 5 * kForwardTolerance * static_cast<double>(together[i].tokens);
    EXPECT_NEAR(together[i].nats, expected, tolerance);
    EXPECT_NEAR(alone[0].nats, together[i].nats, tolerance);
    EXPECT_EQ(alone[0].tokens, together[i].tokens);
  }
  EXPECT_EQ(together[3].tokens, 24U);
}

// d(loss)/d(value) of the reference in float64, by a central difference. The step's error is
// h^2 / 6 of the third derivative: with h = 2^-9 under 1e-5 of the gradient's size here.
double reference_slope(const ReferenceModel& reference, const std::vector<AdapterUse>& adapters,
                       float& value, const Batch& batch) {
  const float before = value;
  double loss[2], at[2];
  double tokens = 0;
  for (const int side : {0, 1}) {
    value = before + (side == 0 ? -1.0F : 1.0F) / 512.0F;
    at[side] = double{value};
    loss[side] = 0;
    for (const Sequence& sequence : batch.sequences)
      loss[side] += reference.nats(adapters, sequence);
  }
  value = before;
  for (const Sequence& sequence : batch.sequences) {
    tokens += static_cast<double>(std::count(sequence.targets.begin(), sequence.targets.end(), 1));
  }
  return (loss[1] - loss[0]) / tokens / (at[1] - at[0]);
}

// Two values of every A and every B, against the reference with a frozen adapter below.
void expect_gradient_of_reference(const std::shared_ptr<const BaseModel>& base) {
  const Adapter frozen = random_adapter(*base, 2, 21);
  Adapter trained = random_adapter(*base, 4, 22);
  Batch batch{.sequences = {random_sequence(*base, 9, 5), random_sequence(*base, 6, 6)}};
  batch.sequences[1].targets = {0, 0, 0, 1, 1, 1};

  const auto engine = engine_for(base);
  std::vector<TrainJob> jobs(1, TrainJob{.frozen = {{.adapter = &frozen, .strength = 0.5F}},
                                         .start = std::make_shared<const Adapter>(trained),
                                         .optimizer = {}});
  const auto session = engine->start_training(jobs).value();
  const Adapter gradient = session->gradient(0, batch).value();

  const ReferenceModel reference(*base);
  const std::vector<AdapterUse> adapters = {{.adapter = &frozen, .strength = 0.5F},
                                            {.adapter = &trained}};
  KeyedRandom random({.experiment = 4, .purpose = RandomPurpose::kTest});
  const auto expect_slopes = [&](std::span<float> values, std::span<const float> slopes,
                                 const std::string& name) {
    const float most = std::abs(*std::max_element(
        slopes.begin(), slopes.end(), [](float a, float b) { return std::abs(a) < std::abs(b); }));
    ASSERT_GT(most, 0.0F) << name;
    for (int sample = 0; sample < 2; ++sample) {
      const auto i = static_cast<std::size_t>(random.below(values.size()));
      // The backward pass is as long as the forward one twice over, and the difference adds 1e-5.
      EXPECT_NEAR(double{slopes[i]}, reference_slope(reference, adapters, values[i], batch),
                  5 * kForwardTolerance * double{most})
          << name << " value " << i;
    }
  };
  for (std::size_t target = 0; target < trained.targets(); ++target) {
    const std::string& name = trained.spec().targets[target].tensor;
    expect_slopes(trained.a(target), gradient.a(target), name + " A");
    expect_slopes(trained.b(target), gradient.b(target), name + " B");
  }
}

TEST(Gradient, IsTheReferenceSlopeOverMixedBlockTypes) {
  expect_gradient_of_reference(mixed_tiny_model());
}

TEST(Gradient, IsTheReferenceSlopeWithATiedHead) {
  expect_gradient_of_reference(float_tiny_model());
}

TEST(Gradient, OfAStepInSeveralPassesIsThatOfOne) {
  const auto base = mixed_tiny_model();
  const auto roomy =
      open_engine(base, {.threads = 2, .precision = EnginePrecision::kFloat32}).value();
  // Room for one sequence at most: each is a pass of its own.
  const auto narrow = open_engine(base, {.threads = 2,
                                         .activation_bytes = kLeastActivationBytes,
                                         .precision = EnginePrecision::kFloat32})
                          .value();
  Batch batch;
  for (std::uint64_t i = 0; i < 5; ++i) {
    batch.sequences.push_back(random_sequence(*base, 10 + 7 * i, i));
  }
  std::vector<TrainJob> jobs(
      1, TrainJob{.frozen = {}, .start = random_start(*base, 4, 9), .optimizer = {}});
  const auto whole = roomy->start_training(jobs).value();
  const auto parts = narrow->start_training(jobs).value();
  // The same sums in another order: float32 rounding.
  EXPECT_LT(relative_difference(parts->gradient(0, batch).value().values(),
                                whole->gradient(0, batch).value().values()),
            1e-5);
  const StepResult one = whole->step({&batch, 1}).value()[0];
  const StepResult five = parts->step({&batch, 1}).value()[0];
  EXPECT_NEAR(five.loss, one.loss, 1e-5);
  EXPECT_EQ(five.tokens, one.tokens);
}

} // namespace
} // namespace coppice::graph
