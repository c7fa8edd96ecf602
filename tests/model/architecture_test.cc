// SPDX-License-Identifier: Apache-2.0
// Every architecture's tiny model from ../shared: its numbers, its modules, its adapter's ways.
#include "model/architecture.h"

#include <gmock/gmock.h>

#include "adapters/gguf_adapter.h"
#include "adapters/module_names.h"
#include "formats/safetensors_reader.h"
#include "tests/model/refused_model.h"
#include "tests/model/shared_data.h"
#include "tests/model/tiny_model.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

constexpr const char* kModels[] = {
    "tiny-llama-a",  "tiny-llama3rope-a", "tiny-llama256-a", "tiny-qwen2-a",
    "tiny-qwen3-a",  "tiny-phi3-a",       "tiny-phi4mini-a", "tiny-gemma2-a",
    "tiny-gemma3-a", "tiny-smollm3-a",    "tiny-bitnet-a",   "tiny-bitnet256-a",
};

class Architectures : public ::testing::Test {
 protected:
  void SetUp() override { COPPICE_NEEDS_SHARED("arch/README.md"); }
};

std::shared_ptr<const BaseModel> open_tiny(const std::string& name,
                                           const std::string& type = "f32") {
  auto model = BaseModel::open(shared_data("arch/" + name + "." + type + ".gguf"));
  EXPECT_TRUE(model.ok()) << model.error().message;
  return model.value();
}

Json golden_of(const std::string& name) {
  return parse_json(
             read_file(shared_data("arch/" + name + ".golden.json"), std::size_t{1} << 24U).value())
      .value();
}

TEST_F(Architectures, EveryFileOpensWithTheShapesOfItsOriginal) {
  for (const std::string name : kModels) {
    const Json original = golden_of(name)["hf_config"];
    for (const char* type : {"f32", "q8_0"}) {
      const ModelConfig config = open_tiny(name, type)->config();
      EXPECT_EQ(config.width, original["hidden_size"]) << name;
      EXPECT_EQ(config.layers, original["num_hidden_layers"]) << name;
      EXPECT_EQ(config.heads, original["num_attention_heads"]) << name;
      EXPECT_EQ(config.kv_heads, original["num_key_value_heads"]) << name;
      EXPECT_EQ(config.feed_forward, original["intermediate_size"]) << name;
      EXPECT_EQ(config.vocabulary, original["vocab_size"]) << name;
      EXPECT_EQ(config.tied_output, original["tie_word_embeddings"]) << name;
      EXPECT_EQ(config.norm_epsilon, original["rms_norm_eps"].get<float>()) << name;
      if (original.contains("head_dim") && !original["head_dim"].is_null()) {
        EXPECT_EQ(config.head_width, original["head_dim"]) << name;
      }
      EXPECT_FLOAT_EQ(config.attention_scale,
                      1.0F / std::sqrt(static_cast<float>(config.head_width)))
          << name;
    }
  }
}

TEST_F(Architectures, LlamaAndSmollm3TurnPairsAllOthersHalves) {
  for (const std::string name : kModels) {
    const ModelConfig config = open_tiny(name)->config();
    const bool pairs = config.architecture == "llama" || config.architecture == "smollm3";
    EXPECT_EQ(config.rope_order == RopeOrder::kAdjacentPairs, pairs) << name;
  }
}

TEST_F(Architectures, QwensHaveBiasesOrNormsOfQAndK) {
  const ModelConfig qwen2 = open_tiny("tiny-qwen2-a")->config();
  EXPECT_TRUE(qwen2.qkv_bias);
  EXPECT_FALSE(qwen2.qk_norm);
  EXPECT_EQ(qwen2.head_width, 16U); // no key says so
  EXPECT_EQ(qwen2.rope_width, 16U);
  EXPECT_EQ(qwen2.rope.base, 1e6F);
  const ModelConfig qwen3 = open_tiny("tiny-qwen3-a")->config();
  EXPECT_FALSE(qwen3.qkv_bias);
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_EQ(qwen3.head_width, 32U);
}

TEST_F(Architectures, Phi3FusesItsMatricesAndHasItsWindowEverywhere) {
  const ModelConfig phi3 = open_tiny("tiny-phi3-a")->config();
  EXPECT_TRUE(phi3.fused_qkv);
  EXPECT_TRUE(phi3.fused_gate_up);
  EXPECT_EQ(phi3.window, 48U);
  EXPECT_TRUE(phi3.has_window(0) && phi3.has_window(1));
  EXPECT_EQ(phi3.rope.short_context, 0U); // no long factors
  const ModelConfig phi4 = open_tiny("tiny-phi4mini-a")->config();
  EXPECT_FALSE(phi4.has_window(0));
  EXPECT_EQ(phi4.head_width, 32U);
  EXPECT_EQ(phi4.rope_width, 24U);
  EXPECT_EQ(phi4.rope.short_context, 64U);
  EXPECT_FLOAT_EQ(phi4.rope.magnitude, 1.1547005F);
}

