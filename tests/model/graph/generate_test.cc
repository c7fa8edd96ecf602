// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "model/sampler.h"
#include "tests/model/graph/tiny_model.h"

namespace coppice::graph {
namespace {

TEST(Generate, WithItsCacheTakesTheLargestLogitOfTheWholeText) {
  const auto base = mixed_tiny_model();
  const auto engine = engine_for(base);
  const Adapter adapter = random_adapter(*base, 4, 1);
  GenerateRequest request{
      .adapters = {{.adapter = &adapter}}, .prompt = random_tokens(*base, 5, 3), .max_tokens = 30};
  const auto result = engine->generate(request).value();
  ASSERT_GT(result.tokens.size(), 5U) << "the random model ended the text by itself";

  std::vector<TokenId> text = request.prompt;
  text.insert(text.end(), result.tokens.begin(), result.tokens.end());
  const auto logits = engine->logits(request.adapters, text).value();
  const std::size_t width = base->config().vocabulary;
  for (std::size_t i = 0; i < result.tokens.size(); ++i) {
    const auto row =
        logits.begin() + static_cast<std::ptrdiff_t>((request.prompt.size() + i - 1) * width);
    // One row and many rows are multiplied by different loops: float32 rounding, as in
    // gradient_test.cc.
    EXPECT_GE(row[result.tokens[i]],
              *std::max_element(row, row + static_cast<std::ptrdiff_t>(width)) - 1e-4F);
  }
}

TEST(Generate, RepeatsWithItsSeedAndChangesWithAnother) {
  const auto base = repository_model();
  const auto engine = engine_for(base);
  GenerateRequest request{
      .adapters = {}, .prompt = base->tokenizer().encode("Once upon a time"), .max_tokens = 24};
  request.sampler = {.temperature = 1.0F, .top_k = 40, .top_p = 0.95F, .seed = 1};
  const auto first = engine->generate(request).value().tokens;
  EXPECT_EQ(engine->generate(request).value().tokens, first);
  request.sampler.seed = 2;
  EXPECT_NE(engine->generate(request).value().tokens, first);
}

TEST(Generate, StopsWhereTheContextIsFullAndSaysSo) {
  const auto base = float_tiny_model();
  const auto engine = engine_for(base);
  GenerateRequest request{.adapters = {}, .prompt = random_tokens(*base, 60, 1), .max_tokens = 100};
  const auto result = engine->generate(request).value();
  ASSERT_EQ(result.tokens.size(), 4U) << "the random model ended the text by itself";
  EXPECT_EQ(result.stop, GenerateStop::kContextFull);
  request.max_tokens = 2;
  EXPECT_EQ(engine->generate(request).value().stop, GenerateStop::kMaxTokens);
}

TEST(Generate, StopsWhenTheCallerSaysSo) {
  const auto engine = engine_for(float_tiny_model());
  GenerateRequest request{.adapters = {}, .prompt = {1, 2, 3}, .max_tokens = 30};
  std::vector<TokenId> seen;
  request.on_token = [&](TokenId token) { return seen.push_back(token), seen.size() < 3; };
  const auto result = engine->generate(request).value();
  EXPECT_EQ(result.stop, GenerateStop::kCaller);
  EXPECT_EQ(result.tokens, seen);
  EXPECT_EQ(seen.size(), 3U);
}

TEST(Generate, LeavesTheEndingTokenOut) {
  const auto base = float_tiny_model();
  const auto engine = engine_for(base);
  GenerateRequest request{.adapters = {}, .prompt = {1, 2, 3}, .max_tokens = 60};
  request.sampler = {.temperature = 4.0F, .top_k = 0, .top_p = 1.0F, .seed = 0};
  // Nearly uniform over some 270 tokens: 60 draws end in about one text of five.
  GenerateResult result;
  for (; request.sampler.seed < 100; ++request.sampler.seed) {
    result = engine->generate(request).value();
    if (result.stop == GenerateStop::kEndToken) break;
  }
  ASSERT_EQ(result.stop, GenerateStop::kEndToken);
  EXPECT_LT(result.tokens.size(), 60U);
  EXPECT_EQ(std::count(result.tokens.begin(), result.tokens.end(), *base->tokenizer().eos()), 0);
}

TEST(Sampler, DrawsInProportionToTheSoftmaxAtItsTemperature) {
  const std::array<float, 4> logits = {0.5F, -1.0F, 2.0F, 0.0F};
  Sampler sampler =
      Sampler::make({.temperature = 0.5F, .top_k = 0, .top_p = 1.0F, .seed = 9}).value();
  std::array<double, 4> counts{};
  constexpr double kDraws = 20000;
  for (int i = 0; i < static_cast<int>(kDraws); ++i)
    ++counts[static_cast<std::size_t>(sampler.sample(logits))];
  double total = 0;
  for (const float logit : logits) total += std::exp(2.0 * double{logit});
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double p = std::exp(2.0 * double{logits[i]}) / total;
    EXPECT_NEAR(counts[i], kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p))) << "token " << i;
  }
}

TEST(Sampler, KeepsOnlyTheTopKAndTheNucleus) {
  const std::array<float, 5> logits = {1.0F, 3.0F, 2.0F, 3.0F, -5.0F};
  Sampler two = Sampler::make({.temperature = 3.0F, .top_k = 2, .top_p = 1.0F, .seed = 1}).value();
  // At temperature 1 the shares are 0.38, 0.38, 0.14, 0.05: 0.8 needs the first three.
  Sampler nucleus =
      Sampler::make({.temperature = 1.0F, .top_k = 0, .top_p = 0.8F, .seed = 1}).value();
  Sampler greedy = Sampler::make({}).value();
  std::array<int, 5> drawn{};
  for (int i = 0; i < 500; ++i) {
    const TokenId token = two.sample(logits);
    EXPECT_TRUE(token == 1 || token == 3) << token;
    ++drawn[static_cast<std::size_t>(nucleus.sample(logits))];
  }
  EXPECT_EQ(drawn[0] + drawn[4], 0);
  EXPECT_GT(std::min({drawn[1], drawn[2], drawn[3]}), 0);
  EXPECT_EQ(greedy.sample(logits), 1) << "the lowest id among equals";
}

TEST(Sampler, RefusesSettingsWithoutMeaning) {
  EXPECT_EQ(Sampler::make({.temperature = -1.0F}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(Sampler::make({.temperature = std::nanf("")}).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(Sampler::make({.top_p = 0.0F}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(Sampler::make({.top_p = 1.5F}).error().code, ErrorCode::kInvalidArgument);
}

} // namespace
} // namespace coppice::graph
