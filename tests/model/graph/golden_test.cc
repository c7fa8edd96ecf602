// SPDX-License-Identifier: Apache-2.0
// Real models and other programs' figures, from ../shared/data (its README says how they were
// made).
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "adapters/gguf_adapter.h"
#include "adapters/peft_adapter.h"
#include "base/text.h"
#include "formats/json.h"
#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {
namespace {

// Two float32 programs, or one and a float64 one, differ in a logit by the rounding of the products
// behind it: each is off by about sqrt(n) 2^-24 of its size (n up to 768: 1.7e-6), there are 7 a
// layer and the head (36 for five layers), which add up in quadrature to 1e-5 of a logit's size of
// up to 20. Twice that for norms and softmax.
constexpr float kQuantizedLogitTolerance = 4e-4F;
// A token's loss is the difference of two such numbers; over many tokens the errors average out.
constexpr double kQuantizedLossTolerance = 2e-5; // nats a token, in the mean

class Golden : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(data_)) GTEST_SKIP() << "the test data isn't there: " << data_;
  }

  std::shared_ptr<const BaseModel> model(const std::string& name) const {
    return BaseModel::open(data_ / "models" / name).value();
  }
  Json json(const fs::path& file) const {
    return parse_json(read_file(data_ / file, std::size_t{1} << 24U).value()).value();
  }
  std::vector<float> floats(const fs::path& file) const {
    const Bytes bytes = read_file(data_ / file, std::size_t{1} << 24U).value();
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  Adapter coppice_adapter(const BaseModel& base) const {
    return read_peft_adapter(data_ / "models/coppice-4m.q4_0.golden/adapter", "llama",
                             base.adaptable_modules())
        .value();
  }
  Adapter shakespeare_adapter(const BaseModel& base) const {
    return read_peft_adapter(data_ / "adapters/babyllama361-shakespeare-r8", "llama",
                             base.adaptable_modules(), PeftRows::kGguf)
        .value();
  }

  fs::path data_ = fs::path(COPPICE_SOURCE_DIR) / ".." / "shared" / "data";
};

std::vector<TokenId> ids_of(const Json& json) { return json.get<std::vector<TokenId>>(); }

double mean_loss(Engine& engine, std::span<const AdapterUse> adapters, std::vector<TokenId> ids) {
  const Sequence sequence = whole_sequence(std::move(ids));
  const Score score = engine.score(adapters, {&sequence, 1}).value()[0];
  return score.nats / static_cast<double>(score.tokens);
}

void expect_logits(std::span<const float> logits, std::span<const float> expected) {
  ASSERT_GE(logits.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(logits[i], expected[i], kQuantizedLogitTolerance) << "value " << i;
  }
}

// Equal, or where they part, the two tokens' logits are nearer than rounding can tell apart.
void expect_greedy(Engine& engine, std::span<const AdapterUse> adapters,
                   const std::vector<TokenId>& prompt, const std::vector<TokenId>& expected) {
  GenerateRequest request{.adapters = {adapters.begin(), adapters.end()},
                          .prompt = prompt,
                          .max_tokens = static_cast<std::uint32_t>(expected.size())};
  const auto tokens = engine.generate(request).value().tokens;
  const auto parted = std::mismatch(tokens.begin(), tokens.end(), expected.begin(), expected.end());
  if (parted.second == expected.end()) return;
  std::vector<TokenId> text = prompt;
  text.insert(text.end(), expected.begin(), parted.second);
  const auto logits = engine.logits(adapters, text).value();
  const float* last = &logits[logits.size() - engine.base().config().vocabulary];
  ASSERT_NE(parted.first, tokens.end());
  EXPECT_LT(std::abs(last[*parted.first] - last[*parted.second]), 2 * kQuantizedLogitTolerance)
      << "parted after " << parted.second - expected.begin() << " tokens";
}