TEST_F(Architectures, GemmasHaveCapsWindowsAndTwoRopes) {
  const ModelConfig gemma2 = open_tiny("tiny-gemma2-a")->config();
  EXPECT_EQ(gemma2.embedding_scale, 8.0F);
  EXPECT_EQ(gemma2.attention_cap, 3.0F);
  EXPECT_EQ(gemma2.output_cap, 8.0F);
  EXPECT_EQ(gemma2.activation, Activation::kGeluTanh);
  EXPECT_TRUE(gemma2.post_norms);
  EXPECT_EQ(gemma2.window, 16U);
  EXPECT_TRUE(gemma2.has_window(0) && !gemma2.has_window(1) && gemma2.has_window(2));
  const ModelConfig gemma3 = open_tiny("tiny-gemma3-a")->config();
  EXPECT_EQ(gemma3.attention_cap, 0.0F);
  EXPECT_EQ(gemma3.output_cap, 0.0F);
  EXPECT_TRUE(gemma3.qk_norm);
  for (std::uint32_t layer = 0; layer < 6; ++layer) {
    EXPECT_EQ(gemma3.has_window(layer), layer != 5);
    EXPECT_EQ(gemma3.rope_of(layer).base, layer != 5 ? 10000.0F : 1e6F);
  }
}

TEST_F(Architectures, Smollm3LeavesEveryFourthLayerUnturned) {
  const ModelConfig config = open_tiny("tiny-smollm3-a")->config();
  for (std::uint32_t layer = 0; layer < 4; ++layer) EXPECT_EQ(config.rotates(layer), layer != 3);
}

TEST_F(Architectures, BitnetSquaresItsReluWhereTheFileSaysSo) {
  const ModelConfig config = open_tiny("tiny-bitnet-a")->config();
  EXPECT_TRUE(config.sub_norms);
  EXPECT_EQ(config.activation, Activation::kSquaredRelu);
}

TEST_F(Architectures, TheFileLayoutThatAdaptersKnowIsThatOfTheTable) {
  for (const std::string name : kModels) {
    const auto model = open_tiny(name);
    const ModelConfig& config = model->config();
    const FileLayout layout = file_layout(config.architecture);
    EXPECT_EQ(layout.fused, config.fused_qkv) << name;
    EXPECT_EQ(layout.fused, config.fused_gate_up) << name;
    EXPECT_EQ(layout.interleaved_heads, config.rope_order == RopeOrder::kAdjacentPairs) << name;
    ModuleName before{};
    for (const AdapterTarget& module : model->adaptable_modules()) {
      const auto known = module_from_gguf(module.tensor, config.architecture);
      ASSERT_TRUE(known.has_value()) << module.tensor;
      EXPECT_LE(before, *known) << module.tensor;
      before = *known;
    }
  }
}

TEST_F(Architectures, TargetsOfFusedMatricesHaveTheirOwnNames) {
  const auto phi3 = open_tiny("tiny-phi3-a");
  const auto modules = phi3->adaptable_modules();
  ASSERT_EQ(modules.size(), 8U);
  EXPECT_EQ(modules[0].tensor, "blk.0.attn_qkv");
  EXPECT_EQ(modules[0].out, 3U * 64);
  EXPECT_EQ(modules[2].tensor, "blk.0.ffn_up");
  EXPECT_EQ(modules[2].out, 2U * 128);
  const std::vector<std::string> fused = {"qkv_proj", "gate_up_proj"};
  EXPECT_EQ(phi3->make_spec(4, 8.0F, LoraScaling::kStandard, fused)->targets.size(), 4U);
  const std::vector<std::string> parts = {"up_proj"};
  const auto refused = phi3->make_spec(4, 8.0F, LoraScaling::kStandard, parts);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("gate_up_proj"));
  const auto llama = open_tiny("tiny-llama-a");
  EXPECT_FALSE(llama->make_spec(4, 8.0F, LoraScaling::kStandard, fused).ok());
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return std::ranges::equal(as_bytes(a), as_bytes(b));
}

TEST_F(Architectures, AdaptersGoThroughBothFormatsBitForBit) {
  for (const std::string name : kModels) {
    const auto model = open_tiny(name);
    const std::string& architecture = model->config().architecture;
    const AdaptableModules modules = model->adaptable_modules();
    const fs::path folder = shared_data("arch/" + name + ".adapter");
    const auto read = read_peft_adapter(folder, architecture, modules);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->targets(), modules.size()) << name;
    const TestFolder written;
    ASSERT_TRUE(write_gguf_adapter(written.path() / "a.gguf", *read).ok());
    const auto gguf = read_gguf_adapter(written.path() / "a.gguf", architecture, modules);
    ASSERT_TRUE(gguf.ok()) << gguf.error().message;
    EXPECT_EQ(gguf->spec(), read->spec());
    EXPECT_TRUE(same_bits(gguf->values(), read->values())) << name;
    ASSERT_TRUE(write_peft_adapter(written.path() / "peft", *gguf, {}).ok());
    const auto before = SafetensorsFile::open(folder / "adapter_model.safetensors").value();
    const auto after =
        SafetensorsFile::open(written.path() / "peft" / "adapter_model.safetensors").value();
    ASSERT_EQ(after.tensors().size(), before.tensors().size());
    for (const SafeTensor& tensor : before.tensors()) {
      const auto found = after.find_tensor(tensor.name);
      ASSERT_TRUE(found.ok()) << found.error().message;
      EXPECT_TRUE(std::ranges::equal((*found)->data, tensor.data)) << name << " " << tensor.name;
    }
    // Only what lies in pairs moves: elsewhere B is the file's, as it is.
    const Adapter unturned =
        read_peft_adapter(folder, architecture, modules, PeftRows::kGguf).value();
    EXPECT_EQ(same_bits(unturned.values(), read->values()),
              model->config().rope_order == RopeOrder::kHalves)
        << name;
  }
}

