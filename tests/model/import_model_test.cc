// SPDX-License-Identifier: Apache-2.0
#include "model/import_model.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>

#include "formats/half.h"
#include "model/base_model.h"
#include "model/quantize_model.h"
#include "tests/model/hugging_face_folder.h"
#include "tests/model/shared_data.h"

namespace coppice {
namespace {

Error refusal(const HuggingFaceFolder& from, const ImportOptions& options = {}) {
  const auto made = import_model(from.path(), from.out(), options);
  EXPECT_FALSE(fs::exists(from.out()));
  EXPECT_FALSE(fs::exists(from.out().string() + ".importing"));
  return made ? Error{ErrorCode::kInternal, "not refused"} : made.error();
}

std::vector<float> floats_of(const GgufFile& file, const std::string& name) {
  const GgufTensor* tensor = file.find_tensor(name).value();
  EXPECT_EQ(tensor->type, BlockType::kF32) << name;
  std::vector<float> values(tensor->elements());
  std::memcpy(values.data(), tensor->data.data(), tensor->data.size());
  return values;
}

TEST(ImportModel, MakesABaseModelOfAFolderOfOneFileOrSeveral) {
  for (const std::size_t files : {1, 3}) {
    const HuggingFaceFolder from("llama");
    from.write(files);
    const auto made = import_model(from.path(), from.out(), {});
    ASSERT_TRUE(made.ok()) << made.error().message;
    EXPECT_EQ(made->architecture, "llama");
    EXPECT_EQ(made->type, BlockType::kF32);
    const auto base = BaseModel::open(from.out()).value();
    EXPECT_EQ(base->config().heads, 2U);
    EXPECT_EQ(base->config().kv_heads, 1U);
    EXPECT_EQ(base->config().rope.base, 5000.0F);
    EXPECT_TRUE(base->config().tied_output);
    EXPECT_EQ(base->tokenizer().kind(), "gpt2/llama-bpe");
    EXPECT_EQ(base->tokenizer().eos(), base->tokenizer().find("<|over|>"));
    EXPECT_EQ(base->file().get_string("tokenizer.chat_template").value(), "<|im_start|>");
    EXPECT_EQ(floats_of(base->file(), "blk.1.ffn_down.weight")[30],
              HuggingFaceFolder::weight("model.layers.1.mlp.down_proj.weight", 30));
  }
}

TEST(ImportModel, LlamasQueryAndKeyRowsComeToLieInPairs) {
  const HuggingFaceFolder from("llama");
  from.write();
  ASSERT_TRUE(import_model(from.path(), from.out(), {}).ok());
  const auto base = BaseModel::open(from.out()).value();
  const auto q = floats_of(base->file(), "blk.0.attn_q.weight");
  // Of each head of 8 rows: 0, 4, 1, 5, 2, 6, 3, 7.
  const std::size_t order[] = {0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15};
  for (std::size_t row = 0; row < 16; ++row) {
    for (std::size_t column = 0; column < 16; ++column) {
      EXPECT_EQ(q[row * 16 + column],
                HuggingFaceFolder::weight("model.layers.0.self_attn.q_proj.weight",
                                          order[row] * 16 + column));
    }
  }
}

TEST(ImportModel, GemmasNormsAreStoredPlusOneAndItsOwnNormsNamed) {
  HuggingFaceFolder from("gemma2");
  from.config["hidden_activation"] = "gelu_pytorch_tanh";
  from.config["query_pre_attn_scalar"] = 8;
  from.config["sliding_window"] = 16;
  from.config["attn_logit_softcapping"] = 50.0;
  from.config["final_logit_softcapping"] = 30.0;
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    from.shapes[layer + "pre_feedforward_layernorm.weight"] = {16};
    from.shapes[layer + "post_feedforward_layernorm.weight"] = {16};
  }
  from.write();
  const auto made = import_model(from.path(), from.out(), {});
  ASSERT_TRUE(made.ok()) << made.error().message;
  const auto base = BaseModel::open(from.out()).value();
  EXPECT_EQ(base->config().attention_cap, 50.0F);
  EXPECT_EQ(base->config().window, 16U);
  EXPECT_EQ(floats_of(base->file(), "blk.0.post_attention_norm.weight")[3],
            1.0F + HuggingFaceFolder::weight("model.layers.0.post_attention_layernorm.weight", 3));
  from.config["query_pre_attn_scalar"] = 100;
  from.write_config();
  fs::remove(from.out());
  EXPECT_EQ(refusal(from).code, ErrorCode::kUnsupported);
}

TEST(ImportModel, MatricesAreStoredAsInTheFolderOrAsAsked) {
  HuggingFaceFolder from("llama");
  from.dtype = Dtype::kBF16;
  from.write();
  for (const auto type : {std::optional<BlockType>(), std::optional(BlockType::kF16),
                          std::optional(BlockType::kF32)}) {
    ASSERT_TRUE(import_model(from.path(), from.out(), {.type = type}).ok());
    const auto base = BaseModel::open(from.out()).value();
    const auto* embedding = base->file().find_tensor("token_embd.weight").value();
    EXPECT_EQ(embedding->type, type.value_or(BlockType::kBF16));
    EXPECT_EQ(base->file().find_tensor("output_norm.weight").value()->type, BlockType::kF32);
    std::uint16_t bits = 0;
    std::memcpy(&bits, embedding->data.data() + 10, sizeof bits);
    const float expected = HuggingFaceFolder::weight("model.embed_tokens.weight", 5);
    if (embedding->type != BlockType::kF32) {
      EXPECT_EQ(type ? half_to_float(bits) : bfloat16_to_float(bits), expected);
    }
    EXPECT_EQ(import_model(from.path(), from.out(), {}).error().code, ErrorCode::kAlreadyExists);
    fs::remove(from.out());
  }
}

TEST(ImportModel, OtherTypesAreWhatQuantizeMakesOfTheFile) {
  const HuggingFaceFolder from("llama", 64);
  from.write();
  ASSERT_TRUE(import_model(from.path(), from.out(), {}).ok());
  const GgufFile plain = GgufFile::open(from.out()).value();
  for (const BlockType type : {BlockType::kQ4_0, BlockType::kQ4_K, BlockType::kI8}) {
    const fs::path expected = from.path() / "expected.gguf";
    const fs::path made = from.path() / "made.gguf";
    ASSERT_TRUE(quantize_model(plain, expected, {.type = type}).ok());
    const auto imported = import_model(from.path(), made, {.type = type, .threads = 2});
    ASSERT_TRUE(imported.ok()) << imported.error().message;
    EXPECT_EQ(imported->type, type);
    EXPECT_EQ(read_text(made), read_text(expected));
    EXPECT_FALSE(fs::exists(made.string() + ".importing"));
    fs::remove(made);
  }
}

TEST(ImportModel, Llama3sScalingBecomesATableOfDivisors) {
  HuggingFaceFolder from("llama");
  from.config["rope_scaling"] = {{"rope_type", "llama3"},
                                 {"factor", 8.0},
                                 {"low_freq_factor", 1.0},
                                 {"high_freq_factor", 4.0},
                                 {"original_max_position_embeddings", 32}};
  from.write();
  ASSERT_TRUE(import_model(from.path(), from.out(), {}).ok());
  const auto base = BaseModel::open(from.out()).value();
  const auto divisors = floats_of(base->file(), "rope_freqs.weight");
  ASSERT_EQ(divisors.size(), 4U);
  EXPECT_EQ(divisors.front(), 1.0F); // a wave of 2 pi tokens
  EXPECT_EQ(divisors.back(), 8.0F);  // of thousands
}

// The folder of a BitNet whose linear layers are stored as U8, or as numbers to be rounded.
HuggingFaceFolder& as_bitnet(HuggingFaceFolder& from, bool packed) {
  from.config["hidden_act"] = "relu2";
  from.config["quantization_config"] = {{"quant_method", "bitnet"},
                                        {"linear_class", "autobitlinear"},
                                        {"quantization_mode", packed ? "offline" : "online"}};
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    from.shapes[layer + "self_attn.attn_sub_norm.weight"] = {16};
    from.shapes[layer + "mlp.ffn_sub_norm.weight"] = {24};
    for (const auto& [name, shape] : std::map(from.shapes)) {
      if (!packed || !name.starts_with(layer) || shape.size() != 2) continue;
      from.shapes[name] = {shape[0] / 4, shape[1]};
      from.shapes[name + "_scale"] = {1};
      from.packed.insert(name);
    }
  }
  return from;
}

