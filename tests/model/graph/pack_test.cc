// SPDX-License-Identifier: Apache-2.0
// Clients that train side by side: what each of them gets, and that it repeats.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/graph/packed/packed_engine.h"
#include "model/graph/packed/packs.h"
#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {
namespace {

using testing::HasSubstr;

constexpr std::size_t kClients = 5;
constexpr std::uint64_t kSteps = 3;

struct Outcome {
  std::vector<double> losses;
  std::vector<std::vector<float>> adapters;
};

Result<std::unique_ptr<Engine>> packed_engine(const std::shared_ptr<const BaseModel>& base,
                                              const std::string& device, bool exact,
                                              std::uint64_t bytes = std::uint64_t{1} << 30U) {
  const auto precision = exact ? EnginePrecision::kFloat32 : EnginePrecision::kBfloat16;
  return packed::make_packed_engine(
      base, {.activation_bytes = bytes, .precision = precision, .device = device});
}

std::vector<TrainJob> jobs_for(const BaseModel& base) {
  std::vector<TrainJob> jobs;
  for (std::uint64_t client = 0; client < kClients; ++client) {
    jobs.push_back({.frozen = {},
                    .start = random_start(base, 4, client),
                    .optimizer = {.learning_rate = 1e-3F, .epsilon = 1e-4F}});
  }
  return jobs;
}

// Ragged: client k has k % 3 + 1 sequences of lengths of its own, and rests once its budget of
// steps is spent.
Batch batch_of(const BaseModel& base, std::uint64_t client, std::uint64_t step) {
  Batch batch;
  const std::uint64_t budget = client == 1 ? 1 : kSteps;
  for (std::uint64_t i = 0; step < budget && i <= client % 3; ++i) {
    batch.sequences.push_back(random_sequence(base, 9 + 7 * client + 3 * i, 100 * client + i));
  }
  return batch;
}

Outcome train(Engine& engine, const std::vector<TrainJob>& jobs,
              const std::vector<std::uint64_t>& clients) {
  Outcome outcome;
  const auto session = engine.start_training(jobs).value();
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    std::vector<Batch> batches;
    for (const std::uint64_t client : clients) {
      batches.push_back(batch_of(engine.base(), client, step));
    }
    const bool all_rest =
        std::ranges::all_of(batches, [](const Batch& batch) { return batch.sequences.empty(); });
    if (all_rest) continue;
    const auto results = session->step(batches).value();
    for (const StepResult& result : results) outcome.losses.push_back(result.loss);
  }
  for (std::size_t client = 0; client < clients.size(); ++client) {
    const Adapter adapter = session->adapter(client).value();
    outcome.adapters.emplace_back(adapter.values().begin(), adapter.values().end());
  }
  return outcome;
}

std::vector<float> moved(const std::vector<float>& to, const Adapter& from) {
  std::vector<float> change(to);
  for (std::size_t i = 0; i < change.size(); ++i) change[i] -= from.values()[i];
  return change;
}

// How far apart what the pack taught each client is from what it learns alone.
double worst_difference(Engine& engine) {
  const auto jobs = jobs_for(engine.base());
  const Outcome together = train(engine, jobs, {0, 1, 2, 3, 4});
  double worst = 0;
  for (std::uint64_t client = 0; client < kClients; ++client) {
    const Outcome alone = train(engine, {jobs[client]}, {client});
    worst =
        std::max(worst, relative_difference(moved(together.adapters[client], *jobs[client].start),
                                            moved(alone.adapters[0], *jobs[client].start)));
  }
  return worst;
}

TEST(Packs, OfRaggedClientsWithBudgetsTeachEachWhatItLearnsAlone) {
  // Rounding of some 30 products of float32, 6e-8 each, grown by Adam where a gradient is small
  // against epsilon.
  const auto exact = packed_engine(mixed_tiny_model(), "cpu", true).value();
  EXPECT_LT(worst_difference(*exact), 1e-3);
  // bfloat16 rounds 65,000 times coarser; products of other shapes may round elsewhere.
  const auto rounded = packed_engine(mixed_tiny_model(), "cpu", false).value();
  EXPECT_LT(worst_difference(*rounded), 0.1);
}

packed::ClientSequences row_of(std::size_t client, const std::vector<Sequence>& texts) {
  packed::ClientSequences row{.client = client, .sequences = {}, .places = {}};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    row.sequences.push_back(&texts[i]);
    row.places.push_back(i);
  }
  return row;
}