// How many of the tokens that follow the rows of logits are the highest: at least, and at most,
// where a target and its rival may differ by `tolerance` and still be told apart wrongly.
struct Correct {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};
Correct count_correct(std::span<const float> logits, std::span<const TokenId> ids,
                      float tolerance) {
  const std::size_t width = logits.size() / ids.size();
  Correct count;
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
    const auto row = logits.subspan(i * width, width);
    const auto target = static_cast<std::size_t>(ids[i + 1]);
    // Its lead over the best of those before it and those after it.
    float before = std::numeric_limits<float>::infinity();
    float after = before;
    for (std::size_t id = 0; id < width; ++id) {
      float& lead = id < target ? before : after;
      if (id != target) lead = std::min(lead, row[target] - row[id]);
    }
    if (before > tolerance && after >= tolerance) ++count.least;
    if (before > -tolerance && after >= -tolerance) ++count.most;
  }
  return count;
}

// As its own logits have it to the bit, and other programs' to their rounding.
TEST_F(Golden, CountsTheTokensThatTheLogitsPutFirst) {
  const Json golden = json("models/babyllama361.golden.json");
  const auto ids = ids_of(golden["sequence"]["ids"]);
  const auto engine = engine_for(model("babyllama361.gguf"));
  const Sequence sequence = whole_sequence(ids);
  const Score score = engine->score({}, {&sequence, 1}).value()[0];
  EXPECT_EQ(score.tokens, ids.size() - 1);
  const Correct own = count_correct(engine->logits({}, ids).value(), ids, 0);
  EXPECT_EQ(own.least, own.most);
  EXPECT_EQ(score.correct, own.most);
  const Correct theirs = count_correct(floats("models/babyllama361.golden_logits.f32"), ids,
                                       2 * kQuantizedLogitTolerance);
  EXPECT_GE(score.correct, theirs.least);
  EXPECT_LE(score.correct, theirs.most);
  EXPECT_GT(theirs.least, 0U);
}

TEST_F(Golden, CountsOnlyTargets) {
  const auto base = model("coppice-4m.q4_0.gguf");
  const auto engine = engine_for(base);
  const auto ids = ids_of(json("models/coppice-4m.q4_0.golden/golden.json")["ids"]);
  const Adapter adapter = coppice_adapter(*base);
  const std::vector<AdapterUse> adapters = {{.adapter = &adapter}};
  // Each token a target of one of two, so that both together are the whole.
  std::vector<Sequence> halves(2, whole_sequence(ids));
  for (std::size_t i = 1; i < ids.size(); ++i) halves[i % 2].targets[i] = 0;
  const auto scores = engine->score(adapters, halves).value();
  const Correct own = count_correct(engine->logits(adapters, ids).value(), ids, 0);
  EXPECT_EQ(scores[0].correct + scores[1].correct, own.most);
  EXPECT_GT(scores[0].correct, 0U);
  EXPECT_GT(scores[1].correct, 0U);
}

TEST_F(Golden, BabyllamaGivesItsLogitsLossesAndText) {
  const Json golden = json("models/babyllama361.golden.json");
  const auto ids = ids_of(golden["sequence"]["ids"]);
  const std::map<std::string, std::string> files = {{"f32", "babyllama361.gguf"},
                                                    {"q8_0", "babyllama361.q8_0.gguf"},
                                                    {"q4_0", "babyllama361.q4_0.gguf"}};
  for (const auto& [type, file] : files) {
    const auto engine = engine_for(model(file));
    const double expected =
        golden["sum_nll"][type].get<double>() / static_cast<double>(ids.size() - 1);
    EXPECT_NEAR(mean_loss(*engine, {}, ids), expected, kQuantizedLossTolerance) << type;
  }
  const auto engine = engine_for(model("babyllama361.gguf"));
  expect_logits(engine->logits({}, ids).value(), floats("models/babyllama361.golden_logits.f32"));
  for (const Json& prompt : golden["prompts"]) {
    expect_greedy(*engine, {}, ids_of(prompt["ids"]), ids_of(prompt["greedy48"]));
    const auto prompt_ids = ids_of(prompt["ids"]);
    EXPECT_NEAR(mean_loss(*engine, {}, prompt_ids),
                prompt["sum_nll"].get<double>() / static_cast<double>(prompt_ids.size() - 1),
                kQuantizedLossTolerance);
  }
}