TEST(ImportModel, BitNetsPackedWeightsAreUnpackedAndScaled) {
  HuggingFaceFolder from("bitnet");
  as_bitnet(from, true).write();
  const auto made = import_model(from.path(), from.out(), {.type = BlockType::kF32});
  ASSERT_TRUE(made.ok()) << made.error().message;
  const auto base = BaseModel::open(from.out()).value();
  EXPECT_EQ(base->config().activation, Activation::kSquaredRelu);
  const std::string name = "model.layers.0.mlp.up_proj.weight"; // 24 rows of 16, in 6 packed ones
  const float scale = HuggingFaceFolder::weight(name + "_scale", 0);
  const auto weights = floats_of(base->file(), "blk.0.ffn_up.weight");
  for (std::uint64_t row = 0; row < 24; ++row) {
    for (std::uint64_t column = 0; column < 16; ++column) {
      const unsigned byte = HuggingFaceFolder::ternary_byte(row % 6 * 16 + column);
      const unsigned digit = byte >> (row / 6 * 2) & 3U;
      EXPECT_EQ(weights[row * 16 + column], (static_cast<float>(digit) - 1.0F) * scale);
    }
  }
}

TEST(ImportModel, BitNetsMasterWeightsAreRoundedAsTheModelDoes) {
  HuggingFaceFolder from("bitnet");
  as_bitnet(from, false).write();
  ASSERT_TRUE(import_model(from.path(), from.out(), {}).ok());
  const auto base = BaseModel::open(from.out()).value();
  const std::string name = "model.layers.1.self_attn.k_proj.weight";
  double mean = 0;
  for (std::uint64_t i = 0; i < 128; ++i)
    mean += std::abs(HuggingFaceFolder::weight(name, i)) / 128;
  const auto weights = floats_of(base->file(), "blk.1.attn_k.weight");
  for (std::uint64_t i = 0; i < 128; ++i) {
    const double level =
        std::clamp(std::round(HuggingFaceFolder::weight(name, i) / mean), -1.0, 1.0);
    EXPECT_NEAR(weights[i], level * mean, 1e-6);
  }
  EXPECT_EQ(floats_of(base->file(), "token_embd.weight")[9], // no linear layer
            HuggingFaceFolder::weight("model.embed_tokens.weight", 9));
}

