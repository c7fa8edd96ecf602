// SPDX-License-Identifier: Apache-2.0
#include "aggregator/settings.h"

#include <gmock/gmock.h>

#include "aggregator/strategy.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

Result<AggregatorSettings> with(std::vector<std::pair<std::string, std::string>> values) {
  std::vector<Override> overrides;
  for (auto& [name, value] : values) overrides.push_back({name, value, "test"});
  const auto loaded = Settings::load(aggregator_keys(), std::nullopt, {}, overrides);
  if (!loaded.ok()) return loaded.error();
  return aggregator_settings(loaded.value());
}

TEST(AggregatorSettings, TheDefaultsAreValid) {
  const auto settings = with({});
  ASSERT_TRUE(settings.ok()) << settings.error().message;
  EXPECT_EQ(settings->lora.r, 8U);
  EXPECT_EQ(settings->strategy.name, "fedavg");
  EXPECT_EQ(settings->training.weight_by, WeightBy::kExamples);
  // Twice the sum of the learning rates: 2 x 0.002 x 16.
  EXPECT_NEAR(settings->round.element_bound, 0.064, 1e-6);
}

TEST(AggregatorSettings, ABoundThatIsSetStays) {
  EXPECT_EQ(with({{"round.element_bound", "0.5"}})->round.element_bound, 0.5);
}

struct Contradiction {
  std::vector<std::pair<std::string, std::string>> values;
  const char* words;
};

TEST(AggregatorSettings, ContradictionsAreRefusedInWords) {
  const std::vector<Contradiction> table{
      {{{"training.max_steps", "0"}}, "needs a budget"},
      {{{"round.secure_aggregation", "true"},
        {"round.min_train_nodes", "2"},
        {"round.min_survivors", "2"}},
       "at least 3 devices"},
      {{{"privacy.noise", "central"}, {"round.secure_aggregation", "false"}},
       "privacy.noise needs round.secure_aggregation"},
      {{{"privacy.noise", "central"}}, "round.weighted_by = uniform"},
      {{{"privacy.clip_quantile", "0.5"}}, "set privacy.noise too"},
      {{{"round.min_survivors", "5"}}, "min_train_nodes"},
      {{{"round.min_train_nodes", "9"}, {"round.max_train_nodes", "3"}}, "max_train_nodes"},
      {{{"network.lease", "5s"}}, "longer than network.heartbeat"},
      {{{"round.ring_bits", "17"}}, "17"},
      {{{"round.codec", "int4"}, {"round.rotate", "true"}}, "round.rotate spreads"},
      {{{"round.codec", "top-k"}, {"round.strategy", "scaffold"}, {"training.optimizer", "sgd"}},
       "round.strategy = scaffold"},
      {{{"round.codec", "int8"}, {"round.strategy", "feddyn"}}, "move their corrections"},
      {{{"round.codec", "int8"}, {"privacy.noise", "central"}, {"round.weighted_by", "uniform"}},
       "round.codec can't be combined with privacy.noise"},
      {{{"round.codec", "int8"},
        {"round.strategy", "flexlora"},
        {"round.secure_aggregation", "false"}},
       "round.error_feedback = false"},
      {{{"round.strategy", "fedbuff"}, {"privacy.noise", "central"}}, "set privacy.noise = none"},
      {{{"round.strategy", "fedbuff"},
        {"round.secure_aggregation", "false"},
        {"round.codec", "int8"}},
       "set round.error_feedback = false"},
      {{{"round.strategy", "fedbuff"},
        {"round.secure_aggregation", "false"},
        {"round.codec", "top-k"}},
       "values take turns by round"},
      {{{"round.strategy", "fedbuff"},
        {"round.secure_aggregation", "false"},
        {"strategy.buffer", "2"}},
       "raise strategy.buffer"},
      {{{"round.strategy", "fedavgg"}}, "did you mean 'fedavg'"},
      {{{"round.min_survivorz", "5"}}, "min_survivors"},
  };
  for (const auto& [values, words] : table) {
    const auto refused = with(values);
    ASSERT_FALSE(refused.ok()) << values.front().first;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr(words));
  }
}

TEST(AggregatorSettings, ACodecGoesWithAnyOtherStrategy) {
  for (const StrategyEntry& entry : all_strategies()) {
    if (entry.name == "feddyn" || entry.name == "scaffold") continue;
    if (entry.name == "fedbuff") continue; // whose late uploads go with few: see the table above
    const bool feedback = !entry.refactors && !entry.clusters;
    for (const char* codec : {"int8", "int4", "top-k"}) {
      const auto settings = with({{"round.codec", codec},
                                  {"round.strategy", std::string(entry.name)},
                                  {"round.secure_aggregation", "false"},
                                  {"round.error_feedback", feedback ? "true" : "false"}});
      ASSERT_TRUE(settings.ok()) << entry.name << ": " << settings.error().message;
      EXPECT_EQ(settings->round.keeps_feedback(), feedback);
    }
  }
  EXPECT_FALSE(with({})->round.keeps_feedback());
}

TEST(AggregatorSettings, LateUploadsGoWithFewerLevelsButNotUnderMasks) {
  const auto masked = with({{"round.strategy", "fedbuff"}});
  ASSERT_FALSE(masked.ok()); // secure aggregation is on unless it is switched off
  EXPECT_EQ(masked.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(masked.error().message, HasSubstr("cancel among one round's devices"));
  EXPECT_TRUE(with({{"round.strategy", "fedbuff"},
                    {"round.secure_aggregation", "false"},
                    {"round.codec", "int4"},
                    {"round.error_feedback", "false"}})
                  .ok());
}

// With top-k a value waits for ten rounds, and moves on meanwhile.
TEST(AggregatorSettings, TheBoundOfAValueIsThatOfItsCodec) {
  EXPECT_NEAR(with({{"round.codec", "top-k"}})->round.element_bound, 0.64, 1e-6);
  EXPECT_NEAR(
      with({{"round.codec", "top-k"}, {"round.error_feedback", "false"}})->round.element_bound,
      0.064, 1e-6);
  EXPECT_EQ(with({{"round.codec", "int8"}})->round.element_bound, 0) << "once values are counted";
}

TEST(AggregatorSettings, UniformWeightsAndOtherBudgetsPass) {
  const auto settings = with({{"round.weighted_by", "uniform"},
                              {"training.max_steps", "0"},
                              {"training.max_tokens", "1000"},
                              {"training.batch_tokens", "300"}});
  ASSERT_TRUE(settings.ok());
  EXPECT_EQ(settings->training.weight_by, WeightBy::kUniform);
  EXPECT_NEAR(settings->round.element_bound, 2 * 0.002 * 4, 1e-9); // 4 steps of 300 tokens
}

} // namespace
} // namespace coppice