std::vector<Sequence> texts_of(const std::vector<std::size_t>& lengths) {
  std::vector<Sequence> texts;
  for (const std::size_t length : lengths) {
    std::vector<TokenId> tokens;
    for (std::size_t i = 0; i < length; ++i) tokens.push_back(static_cast<TokenId>(i + 1));
    texts.push_back(whole_sequence(tokens));
  }
  return texts;
}

// Each token stands at one place of its row and at one of its sequence, and the two name each
// other; the others name one of their own row's.
TEST(Packs, LayEachTokenOutOnceInRowsAndOnceInSequences) {
  const auto one = texts_of({5, 11, 3}), two = texts_of({16});
  const auto packs = packed::make_packs({row_of(0, one), row_of(1, two)}, 1000, true);
  ASSERT_EQ(packs.size(), 1U);
  EXPECT_EQ(packs[0].width, 24);
  EXPECT_EQ(packs[0].sequences, 4);
  EXPECT_EQ(packs[0].length, 16);
  const packed::PackRows layout = packed::lay_out(packs[0]);
  const auto& rows = layout.into_rows;
  const auto& sequences = layout.into_sequences;
  ASSERT_EQ(rows.places.size(), 2U * 24);
  ASSERT_EQ(sequences.places.size(), 4U * 16);
  std::size_t filled = 0;
  for (std::size_t i = 0; i < sequences.places.size(); ++i) {
    const auto place = static_cast<std::size_t>(sequences.places[i]);
    EXPECT_EQ(place / 24, i / 16 < 3 ? 0U : 1U) << i;
    if (sequences.filled[i] == 0) continue;
    ++filled;
    EXPECT_EQ(rows.places[place], static_cast<std::int64_t>(i));
    EXPECT_EQ(rows.filled[place], 1);
    EXPECT_EQ(layout.ids[place], static_cast<std::int64_t>(i % 16 + 1)); // the i-th of its text
  }
  EXPECT_EQ(filled, 5U + 11 + 3 + 16);
  EXPECT_EQ(std::ranges::count(rows.filled, 1.0F), 5 + 11 + 3 + 16);
  EXPECT_EQ(layout.rows.size(), 4U + 10 + 2 + 15);
}

TEST(Packs, OfEqualSequencesNeedNoOtherOrderForAttention) {
  const auto texts = texts_of({16, 16}), last_is_short = texts_of({16, 9});
  const auto packs = packed::make_packs({row_of(0, texts), row_of(1, last_is_short)}, 1000, true);
  EXPECT_EQ(packs[0].width, 32);
  EXPECT_TRUE(packed::lay_out(packs[0]).into_rows.places.empty());
}

TEST(Packs, HoldAsManyRowsAsTheirTokensAllow) {
  const auto texts = texts_of({16, 16, 16, 16});
  const auto widths = [](const std::vector<packed::Pack>& packs) {
    std::vector<std::pair<std::size_t, std::int64_t>> of;
    for (const packed::Pack& pack : packs) of.emplace_back(pack.rows.size(), pack.width);
    return of;
  };
  const auto rows = packed::cut_rows({row_of(0, texts), row_of(1, texts)}, 48);
  EXPECT_EQ(rows.size(), 4U); // three of each, and one
  using Shapes = std::vector<std::pair<std::size_t, std::int64_t>>;
  EXPECT_EQ(widths(packed::make_packs(rows, 96, false)), (Shapes{{2, 48}, {2, 48}}));
  // A client's gradient is written once a pass.
  EXPECT_EQ(widths(packed::make_packs(rows, 96, true)), (Shapes{{1, 48}, {2, 48}, {1, 16}}));
}

TEST(Packs, OfManyPassesEqualOnePass) {
  const auto base = float_tiny_model();
  const auto jobs = jobs_for(*base);
  const std::vector<std::uint64_t> all{0, 1, 2, 3, 4};
  const Outcome one = train(*packed_engine(base, "cpu", true).value(), jobs, all);
  const Outcome many = train(*packed_engine(base, "cpu", true, 1).value(), jobs, all);
  for (std::size_t client = 0; client < kClients; ++client) {
    EXPECT_LT(relative_difference(moved(many.adapters[client], *jobs[client].start),
                                  moved(one.adapters[client], *jobs[client].start)),
              1e-3);
  }
}