TEST_F(Architectures, AnAdapterOfAnotherArchitectureIsRefused) {
  const auto phi3 = open_tiny("tiny-phi3-a");
  const auto llama = read_peft_adapter(shared_data("arch/tiny-llama-a.adapter"), "phi3",
                                       phi3->adaptable_modules());
  ASSERT_FALSE(llama.ok());
  EXPECT_THAT(llama.error().message, HasSubstr("another base"));
  const auto fused = read_peft_adapter(shared_data("arch/tiny-phi3-a.adapter"), "llama",
                                       open_tiny("tiny-llama-a")->adaptable_modules());
  ASSERT_FALSE(fused.ok());
  EXPECT_THAT(fused.error().message, HasSubstr("another base"));
}

// The tiny llama with the keys of another architecture.
TinyModel as(const std::string& architecture) {
  TinyModel model = TinyModel::make();
  model.metadata["general.architecture"] = architecture;
  std::map<std::string, GgufMetadata> renamed;
  for (const auto& [key, value] : model.metadata) {
    const bool own = key.starts_with("llama.");
    renamed[own ? architecture + key.substr(5) : key] = value;
  }
  model.metadata = std::move(renamed);
  return model;
}

TEST(ArchitectureFiles, WithoutTheirOwnTensorsAreRefusedByName) {
  expect_refused(as("qwen2"), ErrorCode::kNotFound, "blk.0.attn_q.bias");
  expect_refused(as("qwen3"), ErrorCode::kNotFound, "blk.0.attn_q_norm.weight");
  expect_refused(as("phi3"), ErrorCode::kNotFound, "blk.0.attn_qkv.weight");
  expect_refused(as("gemma2"), ErrorCode::kNotFound, "blk.0.post_attention_norm.weight");
  expect_refused(as("bitnet"), ErrorCode::kNotFound, "blk.0.attn_sub_norm.weight");
  expect_refused(as("bitnet-b1.58"), ErrorCode::kUnsupported, "bitnet-b1.58");
}

TEST(ArchitectureFiles, WithKeysThatAreNotComputedAreRefusedByName) {
  const auto with = [](const std::string& architecture, const std::string& key,
                       GgufMetadata value) {
    TinyModel model = as(architecture);
    model.metadata[architecture + "." + key] = std::move(value);
    return model;
  };
  const auto text = [](const char* value) { return GgufMetadata(std::string(value)); };
  expect_refused(with("bitnet", "hidden_activation", text("tanh")), ErrorCode::kUnsupported,
                 "tanh");
  expect_refused(with("llama", "attention.sliding_window", GgufMetadata(std::uint32_t{16})),
                 ErrorCode::kUnsupported, "sliding_window");
  expect_refused(with("phi3", "rope.scaling.type", text("yarn")), ErrorCode::kUnsupported, "yarn");
  expect_refused(with("phi3", "rope.scaling.type", text("longrope")), ErrorCode::kUnsupported,
                 "longrope");
  expect_refused(with("gemma2", "attn_logit_softcapping", GgufMetadata(-1.0F)), ErrorCode::kCorrupt,
                 "attn_logit_softcapping");
  expect_refused(
      with("gemma3", "attention.head_count_kv", GgufMetadata(std::vector<std::int32_t>{2, 4})),
      ErrorCode::kUnsupported, "head_count_kv");
  TinyModel factors = as("phi3");
  factors.set_f32("rope_factors_long.weight", {4}, 1);
  expect_refused(factors, ErrorCode::kNotFound, "original_context_length");
}

TEST(ArchitectureFiles, MayListOneNumberForAllLayers) {
  TinyModel model = TinyModel::make();
  model.metadata["llama.attention.head_count_kv"] = std::vector<std::int32_t>{2, 2};
  const TestFolder folder;
  const auto opened = model.open(folder.path());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ((*opened)->config().kv_heads, 2U);
}

TEST(ArchitectureFiles, ScalePositionsByALinearFactor) {
  TinyModel model = TinyModel::make();
  model.metadata["llama.rope.scaling.type"] = std::string("linear");
  model.metadata["llama.rope.scaling.factor"] = 8.0F;
  const TestFolder folder;
  EXPECT_EQ(model.open(folder.path()).value()->config().rope.linear_factor, 8.0F);
  model.metadata["llama.rope.scaling.type"] = std::string("none");
  EXPECT_EQ(model.open(folder.path()).value()->config().rope.linear_factor, 1.0F);
}

} // namespace
} // namespace coppice
