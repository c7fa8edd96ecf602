// SPDX-License-Identifier: Apache-2.0
#include "model/base_model.h"

#include <gmock/gmock.h>

#include "tests/model/refused_model.h"
#include "tests/model/shared_data.h"
#include "tests/model/tiny_model.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

TEST(BaseModel, ReadsConfigurationAndShapesFromTheFile) {
  const TestFolder folder;
  const auto model = TinyModel::make().open(folder.path());
  ASSERT_TRUE(model.ok()) << model.error().message;
  const ModelConfig& config = (*model)->config();
  EXPECT_EQ(config.architecture, "llama");
  EXPECT_EQ(config.layers, 2U);
  EXPECT_EQ(config.head_width, 8U);
  EXPECT_EQ(config.rope_width, 8U);
  EXPECT_EQ(config.vocabulary, 267U);
  EXPECT_EQ(config.rope.base, 10000.0F);
  EXPECT_TRUE(config.tied_output);
  // Embedding and last norm; a layer: two norms, q and output 32 x 32, k and v 32 x 16, three 32
  // x 64.
  EXPECT_EQ((*model)->parameters(), 267U * 32 + 32 + 2 * (64 + 2048 + 1024 + 3 * 2048));
}

TEST(BaseModel, NamesItsAdaptableModulesLayerByLayer) {
  const TestFolder folder;
  const auto model = TinyModel::make().open(folder.path()).value();
  const AdaptableModules modules = model->adaptable_modules();
  ASSERT_EQ(modules.size(), 14U);
  EXPECT_EQ(modules[0].tensor, "blk.0.attn_q");
  EXPECT_EQ(modules[0].rope_heads, 4U);
  EXPECT_EQ(modules[1].out, 16U);
  EXPECT_EQ(modules[1].rope_heads, 2U);
  EXPECT_EQ(modules[2].rope_heads, 0U);
  EXPECT_EQ(modules[6].tensor, "blk.0.ffn_down");
  EXPECT_EQ(modules[6].in, 64U);
  EXPECT_EQ(modules[7].tensor, "blk.1.attn_q");
}

TEST(BaseModel, MakesASpecForTheNamedTargetsOnly) {
  const TestFolder folder;
  const auto model = TinyModel::make().open(folder.path()).value();
  const std::vector<std::string> two = {"v_proj", "q_proj", "v_proj"};
  const auto spec = model->make_spec(4, 8.0F, LoraScaling::kStandard, two);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  ASSERT_EQ(spec->targets.size(), 4U);
  EXPECT_EQ(spec->targets[0].tensor, "blk.0.attn_q");
  EXPECT_EQ(spec->targets[1].tensor, "blk.0.attn_v");
  EXPECT_EQ(spec->targets[0].rank, 4U);
  EXPECT_EQ(spec->parameters(), 2U * (4 * (32 + 32) + 4 * (32 + 16)));
  const std::vector<std::string> all = {"all-linear"};
  EXPECT_EQ(model->make_spec(4, 8.0F, LoraScaling::kStandard, all)->targets.size(), 14U);
}

TEST(BaseModel, NamesTheNearestTargetForAnUnknownOne) {
  const TestFolder folder;
  const auto model = TinyModel::make().open(folder.path()).value();
  const std::vector<std::string> wrong = {"q_porj"};
  const auto spec = model->make_spec(4, 8.0F, LoraScaling::kStandard, wrong);
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(spec.error().message, HasSubstr("did you mean q_proj?"));
  EXPECT_FALSE(model->make_spec(4, 8.0F, LoraScaling::kStandard, {}).ok());
}

TEST(BaseModel, RefusesAnUnknownArchitecture) {
  TinyModel model = TinyModel::make();
  model.metadata["general.architecture"] = std::string("mamba");
  expect_refused(model, ErrorCode::kUnsupported, "mamba");
}

