// SPDX-License-Identifier: Apache-2.0
#include "tests/model/graph/tiny_model.h"

#include <unistd.h>

#include <cmath>
#include <cstring>
#include <deque>

#include "base/text.h"
#include "formats/gguf_writer.h"
#include "formats/half.h"
#include "tests/model/tiny_model.h"

namespace coppice::graph {
namespace {

class TinyModelWriter {
 public:
  explicit TinyModelWriter(std::uint64_t seed) : random_({.experiment = seed}) {}

  void put(std::string_view key, const GgufMetadata& value) {
    writer_.add_metadata(key, value).value();
  }
  void put_vocabulary();
  // Random values of about the given size, encoded as `type`.
  void put_matrix(const std::string& name, BlockType type, std::uint64_t columns,
                  std::uint64_t rows);
  void put_vector(const std::string& name, std::uint64_t size, float around, float spread);
  std::shared_ptr<const BaseModel> open(const std::string& name) const;
  std::uint64_t tokens() const { return tokens_; } // of the vocabulary

 private:
  float uniform() { return 2.0F * random_.uniform_float() - 1.0F; }
  void put_half(Bytes& bytes, std::uint16_t half);
  void put_block(Bytes& bytes, BlockType type, float size);

  KeyedRandom random_;
  std::uint64_t tokens_ = 0;
  GgufWriter writer_ = GgufWriter::create().value();
  std::deque<Bytes> data_; // addresses stay: the writer keeps views
};

void TinyModelWriter::put_vocabulary() {
  const auto vocabulary = TinyModel::byte_vocabulary();
  for (const auto& [key, value] : vocabulary) put(key, value);
  tokens_ = std::get<std::vector<std::string>>(vocabulary.at("tokenizer.ggml.tokens")).size();
}

void TinyModelWriter::put_half(Bytes& bytes, std::uint16_t half) {
  bytes.push_back(static_cast<std::uint8_t>(half & 255U));
  bytes.push_back(static_cast<std::uint8_t>(half >> 8U));
}

// `size` is the largest magnitude, roughly. Quantized blocks: random codes under a fitting scale.
void TinyModelWriter::put_block(Bytes& bytes, BlockType type, float size) {
  const auto codes = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      bytes.push_back(static_cast<std::uint8_t>(random_.below(256)));
  };
  switch (type) {
    case BlockType::kF32: {
      const float value = size * uniform();
      const ByteSpan raw = as_bytes(std::span<const float>(&value, 1));
      bytes.insert(bytes.end(), raw.begin(), raw.end());
      break;
    }
    case BlockType::kF16: put_half(bytes, float_to_half(size * uniform())); break;
    case BlockType::kBF16: put_half(bytes, float_to_bfloat16(size * uniform())); break;
    case BlockType::kQ8_0:
      put_half(bytes, float_to_half(size / 128.0F));
      codes(32);
      break;
    case BlockType::kQ4_0:
      put_half(bytes, float_to_half(size / 8.0F));
      codes(16);
      break;
    case BlockType::kQ6_K: // low bits, high bits, scales of 16 groups, then the block's own
      codes(128 + 64 + 16);
      put_half(bytes, float_to_half(size / (32.0F * 128.0F)));
      break;
    default: std::abort();
  }
}

void TinyModelWriter::put_matrix(const std::string& name, BlockType type, std::uint64_t columns,
                                 std::uint64_t rows) {
  Bytes& bytes = data_.emplace_back();
  const std::uint64_t blocks = columns * rows / block_type_info(type).block_elements;
  // Uniform weights of this size keep the size of what they multiply.
  const float size = std::sqrt(3.0F / static_cast<float>(columns));
  for (std::uint64_t block = 0; block < blocks; ++block) put_block(bytes, type, size);
  writer_.add_tensor(name + ".weight", std::vector<std::uint64_t>{columns, rows}, type, bytes)
      .value();
}

void TinyModelWriter::put_vector(const std::string& name, std::uint64_t size, float around,
                                 float spread) {
  Bytes& bytes = data_.emplace_back();
  for (std::uint64_t i = 0; i < size; ++i) {
    const float value = around + spread * uniform();
    const ByteSpan raw = as_bytes(std::span<const float>(&value, 1));
    bytes.insert(bytes.end(), raw.begin(), raw.end());
  }
  writer_.add_tensor(name + ".weight", std::vector<std::uint64_t>{size}, BlockType::kF32, bytes)
      .value();
}

std::shared_ptr<const BaseModel> TinyModelWriter::open(const std::string& name) const {
  const fs::path path = fs::temp_directory_path() / cat("coppice-", name, "-", ::getpid(), ".gguf");
  writer_.write_file(path).value();
  auto base = BaseModel::open(path).value(); // the map outlives the name
  fs::remove(path);
  return base;
}

struct Shape {
  std::uint32_t width, heads, kv_heads, feed_forward, context;
};

void put_configuration(TinyModelWriter& writer, const Shape& shape, std::uint32_t layers) {
  writer.put("general.architecture", std::string("llama"));
  writer.put("llama.block_count", layers);
  writer.put("llama.embedding_length", shape.width);
  writer.put("llama.attention.head_count", shape.heads);
  writer.put("llama.attention.head_count_kv", shape.kv_heads);
  writer.put("llama.feed_forward_length", shape.feed_forward);
  writer.put("llama.context_length", shape.context);
  writer.put("llama.rope.dimension_count", shape.width / shape.heads);
  writer.put("llama.rope.freq_base", 10000.0F);
  writer.put("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  writer.put_vocabulary();
}

// The types of attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up and ffn_down.
void put_layer(TinyModelWriter& writer, const Shape& shape, std::uint32_t layer,
               const std::vector<BlockType>& types) {
  const auto name = [&](const char* part) { return cat("blk.", layer, ".", part); };
  const std::uint32_t d = shape.width, f = shape.feed_forward;
  const std::uint32_t kv = d / shape.heads * shape.kv_heads;
  writer.put_vector(name("attn_norm"), d, 1.0F, 0.3F);
  writer.put_matrix(name("attn_q"), types[0], d, d);
  writer.put_matrix(name("attn_k"), types[1], d, kv);
  writer.put_matrix(name("attn_v"), types[2], d, kv);
  writer.put_matrix(name("attn_output"), types[3], d, d);
  writer.put_vector(name("ffn_norm"), d, 1.0F, 0.3F);
  writer.put_matrix(name("ffn_gate"), types[4], d, f);
  writer.put_matrix(name("ffn_up"), types[5], d, f);
  writer.put_matrix(name("ffn_down"), types[6], f, d);
}

} // namespace

std::shared_ptr<const BaseModel> mixed_tiny_model() {
  using enum BlockType;
  const Shape shape{.width = 256, .heads = 8, .kv_heads = 2, .feed_forward = 288, .context = 96};
  TinyModelWriter writer(1);
  put_configuration(writer, shape, 2);
  writer.put_matrix("token_embd", kQ8_0, shape.width, writer.tokens());
  put_layer(writer, shape, 0, {kQ4_0, kQ8_0, kF16, kBF16, kQ4_0, kF32, kQ8_0});
  put_layer(writer, shape, 1, {kQ6_K, kQ4_0, kQ4_0, kQ8_0, kQ8_0, kQ4_0, kQ4_0});
  writer.put_vector("output_norm", shape.width, 1.0F, 0.3F);
  writer.put_matrix("output", kQ6_K, shape.width, writer.tokens());
  writer.put_vector("rope_freqs", shape.width / shape.heads / 2, 4.0F, 3.0F);
  return writer.open("mixed");
}

std::shared_ptr<const BaseModel> float_tiny_model() {
  const Shape shape{.width = 64, .heads = 4, .kv_heads = 2, .feed_forward = 96, .context = 64};
  TinyModelWriter writer(2);
  put_configuration(writer, shape, 2);
  writer.put_matrix("token_embd", BlockType::kF32, shape.width, writer.tokens());
  for (std::uint32_t layer = 0; layer < 2; ++layer) {
    put_layer(writer, shape, layer, std::vector<BlockType>(7, BlockType::kF32));
  }
  writer.put_vector("output_norm", shape.width, 1.0F, 0.3F);
  return writer.open("float");
}

std::shared_ptr<const BaseModel> repository_model() {
  return BaseModel::open(fs::path(COPPICE_SOURCE_DIR) / "assets" / "coppice-4m.q4_0.gguf").value();
}

std::unique_ptr<Engine> engine_for(std::shared_ptr<const BaseModel> base, unsigned threads) {
  return open_engine(std::move(base), {.threads = threads, .precision = EnginePrecision::kFloat32})
      .value();
}

Adapter random_adapter(const BaseModel& base, std::uint32_t rank, std::uint64_t seed,
                       const std::vector<std::string>& targets) {
  const auto alpha = static_cast<float>(2 * rank);
  auto spec = std::make_shared<const AdapterSpec>(
      base.make_spec(rank, alpha, LoraScaling::kStandard, targets).value());
  Adapter adapter(spec);
  KeyedRandom random({.experiment = seed, .purpose = RandomPurpose::kTest});
  for (std::size_t target = 0; target < adapter.targets(); ++target) {
    const float size_a = 1.0F / std::sqrt(static_cast<float>(spec->targets[target].in));
    for (float& value : adapter.a(target)) value = size_a * (2.0F * random.uniform_float() - 1.0F);
    for (float& value : adapter.b(target)) value = 0.2F * (2.0F * random.uniform_float() - 1.0F);
  }
  return adapter;
}

std::shared_ptr<const Adapter> random_start(const BaseModel& base, std::uint32_t rank,
                                            std::uint64_t seed) {
  return std::make_shared<const Adapter>(random_adapter(base, rank, seed));
}

std::vector<TokenId> random_tokens(const BaseModel& base, std::size_t count, std::uint64_t seed) {
  KeyedRandom random({.experiment = seed, .purpose = RandomPurpose::kTest});
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens)
    token = static_cast<TokenId>(random.below(base.config().vocabulary));
  return tokens;
}

Sequence whole_sequence(std::vector<TokenId> tokens) {
  std::vector<std::uint8_t> targets(tokens.size(), 1);
  targets[0] = 0;
  return {std::move(tokens), std::move(targets)};
}

Sequence random_sequence(const BaseModel& base, std::size_t count, std::uint64_t seed) {
  return whole_sequence(random_tokens(base, count, seed));
}

double cosine(std::span<const float> a, std::span<const float> b) {
  double both = 0, left = 0, right = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    both += double{a[i]} * double{b[i]};
    left += double{a[i]} * double{a[i]};
    right += double{b[i]} * double{b[i]};
  }
  return both / std::sqrt(left * right);
}

double relative_difference(std::span<const float> a, std::span<const float> b) {
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
    size += double{b[i]} * double{b[i]};
  }
  return std::sqrt(difference / size);
}

} // namespace coppice::graph