TEST_F(Golden, CoppiceGivesItsLogitsLossesAndText) {
  const Json golden = json("models/coppice-4m.q4_0.golden/golden.json");
  const auto base = model("coppice-4m.q4_0.gguf");
  const auto engine = engine_for(base);
  const auto ids = ids_of(golden["ids"]);
  expect_logits(engine->logits({}, ids).value(),
                floats("models/coppice-4m.q4_0.golden/logits_first32.f32"));
  EXPECT_NEAR(mean_loss(*engine, {}, ids), golden["loss_nats_per_token"].get<double>(),
              kQuantizedLossTolerance);
  const Adapter adapter = coppice_adapter(*base);
  const std::vector<AdapterUse> adapters = {{.adapter = &adapter}};
  EXPECT_NEAR(mean_loss(*engine, adapters, ids), golden["loss_with_adapter"].get<double>(),
              kQuantizedLossTolerance);
  const auto prompt_tokens = golden["greedy_prompt_tokens"].get<std::ptrdiff_t>();
  expect_greedy(*engine, {}, {ids.begin(), ids.begin() + prompt_tokens},
                ids_of(golden["greedy_ids"]));
}

TEST_F(Golden, CoppiceGradientsPointWherePytorchsDo) {
  const Json golden = json("models/coppice-4m.q4_0.golden/golden.json");
  const auto base = model("coppice-4m.q4_0.gguf");
  const auto engine = engine_for(base);
  // The file of gradients has an adapter's names and row order: read as one.
  const fs::path folder = fs::temp_directory_path() / cat("coppice-gradients-", ::getpid());
  fs::create_directories(folder);
  const fs::path from = data_ / "models/coppice-4m.q4_0.golden";
  fs::copy_file(from / "lora_grads.safetensors", folder / "adapter_model.safetensors",
                fs::copy_options::overwrite_existing);
  fs::copy_file(from / "adapter/adapter_config.json", folder / "adapter_config.json",
                fs::copy_options::overwrite_existing);
  const Adapter expected = read_peft_adapter(folder, "llama", base->adaptable_modules()).value();
  fs::remove_all(folder);

  std::vector<TrainJob> jobs(
      1, TrainJob{.frozen = {},
                  .start = std::make_shared<const Adapter>(coppice_adapter(*base)),
                  .optimizer = {}});
  const auto session = engine->start_training(jobs).value();
  const Batch batch{.sequences = {whole_sequence(ids_of(golden["ids"]))}};
  const Adapter gradient = session->gradient(0, batch).value();
  ASSERT_EQ(gradient.spec().targets.size(), expected.spec().targets.size());
  for (std::size_t target = 0; target < gradient.targets(); ++target) {
    const std::string& name = gradient.spec().targets[target].tensor;
    EXPECT_GE(cosine(gradient.a(target), expected.a(target)), 0.9999) << name << " A";
    EXPECT_GE(cosine(gradient.b(target), expected.b(target)), 0.9999) << name << " B";
    EXPECT_LT(relative_difference(gradient.a(target), expected.a(target)), 1e-3) << name << " A";
    EXPECT_LT(relative_difference(gradient.b(target), expected.b(target)), 1e-3) << name << " B";
  }
}

TEST_F(Golden, EightStepsOfAdamWFollowPytorchs) {
  const Json golden = json("models/coppice-4m.q4_0.golden/golden.json");
  const auto base = model("coppice-4m.q4_0.gguf");
  const auto engine = engine_for(base);
  std::vector<TrainJob> jobs(
      1, TrainJob{.frozen = {},
                  .start = std::make_shared<const Adapter>(coppice_adapter(*base)),
                  .optimizer = {.learning_rate = golden["adamw_lr"].get<float>()}});
  const auto session = engine->start_training(jobs).value();
  const Batch batch{.sequences = {whole_sequence(ids_of(golden["ids"]))}};
  for (const Json& expected : golden["adamw_loss_before_each_step"]) {
    EXPECT_NEAR(session->step({&batch, 1}).value()[0].loss, expected.get<double>(), 1e-3);
  }
}

