// SPDX-License-Identifier: Apache-2.0
// A model folder as Hugging Face's transformers save it, made on the spot.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <set>

#include "base/text.h"
#include "formats/half.h"
#include "formats/json.h"
#include "formats/safetensors_writer.h"

namespace coppice {

// A folder as transformers saves it: 2 layers, heads of 8 columns, 1 key-value head, feed-forward
// 24. Weight i of a tensor is a small multiple of 1/64, so that all types hold it.
struct HuggingFaceFolder {
  fs::path folder;
  Json config;
  std::map<std::string, std::vector<std::uint64_t>> shapes;
  std::set<std::string> packed; // U8, four ternary weights each
  Dtype dtype = Dtype::kF32;    // or BF16: of all others

  explicit HuggingFaceFolder(const std::string& type, std::uint64_t width = 16) {
    std::string pattern = (fs::temp_directory_path() / "coppice-hf-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
    config = {{"model_type", type},
              {"hidden_size", width},
              {"num_hidden_layers", 2},
              {"intermediate_size", 24},
              {"num_attention_heads", width / 8},
              {"num_key_value_heads", 1},
              {"vocab_size", 720},
              {"head_dim", 8},
              {"rms_norm_eps", 1e-5},
              {"rope_theta", 5000.0},
              {"hidden_act", "silu"},
              {"tie_word_embeddings", true},
              {"max_position_embeddings", 64}};
    shapes = {{"model.embed_tokens.weight", {720, width}}, {"model.norm.weight", {width}}};
    for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
      shapes[layer + "input_layernorm.weight"] = {width};
      shapes[layer + "post_attention_layernorm.weight"] = {width};
      shapes[layer + "self_attn.q_proj.weight"] = {width, width};
      shapes[layer + "self_attn.k_proj.weight"] = {8, width};
      shapes[layer + "self_attn.v_proj.weight"] = {8, width};
      shapes[layer + "self_attn.o_proj.weight"] = {width, width};
      shapes[layer + "mlp.gate_proj.weight"] = {24, width};
      shapes[layer + "mlp.up_proj.weight"] = {24, width};
      shapes[layer + "mlp.down_proj.weight"] = {width, 24};
    }
    const fs::path vectors = fs::path(COPPICE_SOURCE_DIR) / "tests" / "vectors" / "tokenizers";
    const Json file =
        parse_json(read_file(vectors / "byte_level.json", std::size_t{1} << 20U).value()).value();
    Json tokenizer = file["tokenizer"];
    tokenizer["pre_tokenizer"] = file["families"]["llama-bpe"]["pre_tokenizer"];
    write_file("tokenizer.json", dump_json(tokenizer));
    write_file("tokenizer_config.json",
               R"({"bos_token": "<|begin|>", "eos_token": {"content": "<|over|>"},)"
               R"( "chat_template": "<|im_start|>"})");
  }
  HuggingFaceFolder(const HuggingFaceFolder&) = delete;
  HuggingFaceFolder& operator=(const HuggingFaceFolder&) = delete;
  ~HuggingFaceFolder() { fs::remove_all(folder); }
  const fs::path& path() const { return folder; }
  fs::path out() const { return path() / "out.gguf"; }

  static float weight(const std::string& name, std::uint64_t index) {
    return static_cast<float>((index * 7 + name.size() * 13) % 127) / 64.0F - 1.0F;
  }

  // Four times 0, 1 or 2: the weights plus one, the lowest bits first.
  static unsigned ternary_byte(std::uint64_t index) {
    const auto digits = static_cast<unsigned>(index * 31 % 81);
    return digits % 3 | digits / 3 % 3 << 2U | digits / 9 % 3 << 4U | digits / 27 << 6U;
  }

  Bytes data_of(const std::string& name) const {
    std::uint64_t elements = 1;
    for (const std::uint64_t dim : shapes.at(name)) elements *= dim;
    ByteWriter data;
    for (std::uint64_t i = 0; i < elements; ++i) {
      if (packed.contains(name)) {
        data.put(static_cast<std::uint8_t>(ternary_byte(i)));
      } else if (dtype == Dtype::kF32) {
        data.put(weight(name, i));
      } else {
        data.put(float_to_bfloat16(weight(name, i)));
      }
    }
    return std::move(data).take();
  }

  void write_file(const std::string& name, const std::string& text) const {
    ASSERT_TRUE(write_file_atomically(path() / name, as_bytes(text)).ok());
  }
  void write_config() const { write_file("config.json", dump_json(config)); }
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
      ASSERT_TRUE(
          writers[file]
              .add_tensor(name, packed.contains(name) ? Dtype::kU8 : dtype, shape, data[name])
              .ok());
      map[name] = file_name(file);
    }
    for (std::size_t i = 0; i < files; ++i) {
      ASSERT_TRUE(writers[i].write_file(path() / file_name(i)).ok());
    }
    if (files > 1) {
      write_file("model.safetensors.index.json", dump_json(Json{{"weight_map", map}}));
    }
  }
};

} // namespace coppice
