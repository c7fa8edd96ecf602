// SPDX-License-Identifier: Apache-2.0
#include "adapters/peft_config.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "formats/json.h"
#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

constexpr const char* kQ0 = "model.layers.0.self_attn.q_proj";
constexpr const char* kQ10 = "model.layers.10.self_attn.q_proj";
constexpr const char* kUp0 = "model.layers.0.mlp.up_proj";

// A plain configuration with more fields at its end.
Result<PeftConfig> parse(const std::string& more) {
  const std::string text =
      R"({"peft_type":"LORA","r":8,"lora_alpha":16,"bias":"none")" + more + "}";
  return PeftConfig::parse(as_bytes(text));
}

TEST(PeftConfigTest, RankAndAlphaHoldForEveryModule) {
  const auto config = parse("");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->rank(kQ0), 8U);
  EXPECT_EQ(config->alpha(kUp0), 16.0F);
  EXPECT_EQ(config->scaling(), LoraScaling::kStandard);
  EXPECT_TRUE(config->targets(kQ0));
}

TEST(PeftConfigTest, RsLoraIsRankStabilizedScaling) {
  EXPECT_EQ(parse(R"(,"use_rslora":true)")->scaling(), LoraScaling::kRankStabilized);
  EXPECT_EQ(parse(R"(,"use_rslora":false)")->scaling(), LoraScaling::kStandard);
}

TEST(PeftConfigTest, TheFirstPatternThatMatchesDecides) {
  const auto config = parse(
      R"(,"rank_pattern":{"model.layers.0.self_attn.q_proj":2,"q_proj":4,"mlp.up_proj":16})"
      R"(,"alpha_pattern":{"^model\\.layers\\.0\\.mlp\\.up_proj$":0.5,"0.self_attn.q_proj":3})");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->rank(kQ0), 2U);
  EXPECT_EQ(config->rank(kQ10), 4U);
  EXPECT_EQ(config->rank(kUp0), 16U);
  EXPECT_EQ(config->alpha(kUp0), 0.5F);
  EXPECT_EQ(config->alpha(kQ0), 3.0F);
  EXPECT_EQ(config->alpha(kQ10), 16.0F); // "10" doesn't end in ".0"
}

TEST(PeftConfigTest, ANameMatchesWholePartsOfAPath) {
  const auto matches = [](std::string_view key, std::string_view path) {
    return ModulePattern::parse(key).value().matches(path);
  };
  EXPECT_TRUE(matches("q_proj", kQ0));
  EXPECT_TRUE(matches("self_attn.q_proj", kQ0));
  EXPECT_TRUE(matches(kQ0, kQ0));
  EXPECT_TRUE(matches("^model.layers.0.self_attn.q_proj", kQ0));
  EXPECT_FALSE(matches("proj", kQ0));
  EXPECT_FALSE(matches("^q_proj", kQ0));
  EXPECT_FALSE(matches("self_attn", kQ0));
  EXPECT_FALSE(matches("x.model.layers.0.self_attn.q_proj", kQ0));
}

TEST(PeftConfigTest, OtherRegularExpressionsAreRefusedWithTheKey) {
  for (const std::string key : {".*q_proj", "layers.[0-3].q_proj", "q_proj|k_proj", "(q|k)_proj",
                                "q_proj+", "q?", "layers.{2}", "a^b", "a$b", "\\\\d"}) {
    const auto config = parse(cat(R"(,"rank_pattern":{")", key, R"(":4})"));
    ASSERT_FALSE(config.ok()) << key;
    EXPECT_EQ(config.error().code, ErrorCode::kUnsupported) << key;
    EXPECT_THAT(config.error().message, HasSubstr("regular expression"));
  }
}

TEST(PeftConfigTest, TargetModulesNameWhatMayHaveTensors) {
  const auto listed = parse(R"(,"target_modules":["q_proj","model.layers.0.mlp.up_proj"])");
  EXPECT_TRUE(listed->targets(kQ10));
  EXPECT_TRUE(listed->targets(kUp0));
  EXPECT_FALSE(listed->targets("model.layers.1.mlp.up_proj"));
  EXPECT_TRUE(parse(R"(,"target_modules":"all-linear")")->targets(kUp0));
  EXPECT_TRUE(parse(R"(,"target_modules":null)")->targets(kUp0));
}

TEST(PeftConfigTest, WhatIsMoreThanPlainLoraIsRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"(,"lora_bias":true)", "lora_bias"},
      {R"(,"fan_in_fan_out":true)", "fan_in_fan_out"},
      {R"(,"modules_to_save":["lm_head"])", "modules_to_save"},
      {R"(,"target_parameters":["x"])", "target_parameters"},
      {R"(,"trainable_token_indices":[1,2])", "trainable_token_indices"},
      {R"(,"layer_replication":[[0,4]])", "layer_replication"},
      {R"(,"alora_invocation_tokens":[5])", "alora_invocation_tokens"},
      {R"(,"use_qalora":true)", "use_qalora"},
      {R"(,"init_lora_weights":"pissa_niter_4")", "init_lora_weights"},
  };
  for (const auto& [more, says] : cases) {
    const auto config = parse(more);
    ASSERT_FALSE(config.ok()) << more;
    EXPECT_EQ(config.error().code, ErrorCode::kUnsupported) << more;
    EXPECT_THAT(config.error().message, HasSubstr(says));
  }
  const std::string biased = R"({"peft_type":"LORA","r":8,"lora_alpha":16,"bias":"all"})";
  EXPECT_THAT(PeftConfig::parse(as_bytes(biased)).error().message, HasSubstr("bias"));
  const std::string other = R"({"peft_type":"IA3","r":8,"lora_alpha":16})";
  EXPECT_EQ(PeftConfig::parse(as_bytes(other)).error().code, ErrorCode::kUnsupported);
}