TEST(ImportModel, RefusesByNameWhatItDoesntKnow) {
  const auto refuse = [](const std::string& key, const Json& value) {
    HuggingFaceFolder from("llama");
    from.config[key] = value;
    from.write();
    return refusal(from);
  };
  EXPECT_THAT(refuse("model_type", "mamba").message, testing::HasSubstr("mamba"));
  EXPECT_THAT(refuse("hidden_act", "gelu").message, testing::HasSubstr("gelu"));
  EXPECT_EQ(refuse("rope_scaling", {{"type", "yarn"}, {"factor", 4.0}}).code,
            ErrorCode::kUnsupported);
  EXPECT_EQ(refuse("quantization_config", {{"quant_method", "gptq"}}).code,
            ErrorCode::kUnsupported);
  EXPECT_EQ(refuse("hidden_size", "many").code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refuse("vocab_size", 3).code, ErrorCode::kCorrupt); // fewer than there are tokens
  EXPECT_EQ(refuse("num_hidden_layers", 3).code, ErrorCode::kNotFound);
  EXPECT_EQ(refuse("tie_word_embeddings", false).code, ErrorCode::kNotFound);

  HuggingFaceFolder biased("llama");
  biased.shapes["model.layers.0.self_attn.q_proj.bias"] = {16};
  biased.write();
  EXPECT_THAT(refusal(biased).message, testing::HasSubstr("q_proj.bias"));
  const HuggingFaceFolder large("llama");
  large.write();
  EXPECT_EQ(refusal(large, {.type = BlockType::kIQ2_S}).code, ErrorCode::kUnsupported);
}

TEST(ImportModel, AnIndexNamesFilesOfTheFolderOnly) {
  const HuggingFaceFolder from("llama");
  from.write(2);
  for (const char* name : {"../other.safetensors", "/tmp/a.safetensors", "config.json"}) {
    from.write_file("model.safetensors.index.json",
                    dump_json(Json{{"weight_map", {{"model.norm.weight", name}}}}));
    EXPECT_EQ(refusal(from).code, ErrorCode::kCorrupt) << name;
  }
  from.write_file("model.safetensors.index.json",
                  R"({"weight_map": {"model.missing.weight": "part-0.safetensors"}})");
  EXPECT_EQ(refusal(from).code, ErrorCode::kNotFound);
  fs::remove(from.path() / "tokenizer.json");
  EXPECT_EQ(refusal(from).code, ErrorCode::kNotFound);
}

} // namespace
} // namespace coppice