// grads.json's name of a target: "layers.N.self_attn.q_proj".
std::string hugging_face_name(const std::string& tensor) {
  static const std::map<std::string, std::string> names = {
      {"attn_q", "self_attn.q_proj"}, {"attn_k", "self_attn.k_proj"},
      {"attn_v", "self_attn.v_proj"}, {"attn_output", "self_attn.o_proj"},
      {"ffn_gate", "mlp.gate_proj"},  {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"}};
  const auto parts = split(tensor, '.');
  return cat("layers.", parts[1], ".", names.at(parts[2]));
}

TEST_F(Golden, ShakespeareGradientsAreThoseOfFloat64) {
  const Json golden = json("adapters/babyllama361-shakespeare-r8/golden.json");
  const Json grads = json("adapters/babyllama361-shakespeare-r8/grads.json");
  const auto base = model("babyllama361.gguf");
  const auto engine = engine_for(base);
  const Batch batch{.sequences = {whole_sequence(ids_of(golden["sequence"]["ids"]))}};
  std::vector<TrainJob> jobs(
      1, TrainJob{.frozen = {},
                  .start = std::make_shared<const Adapter>(shakespeare_adapter(*base)),
                  .optimizer = {}});
  const auto session = engine->start_training(jobs).value();
  const Adapter gradient = session->gradient(0, batch).value();
  std::size_t compared = 0;
  const auto compare = [&](std::span<const float> values, const std::string& name) {
    const Json& expected = grads["grads"][name];
    double squares = 0;
    for (const float value : values) squares += double{value} * double{value};
    const double norm = expected["norm"].get<double>();
    EXPECT_NEAR(std::sqrt(squares), norm, 1e-3 * norm) << name;
    // Rounding is of the size of a tensor's typical value, also where a value is nearly zero.
    const double typical = norm / std::sqrt(static_cast<double>(values.size()));
    for (std::size_t i = 0; i < 4; ++i) {
      const double value = expected["first4"][i].get<double>();
      EXPECT_NEAR(double{values[i]}, value, 1e-3 * std::max(std::abs(value), typical)) << name;
    }
    ++compared;
  };
  for (std::size_t target = 0; target < gradient.targets(); ++target) {
    const std::string name = hugging_face_name(gradient.spec().targets[target].tensor);
    compare(gradient.a(target), name + ".lora_A");
    compare(gradient.b(target), name + ".lora_B");
  }
  EXPECT_EQ(compared, grads["grads"].size());
}

TEST_F(Golden, TheShakespeareAdapterIsTheSameFromPeftAndFromGguf) {
  const Json golden = json("adapters/babyllama361-shakespeare-r8/golden.json")["sequence"];
  const auto base = model("babyllama361.gguf");
  const auto engine = engine_for(base);
  const Adapter peft = shakespeare_adapter(*base);
  const Adapter gguf =
      read_gguf_adapter(data_ / "adapters/babyllama361-shakespeare-r8/adapter.gguf", "llama",
                        base->adaptable_modules())
          .value();
  const std::vector<AdapterUse> from_peft = {{.adapter = &peft}}, from_gguf = {{.adapter = &gguf}};
  const auto ids = ids_of(golden["ids"]);
  const auto logits = engine->logits(from_peft, ids).value();
  EXPECT_EQ(logits, engine->logits(from_gguf, ids).value());
  const auto expected = golden["last_logits_first8"].get<std::vector<float>>();
  expect_logits(std::span(logits).last(base->config().vocabulary), expected);

  const auto predicted = static_cast<double>(ids.size() - 1);
  EXPECT_NEAR(mean_loss(*engine, {}, ids), golden["sum_nll_base"].get<double>() / predicted,
              kQuantizedLossTolerance);
  EXPECT_NEAR(mean_loss(*engine, from_peft, ids),
              golden["sum_nll_adapter"].get<double>() / predicted, kQuantizedLossTolerance);
  expect_greedy(*engine, from_peft, ids, ids_of(golden["greedy64"]));
}

} // namespace
} // namespace coppice::graph
