// SPDX-License-Identifier: Apache-2.0
#include "tests/model/tiny_model.h"

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "formats/half.h"

namespace coppice {
namespace {

constexpr std::uint64_t kWidth = 32;
constexpr std::uint64_t kForward = 64;
constexpr std::uint64_t kKv = 16;

std::uint64_t count(std::span<const std::uint64_t> dims) {
  std::uint64_t elements = 1;
  for (const std::uint64_t dim : dims) elements *= dim;
  return elements;
}

// Random valid blocks: the scale about 1/100, any int8.
Bytes random_q8(std::uint64_t elements, KeyedRandom& random) {
  ByteWriter writer;
  for (std::uint64_t block = 0; block < elements / 32; ++block) {
    writer.put(float_to_half(0.01F * random.uniform_float()));
    for (int i = 0; i < 32; ++i) writer.put(static_cast<std::uint8_t>(random.next_u32()));
  }
  return std::move(writer).take();
}

// A byte as GPT-2 spells it.
std::string spelled(unsigned byte) {
  const auto printable = [](unsigned b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
  };
  unsigned point = byte;
  if (!printable(byte)) {
    point = 256;
    for (unsigned below = 0; below < byte; ++below) point += printable(below) ? 0U : 1U;
  }
  if (point < 128) return {static_cast<char>(point)};
  return {static_cast<char>(0xC0U | point >> 6U), static_cast<char>(0x80U | (point & 63U))};
}

} // namespace

std::map<std::string, GgufMetadata> TinyModel::byte_vocabulary() {
  std::vector<std::string> tokens = {"<|endoftext|>", "<|user|>", "<|assistant|>", "<|pad|>"};
  std::vector<std::int32_t> types(4, 3);
  for (unsigned byte = 0; byte < 256; ++byte) tokens.push_back(spelled(byte));
  const std::vector<std::string> merges = {"h e",     "l l", "he ll", "hell o",
                                           "Ġ hello", "a a", "aa aa"};
  for (const std::string& merge : merges) {
    tokens.push_back(merge.substr(0, merge.find(' ')) + merge.substr(merge.find(' ') + 1));
  }
  types.resize(tokens.size(), 1);
  return {{"tokenizer.ggml.model", std::string("gpt2")},
          {"tokenizer.ggml.pre", std::string("gpt-2")},
          {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.merges", merges},
          {"tokenizer.ggml.bos_token_id", std::uint32_t{0}},
          {"tokenizer.ggml.eos_token_id", std::uint32_t{0}},
          {"tokenizer.ggml.add_bos_token", false}};
}

std::map<std::string, GgufMetadata> TinyModel::piece_vocabulary() {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<std::int32_t> types = {2, 3, 3};
  std::vector<float> scores(3, 0.0F);
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (unsigned byte = 0; byte < 256; ++byte) {
    tokens.push_back(cat("<0x", kDigits[byte / 16], kDigits[byte % 16], ">"));
    types.push_back(6);
    scores.push_back(0);
  }
  float score = -1;
  for (const char* piece :
       {"he", "ll", "hell", "hello", "▁hello", "▁", "h", "e", "l", "o", "<", "s", ">", "<s"}) {
    tokens.emplace_back(piece);
    types.push_back(1);
    scores.push_back(score--);
  }
  return {{"tokenizer.ggml.model", std::string("llama")},
          {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.scores", scores},
          {"tokenizer.ggml.token_type", types},
          {"tokenizer.ggml.bos_token_id", std::uint32_t{1}},
          {"tokenizer.ggml.eos_token_id", std::uint32_t{2}},
          {"tokenizer.ggml.unknown_token_id", std::uint32_t{0}}};
}

void TinyModel::set_f32(const std::string& name, std::vector<std::uint64_t> dims,
                        std::uint64_t seed) {
  KeyedRandom random({.experiment = seed, .step = std::hash<std::string>{}(name)});
  ByteWriter writer;
  for (std::uint64_t i = 0; i < count(dims); ++i) writer.put(0.5F + random.uniform_float());
  tensors[name] = {
      .dims = std::move(dims), .type = BlockType::kF32, .data = std::move(writer).take()};
}

TinyModel TinyModel::make(std::uint64_t seed) {
  TinyModel model;
  model.metadata = byte_vocabulary();
  model.metadata["general.architecture"] = std::string("llama");
  model.metadata["general.file_type"] = std::uint32_t{7};
  model.metadata["llama.block_count"] = std::uint32_t{2};
  model.metadata["llama.context_length"] = std::uint32_t{64};
  model.metadata["llama.embedding_length"] = static_cast<std::uint32_t>(kWidth);
  model.metadata["llama.feed_forward_length"] = static_cast<std::uint32_t>(kForward);
  model.metadata["llama.attention.head_count"] = std::uint32_t{4};
  model.metadata["llama.attention.head_count_kv"] = std::uint32_t{2};
  model.metadata["llama.attention.layer_norm_rms_epsilon"] = 1e-5F;
  KeyedRandom random({.experiment = seed});
  const auto set_q8 = [&](const std::string& name, std::vector<std::uint64_t> dims) {
    Bytes data = random_q8(count(dims), random);
    model.tensors[name] = {std::move(dims), BlockType::kQ8_0, std::move(data)};
  };
  const auto& tokens = std::get<std::vector<std::string>>(model.metadata["tokenizer.ggml.tokens"]);
  set_q8("token_embd.weight", {kWidth, tokens.size()});
  model.set_f32("output_norm.weight", {kWidth}, seed);
  for (int layer = 0; layer < 2; ++layer) {
    const std::string block = cat("blk.", layer, ".");
    model.set_f32(block + "attn_norm.weight", {kWidth}, seed);
    model.set_f32(block + "ffn_norm.weight", {kWidth}, seed);
    set_q8(block + "attn_q.weight", {kWidth, kWidth});
    set_q8(block + "attn_k.weight", {kWidth, kKv});
    set_q8(block + "attn_v.weight", {kWidth, kKv});
    set_q8(block + "attn_output.weight", {kWidth, kWidth});
    set_q8(block + "ffn_gate.weight", {kWidth, kForward});
    set_q8(block + "ffn_up.weight", {kWidth, kForward});
    set_q8(block + "ffn_down.weight", {kForward, kWidth});
  }
  return model;
}

Bytes TinyModel::encode() const {
  GgufWriter writer = GgufWriter::create().value();
  for (const auto& [key, value] : metadata) writer.add_metadata(key, value).value();
  for (const auto& [name, tensor] : tensors) {
    writer.add_tensor(name, tensor.dims, tensor.type, tensor.data).value();
  }
  return writer.to_bytes();
}

Result<std::shared_ptr<const BaseModel>> TinyModel::open(const fs::path& folder) const {
  const fs::path path = folder / "tiny.gguf";
  COPPICE_TRY(write_file_atomically(path, encode()));
  return BaseModel::open(path);
}

} // namespace coppice
