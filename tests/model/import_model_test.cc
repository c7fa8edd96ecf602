// SPDX-License-Identifier: Apache-2.0
#include "model/import_model.h"

#include <gmock/gmock.h>

#include <cstring>
#include <map>

#include "formats/half.h"
#include "formats/safetensors_writer.h"
#include "model/base_model.h"
#include "tests/model/shared_data.h"

namespace coppice {
namespace {

void write_text(const fs::path& path, const std::string& text) {
  ASSERT_TRUE(write_file_atomically(path, as_bytes(text)).ok());
}

// A folder as transformers saves it: width 16, 2 layers, 2 heads of 8 columns, 1 key-value head,
// feed-forward 24. Weight i of a tensor is a small multiple of 1/64, so that all types hold it.
struct HuggingFaceFolder {
  TestFolder folder;
  Json config;
  std::map<std::string, std::vector<std::uint64_t>> shapes;
  Dtype dtype = Dtype::kF32;

  explicit HuggingFaceFolder(const std::string& type) {
    config = {{"model_type", type},
              {"hidden_size", 16},
              {"num_hidden_layers", 2},
              {"intermediate_size", 24},
              {"num_attention_heads", 2},
              {"num_key_value_heads", 1},
              {"vocab_size", 720},
              {"head_dim", 8},
              {"rms_norm_eps", 1e-5},
              {"rope_theta", 5000.0},
              {"hidden_act", "silu"},
              {"tie_word_embeddings", true},
              {"max_position_embeddings", 64}};
    shapes = {{"model.embed_tokens.weight", {720, 16}}, {"model.norm.weight", {16}}};
    for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
      shapes[layer + "input_layernorm.weight"] = {16};
      shapes[layer + "post_attention_layernorm.weight"] = {16};
      shapes[layer + "self_attn.q_proj.weight"] = {16, 16};
      shapes[layer + "self_attn.k_proj.weight"] = {8, 16};
      shapes[layer + "self_attn.v_proj.weight"] = {8, 16};
      shapes[layer + "self_attn.o_proj.weight"] = {16, 16};
      shapes[layer + "mlp.gate_proj.weight"] = {24, 16};
      shapes[layer + "mlp.up_proj.weight"] = {24, 16};
      shapes[layer + "mlp.down_proj.weight"] = {16, 24};
    }
    const fs::path vectors = fs::path(COPPICE_SOURCE_DIR) / "tests" / "vectors" / "tokenizers";
    const Json file = parse_json(read_text(vectors / "byte_level.json")).value();
    Json tokenizer = file["tokenizer"];
    tokenizer["pre_tokenizer"] = file["families"]["llama-bpe"]["pre_tokenizer"];
    write_text(path() / "tokenizer.json", dump_json(tokenizer));
    write_text(path() / "tokenizer_config.json",
               R"({"bos_token": "<|begin|>", "eos_token": {"content": "<|over|>"},)"
               R"( "chat_template": "<|im_start|>"})");
  }
  const fs::path& path() const { return folder.path(); }
  fs::path out() const { return path() / "out.gguf"; }

  static float weight(const std::string& name, std::uint64_t index) {
    return static_cast<float>((index * 7 + name.size() * 13) % 127) / 64.0F - 1.0F;
  }

  Bytes data_of(const std::string& name) const {
    std::uint64_t elements = 1;
    for (const std::uint64_t dim : shapes.at(name)) elements *= dim;
    ByteWriter data;
    for (std::uint64_t i = 0; i < elements; ++i) {
      if (dtype == Dtype::kF32) data.put(weight(name, i));
      if (dtype == Dtype::kBF16) data.put(float_to_bfloat16(weight(name, i)));
    }
    return std::move(data).take();
  }

  void write_config() const { write_text(path() / "config.json", dump_json(config)); }
  // In `files` shards by turns.
  void write(std::size_t files = 1) const {
    write_config();
    std::map<std::string, Bytes> data;
    std::vector<SafetensorsWriter> writers(files);
    Json map = Json::object();
    const auto file_name = [files](std::size_t i) {
      return files == 1 ? std::string("model.safetensors") : cat("part-", i, ".safetensors");
    };
    for (const auto& [name, shape] : shapes) {
      const std::size_t file = data.size() % files;
      data[name] = data_of(name);
      ASSERT_TRUE(writers[file].add_tensor(name, dtype, shape, data[name]).ok());
      map[name] = file_name(file);
    }
    for (std::size_t i = 0; i < files; ++i) {
      ASSERT_TRUE(writers[i].write_file(path() / file_name(i)).ok());
    }
    if (files > 1) {
      write_text(path() / "model.safetensors.index.json", dump_json(Json{{"weight_map", map}}));
    }
  }

  Error refusal(const ImportOptions& options = {}) const {
    const auto made = import_model(path(), out(), options);
    EXPECT_FALSE(fs::exists(out()));
    EXPECT_FALSE(fs::exists(out().string() + ".importing"));
    return made ? Error{ErrorCode::kInternal, "not refused"} : made.error();
  }
};

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
  EXPECT_EQ(from.refusal().code, ErrorCode::kUnsupported);
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

TEST(ImportModel, RefusesByNameWhatItDoesntKnow) {
  const auto refuse = [](const std::string& key, const Json& value) {
    HuggingFaceFolder from("llama");
    from.config[key] = value;
    from.write();
    return from.refusal();
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
  EXPECT_THAT(biased.refusal().message, testing::HasSubstr("q_proj.bias"));
  const HuggingFaceFolder large("llama");
  large.write();
  EXPECT_EQ(large.refusal({.type = BlockType::kIQ2_S}).code, ErrorCode::kUnsupported);
}

TEST(ImportModel, AnIndexNamesFilesOfTheFolderOnly) {
  const HuggingFaceFolder from("llama");
  from.write(2);
  for (const char* name : {"../other.safetensors", "/tmp/a.safetensors", "config.json"}) {
    write_text(from.path() / "model.safetensors.index.json",
               dump_json(Json{{"weight_map", {{"model.norm.weight", name}}}}));
    EXPECT_EQ(from.refusal().code, ErrorCode::kCorrupt) << name;
  }
  write_text(from.path() / "model.safetensors.index.json",
             R"({"weight_map": {"model.missing.weight": "part-0.safetensors"}})");
  EXPECT_EQ(from.refusal().code, ErrorCode::kNotFound);
  fs::remove(from.path() / "tokenizer.json");
  EXPECT_EQ(from.refusal().code, ErrorCode::kNotFound);
}

} // namespace
} // namespace coppice