void expect_equal_packs_repeat(const std::string& device) {
  const auto engine = packed_engine(mixed_tiny_model(), device, false).value();
  const auto jobs = jobs_for(engine->base());
  const std::vector<std::uint64_t> all{0, 1, 2, 3, 4};
  const Outcome first = train(*engine, jobs, all);
  const Outcome second =
      train(*packed_engine(mixed_tiny_model(), device, false).value(), jobs, all);
  EXPECT_EQ(first.losses, second.losses);
  EXPECT_EQ(first.adapters, second.adapters);
}

TEST(Packs, ThatAreEqualGiveEqualBits) { expect_equal_packs_repeat("cpu"); }

TEST(Packs, ARestingClientKeepsItsBits) {
  const auto base = float_tiny_model();
  for (const bool packed : {false, true}) {
    const auto engine = packed ? packed_engine(base, "cpu", true).value() : engine_for(base);
    const auto jobs = jobs_for(*base);
    const auto session = engine->start_training(jobs).value();
    std::vector<Batch> batches(kClients);
    batches[3] = batch_of(*base, 3, 0);
    const auto results = session->step(batches).value();
    for (std::size_t client = 0; client < kClients; ++client) {
      EXPECT_EQ(results[client].tokens > 0, client == 3);
      EXPECT_EQ(
          std::ranges::equal(session->adapter(client)->values(), jobs[client].start->values()),
          client != 3);
    }
  }
}

double mean_loss(Engine& engine, const std::vector<Sequence>& texts) {
  Score total;
  const auto scores = engine.score({}, texts).value();
  for (const Score& score : scores) {
    total.nats += score.nats;
    total.tokens += score.tokens;
  }
  return total.nats / static_cast<double>(total.tokens);
}

double loss_on(const std::string& device, bool exact) {
  const auto base = repository_model();
  std::vector<Sequence> texts;
  for (std::uint64_t i = 0; i < 8; ++i) texts.push_back(random_sequence(*base, 100 + i, i));
  return mean_loss(*packed_engine(base, device, exact).value(), texts);
}

TEST(Packs, InBfloat16LoseWhatFloat32LosesWithinAHundredth) {
  const double exact = loss_on("cpu", true);
  EXPECT_NEAR(loss_on("cpu", false), exact, 0.01 * exact);
}

TEST(Packs, SayWhichDevicesThereAre) {
  const auto base = float_tiny_model();
  for (const char* name : {"gpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:1 ", ""}) {
    const auto engine = packed_engine(base, name, false);
    ASSERT_FALSE(engine.ok()) << name;
    EXPECT_EQ(engine.error().code, ErrorCode::kInvalidArgument) << name;
  }
  const auto engine = packed_engine(base, "cuda:127", false);
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(engine.error().message, HasSubstr("there is no cuda:127"));
}

class OnAGpu : public testing::Test {
 protected:
  void SetUp() override {
    const auto engine = packed_engine(float_tiny_model(), "cuda:0", false);
    if (!engine) GTEST_SKIP() << engine.error().message;
  }
};

TEST_F(OnAGpu, EqualPacksGiveEqualBits) { expect_equal_packs_repeat("cuda:0"); }

TEST_F(OnAGpu, TheLossIsThatOfTheCpu) {
  const double cpu = loss_on("cpu", true);
  EXPECT_NEAR(loss_on("cuda:0", true), cpu, 1e-4 * cpu);
  EXPECT_NEAR(loss_on("cuda:0", false), cpu, 0.01 * cpu);
}

TEST_F(OnAGpu, PacksTeachEachClientWhatItLearnsOnTheCpu) {
  const auto base = mixed_tiny_model();
  const auto jobs = jobs_for(*base);
  const std::vector<std::uint64_t> all{0, 1, 2, 3, 4};
  const Outcome cpu = train(*packed_engine(base, "cpu", true).value(), jobs, all);
  const Outcome gpu = train(*packed_engine(base, "cuda:0", true).value(), jobs, all);
  for (std::size_t client = 0; client < kClients; ++client) {
    EXPECT_LT(relative_difference(moved(gpu.adapters[client], *jobs[client].start),
                                  moved(cpu.adapters[client], *jobs[client].start)),
              1e-3);
  }
}

} // namespace
} // namespace coppice::graph