TEST(PeftConfigTest, FieldsOfTrainingOnlyAreNoHindrance) {
  const auto config =
      parse(R"(,"use_dora":false,"modules_to_save":null,"loftq_config":{},"lora_dropout":0.1,)"
            R"("layer_replication":[],"init_lora_weights":"gaussian","peft_version":"0.21.2")");
  EXPECT_TRUE(config.ok()) << config.error().message;
  EXPECT_TRUE(parse(R"(,"init_lora_weights":true)").ok());
  EXPECT_TRUE(parse(R"(,"use_dora":true)")->dora()); // its reader decides
  EXPECT_FALSE(parse("")->dora());
}

TEST(PeftConfigTest, WrongAndMissingFieldsAreNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"r":8,"lora_alpha":16})", "peft_type"},
      {R"({"peft_type":"LORA","lora_alpha":16})", "r"},
      {R"({"peft_type":"LORA","r":8})", "lora_alpha"},
      {R"({"peft_type":"LORA","r":0,"lora_alpha":16})", "rank 0"},
      {R"({"peft_type":"LORA","r":-8,"lora_alpha":16})", "r"},
      {R"({"peft_type":"LORA","r":4294967296,"lora_alpha":16})", "rank 4294967296"},
      {R"({"peft_type":"LORA","r":8,"lora_alpha":0})", "alpha"},
      {R"({"peft_type":"LORA","r":8,"lora_alpha":1e200})", "alpha"},
      {R"({"peft_type":"LORA","r":8,"lora_alpha":16,"rank_pattern":[1]})", "rank_pattern"},
      {R"({"peft_type":"LORA","r":8,"lora_alpha":16,"rank_pattern":{"q":"x"}})", "rank_pattern"},
      {R"({"peft_type":"LORA","r":8,"lora_alpha":16,"rank_pattern":{"":4}})", "empty"},
      {R"({"peft_type":"LORA","r":8,"lora_alpha":16,"target_modules":[1]})", "target_modules"},
      {R"([])", "object"},
      {R"({"peft_type":)", ""},
  };
  for (const auto& [text, says] : cases) {
    const auto config = PeftConfig::parse(as_bytes(text));
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_THAT(config.error().message, HasSubstr(says)) << text;
  }
}

TEST(PeftConfigTest, TheWrittenConfigurationHasEveryFieldThatLoadersAskFor) {
  const auto text = peft_config_text(small_spec(), "my \"base\"");
  ASSERT_TRUE(text.ok());
  const Json config = parse_json(*text).value();
  for (const char* field :
       {"peft_type", "target_modules", "r", "lora_alpha", "lora_dropout", "bias", "task_type",
        "base_model_name_or_path", "revision", "fan_in_fan_out", "inference_mode", "use_rslora",
        "use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "layers_to_transform"}) {
    EXPECT_TRUE(config.contains(field)) << field;
  }
  EXPECT_EQ(json_string(config, "base_model_name_or_path").value(), "my \"base\"");
  EXPECT_EQ(json_uint(config, "r").value(), 2U);
  EXPECT_TRUE(config["lora_alpha"].is_number_integer());
  EXPECT_THAT(json_string_array(config, "target_modules").value(),
              ::testing::ElementsAre("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
                                     "down_proj"));
  EXPECT_TRUE(config["layers_to_transform"].is_null());
}

TEST(PeftConfigTest, TheWrittenConfigurationSaysExactlyWhichModulesThereAre) {
  AdapterSpec upper = small_spec();
  upper.targets.erase(upper.targets.begin(), upper.targets.begin() + 7); // layer 1 alone
  const Json one_layer = parse_json(peft_config_text(upper, "").value()).value();
  EXPECT_EQ(dump_json(one_layer["layers_to_transform"]), "[1]");
  AdapterSpec uneven = small_spec();
  uneven.targets.resize(8); // layer 0, and q of layer 1
  const Json paths = parse_json(peft_config_text(uneven, "").value()).value();
  EXPECT_TRUE(paths["layers_to_transform"].is_null());
  const auto modules = json_string_array(paths, "target_modules").value();
  EXPECT_EQ(modules.size(), 8U);
  EXPECT_EQ(modules.back(), "model.layers.1.self_attn.q_proj");
}

TEST(PeftConfigTest, WhatIsWrittenReadsBackForEveryTarget) {
  AdapterSpec spec = small_spec(3, 0.3F);
  spec.scaling = LoraScaling::kRankStabilized;
  spec.targets[2].rank = 1;
  spec.targets[8].alpha = 7;
  const std::string text = peft_config_text(spec, "").value();
  const auto config = PeftConfig::parse(as_bytes(text));
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->scaling(), spec.scaling);
  const std::array<std::string, 7> paths = {
      "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
      "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
  for (std::size_t t = 0; t < spec.targets.size(); ++t) {
    const std::string path = cat("model.layers.", t / 7, ".", paths[t % 7]);
    EXPECT_EQ(config->rank(path), spec.targets[t].rank) << path;
    EXPECT_EQ(config->alpha(path), spec.targets[t].alpha) << path;
    EXPECT_TRUE(config->targets(path)) << path;
  }
}

TEST(PeftConfigTest, ATargetWithoutANameInPeftIsRefused) {
  AdapterSpec spec = small_spec();
  spec.targets[0].tensor = "blk.0.attn_qkv";
  const auto text = peft_config_text(spec, "");
  ASSERT_FALSE(text.ok());
  EXPECT_THAT(text.error().message, HasSubstr("blk.0.attn_qkv"));
}

} // namespace
} // namespace coppice