TEST(BaseModel, RefusesNumbersThatContradictOneAnother) {
  const auto with = [](const std::string& key, GgufMetadata value) {
    TinyModel model = TinyModel::make();
    model.metadata[key] = std::move(value);
    return model;
  };
  const auto number = [](std::uint32_t value) { return GgufMetadata(value); };
  expect_refused(with("llama.attention.head_count", number(0)), ErrorCode::kCorrupt, "head_count");
  expect_refused(with("llama.attention.head_count", number(5)), ErrorCode::kCorrupt, "head_count");
  expect_refused(with("llama.attention.head_count_kv", number(3)), ErrorCode::kCorrupt, "3");
  expect_refused(with("llama.block_count", number(0xFFFFFFFF)), ErrorCode::kCorrupt, "block_count");
  expect_refused(with("llama.rope.dimension_count", number(7)), ErrorCode::kCorrupt, "rope");
  expect_refused(with("llama.rope.dimension_count", number(16)), ErrorCode::kCorrupt, "rope");
  expect_refused(with("llama.rope.freq_base", GgufMetadata(-1.0F)), ErrorCode::kCorrupt,
                 "freq_base");
  expect_refused(with("llama.rope.scaling.type", GgufMetadata(std::string("yarn"))),
                 ErrorCode::kUnsupported, "yarn");
  expect_refused(with("llama.expert_count", number(8)), ErrorCode::kUnsupported, "expert_count");
}

TEST(BaseModel, RefusesAMissingAMisshapenAndAnUnreadableTensorByName) {
  TinyModel missing = TinyModel::make();
  missing.tensors.erase("blk.1.ffn_up.weight");
  expect_refused(missing, ErrorCode::kNotFound, "blk.1.ffn_up.weight");

  TinyModel misshapen = TinyModel::make();
  misshapen.set_f32("blk.1.attn_k.weight", {32, 32}, 1);
  expect_refused(misshapen, ErrorCode::kCorrupt, "blk.1.attn_k.weight");

  TinyModel unreadable = TinyModel::make();
  unreadable.tensors["blk.0.attn_v.weight"].type = BlockType::kQ8_1;
  unreadable.tensors["blk.0.attn_v.weight"].data.resize(32 * 16 / 32 * 36);
  expect_refused(unreadable, ErrorCode::kUnsupported, "blk.0.attn_v.weight");
}

TEST(BaseModel, RefusesTensorsThatItWouldHaveToIgnore) {
  TinyModel model = TinyModel::make();
  model.set_f32("blk.0.attn_q.bias", {32}, 1);
  expect_refused(model, ErrorCode::kUnsupported, "blk.0.attn_q.bias");
}

TEST(BaseModel, RefusesAVocabularyThatTheEmbeddingHasNoRowsFor) {
  TinyModel model = TinyModel::make();
  model.set_f32("token_embd.weight", {32, 200}, 1);
  expect_refused(model, ErrorCode::kCorrupt, "token_embd.weight");
}

TEST(BaseModel, TakesRopeTablesAndAnUntiedHead) {
  TinyModel model = TinyModel::make();
  model.set_f32("rope_freqs.weight", {4}, 1);
  model.set_f32("output.weight", {32, 267}, 1);
  const TestFolder folder;
  const auto tied = TinyModel::make().open(folder.path()).value();
  const auto opened = model.open(folder.path());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_FALSE((*opened)->config().tied_output);
  EXPECT_EQ((*opened)->parameters(), tied->parameters() + 32 * 267); // the table doesn't count
}

TEST(BaseModel, OpensRealModelsWithTheirPublishedSizes) {
  COPPICE_NEEDS_SHARED("models/coppice-4m.q4_0.gguf");
  const std::pair<const char*, std::uint64_t> models[] = {
      {"models/coppice-4m.q4_0.gguf", 4196608},   {"models/coppice-4m.q8_0.gguf", 4196608},
      {"models/coppice-27m.q4_0.gguf", 27271680}, {"models/babyllama361.q4_0.gguf", 969216},
      {"models/babyllama361.gguf", 969216},
  };
  for (const auto& [name, parameters] : models) {
    const auto model = BaseModel::open(shared_data(name));
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_EQ((*model)->parameters(), parameters) << name;
  }
  const auto coppice = BaseModel::open(shared_data(models[0].first)).value();
  const std::vector<std::string> all = {"all-linear"};
  EXPECT_EQ(coppice->make_spec(8, 16.0F, LoraScaling::kStandard, all)->parameters(), 155648U);
  for (const char* other : {"models/stories260K.gguf", "models/llama-2-tiny-random.gguf",
                            "arch/tiny-llama-a.f32.gguf", "arch/tiny-llama3rope-a.q8_0.gguf",
                            "arch/tiny-llama256-a.q6_k.gguf", "arch/tiny-llama256-a.q4_k_m.gguf"}) {
    const auto model = BaseModel::open(shared_data(other));
    EXPECT_TRUE(model.ok()) << model.error().message;
  }
}

} // namespace
} // namespace coppice
