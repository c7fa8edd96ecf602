// SPDX-License-Identifier: Apache-2.0
// Texts written side by side are those that each request gets alone: the oracle is the same engine,
// asked for one text by an engine of its own.
#include <gtest/gtest.h>

#include <map>

#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {
namespace {

class GenerationSessions : public testing::Test {
 protected:
  // Other lengths, lists, samplers and ends for each.
  std::vector<GenerateRequest> requests(bool int8) const {
    std::vector<GenerateRequest> made;
    for (std::uint32_t i = 0; i < 6; ++i) {
      GenerateRequest request{.adapters = {},
                              .prompt = random_tokens(*base_, 3 + 7 * i, i),
                              .max_tokens = 8 + 5 * (i % 3),
                              .sampler = {.temperature = i % 2 == 0 ? 0.0F : 1.2F, .seed = i},
                              .int8_activations = int8,
                              .ignore_end_tokens = i != 1};
      if (i % 3 == 1) request.adapters = {{.adapter = &first_}};
      if (i % 3 == 2) request.adapters = {{.adapter = &first_}, {.adapter = &second_}};
      made.push_back(std::move(request));
    }
    return made;
  }
  GenerateResult alone(const GenerateRequest& request) const {
    return engine_for(base_)->generate(request).value();
  }
  void expect_each_as_alone(const std::vector<GenerateRequest>& requests,
                            std::initializer_list<std::size_t> at_once) {
    std::vector<GenerateResult> expected;
    for (const GenerateRequest& request : requests) expected.push_back(alone(request));
    for (const std::size_t several : at_once) {
      const auto engine = engine_for(base_);
      const auto made = generate_all(*engine, requests, several).value();
      ASSERT_EQ(made.size(), requests.size());
      for (std::size_t i = 0; i < made.size(); ++i) {
        EXPECT_EQ(made[i].tokens, expected[i].tokens) << "text " << i << " of " << several;
        EXPECT_EQ(made[i].stop, expected[i].stop);
      }
    }
  }

  std::shared_ptr<const BaseModel> base_ = repository_model();
  Adapter first_ = random_adapter(*base_, 4, 1);
  Adapter second_ = random_adapter(*base_, 2, 2);
};

TEST_F(GenerationSessions, WriteEachTextAsItWouldBeAlone) {
  for (const bool int8 : {false, true}) expect_each_as_alone(requests(int8), {1, 2, 6});
}

TEST_F(GenerationSessions, RoundTheActivationsOfThoseTextsAloneThatAskForIt) {
  auto mixed = requests(false);
  for (std::size_t i = 0; i < mixed.size(); i += 2) mixed[i].int8_activations = true;
  expect_each_as_alone(mixed, {mixed.size()});
}

TEST_F(GenerationSessions, LetTextsJoinAndLeaveBetweenSteps) {
  const auto engine = engine_for(base_);
  const auto session = engine->start_generation().value();
  const auto all = requests(true);
  std::map<std::size_t, GenerateResult> made;
  const auto step = [&] {
    auto all_ended = session->step().value();
    for (auto& ended : all_ended) made[ended.number] = std::move(ended.result);
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(session->add(all[i]).value(), i);
    for (std::size_t steps = 0; steps < 3; ++steps) step();
  }
  while (session->texts() > 0) step();
  EXPECT_TRUE(session->step().value().empty());
  ASSERT_EQ(made.size(), all.size());
  for (const auto& [number, result] : made) {
    EXPECT_EQ(result.tokens, alone(all[number]).tokens) << "text " << number;
  }
}

TEST_F(GenerationSessions, EndOnlyTheTextWhoseCallerSaysSo) {
  auto some = requests(false);
  some.resize(3);
  std::size_t seen = 0;
  some[1].on_token = [&seen](TokenId) { return ++seen < 2; };
  const auto engine = engine_for(base_);
  const auto made = generate_all(*engine, some, 3).value();
  EXPECT_EQ(made[1].stop, GenerateStop::kCaller);
  EXPECT_EQ(made[1].tokens.size(), 2U);
  EXPECT_EQ(made[0].tokens, alone(some[0]).tokens);
  EXPECT_EQ(made[2].tokens, alone(some[2]).tokens);
}

TEST_F(GenerationSessions, BeginNoMoreTextsWhenTheCallerHasEnough) {
  const auto some = requests(false);
  const auto engine = engine_for(base_);
  std::size_t begun = 0;
  const auto made = generate_all(*engine, some, 2, [&begun] { return ++begun <= 2; }).value();
  for (std::size_t i = 0; i < made.size(); ++i) {
    EXPECT_EQ(made[i].tokens, i < 2 ? alone(some[i]).tokens : std::vector<TokenId>());
    EXPECT_TRUE(i < 2 || made[i].stop == GenerateStop::kCaller);
  }
}

TEST_F(GenerationSessions, RefuseARequestWithoutHarmToTheOthers) {
  auto some = requests(false);
  const auto engine = engine_for(base_);
  ASSERT_FALSE(generate_all(*engine, {{.adapters = {}, .prompt = {}}}, 2).ok());
  const auto session = engine->start_generation().value();
  ASSERT_TRUE(session->add(some[0]).ok());
  std::vector<GenerationSession::Ended> ended;
  while (session->texts() > 0) {
    auto texts = session->step().value();
    for (auto& text : texts) ended.push_back(std::move(text));
  }
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].result.tokens, alone(some[0]).tokens);
}

} // namespace
} // namespace coppice::graph
