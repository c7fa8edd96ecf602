// SPDX-License-Identifier: Apache-2.0
#include "adapters/peft_adapter.h"

#include <gmock/gmock.h>

#include <limits>

#include "adapters/rope_rows.h"
#include "formats/half.h"
#include "formats/safetensors_writer.h"
#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPlainConfig = R"({"peft_type":"LORA","r":2,"lora_alpha":4})";
constexpr const char* kQ = "base_model.model.model.layers.0.self_attn.q_proj.lora_";

// A folder with the given configuration and tensors; values count up from 1 in each tensor.
class PeftFolder {
 public:
  explicit PeftFolder(const std::string& config = kPlainConfig) {
    EXPECT_TRUE(write_file_atomically(path() / "adapter_config.json", as_bytes(config)).ok());
  }
  const fs::path& path() const { return folder_.path(); }
  void add(const std::string& name, std::vector<std::uint64_t> shape, Dtype dtype = Dtype::kF32) {
    std::uint64_t elements = 1;
    for (const auto side : shape) elements *= side;
    Bytes data;
    for (std::uint64_t i = 1; i <= elements; ++i) {
      const auto value = static_cast<float>(i);
      const std::uint16_t narrow =
          dtype == Dtype::kF16 ? float_to_half(value) : float_to_bfloat16(value);
      const ByteSpan raw =
          dtype_size(dtype) == 2 ? as_bytes(std::span(&narrow, 1)) : as_bytes(std::span(&value, 1));
      data.insert(data.end(), raw.begin(), raw.end());
    }
    tensors_.push_back({name, dtype, std::move(shape), std::move(data)});
  }
  Result<Adapter> read(PeftRows rows = PeftRows::kGguf) {
    SafetensorsWriter writer;
    for (const Tensor& tensor : tensors_) {
      EXPECT_TRUE(writer.add_tensor(tensor.name, tensor.dtype, tensor.shape, tensor.data).ok());
    }
    EXPECT_TRUE(writer.write_file(path() / "adapter_model.safetensors").ok());
    return read_peft_adapter(path(), "llama", small_modules(), rows);
  }

 private:
  struct Tensor {
    std::string name;
    Dtype dtype;
    std::vector<std::uint64_t> shape;
    Bytes data;
  };
  TempFolder folder_;
  std::vector<Tensor> tensors_;
};

void expect_refused(PeftFolder& folder, ErrorCode code, std::string_view says) {
  const auto adapter = folder.read();
  ASSERT_FALSE(adapter.ok()) << says;
  EXPECT_EQ(adapter.error().code, code) << adapter.error().message;
  EXPECT_THAT(adapter.error().message, HasSubstr(std::string(says)));
}

TEST(PeftAdapterTest, WrittenAndReadAnAdapterIsTheSameInEitherOrderOfRows) {
  AdapterSpec spec = small_spec(3, 0.3F);
  spec.scaling = LoraScaling::kRankStabilized;
  spec.targets[2].rank = 1;
  spec.targets[8].alpha = 7;
  const Adapter adapter = random_adapter(spec, 5);
  for (const PeftRows rows : {PeftRows::kHuggingFace, PeftRows::kGguf}) {
    const TempFolder folder;
    const fs::path path = folder.path() / "new" / "adapter";
    ASSERT_TRUE(write_peft_adapter(path, adapter, {.rows = rows, .base_model = "tiny"}).ok());
    const auto read = read_peft_adapter(path, "llama", small_modules(), rows);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->spec(), spec);
    EXPECT_TRUE(same_bits(read->values(), adapter.values()));
  }
}

TEST(PeftAdapterTest, OnlyQAndKRowsTurnBetweenTheOrders) {
  const Adapter adapter = random_adapter(small_spec(), 5);
  const TempFolder folder;
  ASSERT_TRUE(write_peft_adapter(folder.path(), adapter, {}).ok());
  const Adapter raw =
      read_peft_adapter(folder.path(), "llama", small_modules(), PeftRows::kGguf).value();
  for (std::size_t t = 0; t < adapter.targets(); ++t) {
    const AdapterTarget& target = adapter.spec().targets[t];
    EXPECT_TRUE(same_bits(raw.a(t), adapter.a(t)));
    std::vector<float> expected(adapter.b(t).begin(), adapter.b(t).end());
    if (target.rope_heads != 0) {
      interleaved_to_half_split(
          {.heads = target.rope_heads, .rows = target.out, .columns = target.rank}, adapter.b(t),
          expected);
      EXPECT_FALSE(same_bits(raw.b(t), adapter.b(t)));
    }
    EXPECT_TRUE(same_bits(raw.b(t), expected)) << target.tensor;
  }
}

TEST(PeftAdapterTest, TargetsComeInTheOrderOfTheSpecWhateverTheOrderOfTheFile) {
  PeftFolder folder;
  const std::string layers = "base_model.model.model.layers.";
  folder.add(layers + "1.self_attn.k_proj.lora_B.weight", {4, 2});
  folder.add(layers + "0.mlp.down_proj.lora_B.weight", {12, 2});
  folder.add(layers + "0.mlp.up_proj.lora_A.weight", {2, 12});
  folder.add(layers + "1.self_attn.k_proj.lora_A.weight", {2, 12});
  folder.add(layers + "0.mlp.up_proj.lora_B.weight", {20, 2});
  folder.add(layers + "0.mlp.down_proj.lora_A.weight", {2, 20});
  const auto adapter = folder.read();
  ASSERT_TRUE(adapter.ok()) << adapter.error().message;
  ASSERT_EQ(adapter->targets(), 3U);
  EXPECT_EQ(adapter->spec().targets[0].tensor, "blk.0.ffn_up");
  EXPECT_EQ(adapter->spec().targets[1].tensor, "blk.0.ffn_down");
  EXPECT_EQ(adapter->spec().targets[2].tensor, "blk.1.attn_k");
  EXPECT_EQ(adapter->spec().targets[2].rope_heads, 1U);
  EXPECT_EQ(adapter->b(2)[7], 8.0F);
}

TEST(PeftAdapterTest, HalfAndBfloatTensorsAreWidened) {
  for (const Dtype dtype : {Dtype::kF16, Dtype::kBF16}) {
    PeftFolder folder;
    folder.add(std::string(kQ) + "A.weight", {2, 12}, dtype);
    folder.add(std::string(kQ) + "B.weight", {12, 2}, dtype);
    const auto adapter = folder.read();
    ASSERT_TRUE(adapter.ok()) << adapter.error().message;
    for (std::size_t i = 0; i < 24; ++i) EXPECT_EQ(adapter->a(0)[i], static_cast<float>(i + 1));
  }
}

TEST(PeftAdapterTest, TensorsThatAreNotPlainLoraAreRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"base_model.model.model.embed_tokens.lora_embedding_A", "a trained embedding"},
      {std::string(kQ) + "magnitude_vector", "DoRA"},
      {std::string(kQ) + "B.bias", "a trained bias"},
      {"base_model.model.lm_head.modules_to_save.weight", "a whole module"},
      {"base_model.model.lm_head.lora_A.weight", "lm_head"},
      {"base_model.model.lm_head.weight", "lm_head"},
      {".lora_A.weight", "no LoRA factor"},
      {"base_model.model.lora_A.weight", "no LoRA factor"},
  };
  for (const auto& [name, says] : cases) {
    PeftFolder folder;
    folder.add(name, {2, 12});
    expect_refused(folder, ErrorCode::kUnsupported, says);
  }
  PeftFolder doubles;
  doubles.add(std::string(kQ) + "A.weight", {2, 12}, Dtype::kI32);
  expect_refused(doubles, ErrorCode::kUnsupported, "I32");
}

TEST(PeftAdapterTest, HalfAPairIsRefused) {
  for (const auto& [factor, missing] :
       {std::pair<std::string, std::string>{"A.weight", "the B factor"},
        {"B.weight", "the A factor"}}) {
    PeftFolder folder;
    if (factor[0] == 'A') folder.add(kQ + factor, {2, 12});
    if (factor[0] == 'B') folder.add(kQ + factor, {12, 2});
    expect_refused(folder, ErrorCode::kInvalidArgument, missing);
  }
}

TEST(PeftAdapterTest, AnAdapterForAnotherBaseIsRefusedWithTheTensor) {
  PeftFolder narrow;
  narrow.add(std::string(kQ) + "A.weight", {2, 16});
  narrow.add(std::string(kQ) + "B.weight", {12, 2});
  expect_refused(narrow, ErrorCode::kInvalidArgument, "q_proj.lora_A.weight is 2 x 16");
  PeftFolder tall;
  tall.add(std::string(kQ) + "A.weight", {2, 12});
  tall.add(std::string(kQ) + "B.weight", {16, 2});
  expect_refused(tall, ErrorCode::kInvalidArgument, "another base");
  PeftFolder deep;
  deep.add("base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight", {2, 12});
  expect_refused(deep, ErrorCode::kInvalidArgument, "model.layers.2.self_attn.q_proj");
  PeftFolder flat;
  flat.add(std::string(kQ) + "A.weight", {24});
  expect_refused(flat, ErrorCode::kInvalidArgument, "dimensions");
}

TEST(PeftAdapterTest, FilesThatDoNotBelongTogetherAreRefused) {
  PeftFolder rank(R"({"peft_type":"LORA","r":3,"lora_alpha":4})");
  rank.add(std::string(kQ) + "A.weight", {2, 12});
  expect_refused(rank, ErrorCode::kInvalidArgument,
                 "rank 2, but adapter_config.json gives it rank 3");
  PeftFolder target(R"({"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["k_proj"]})");
  target.add(std::string(kQ) + "A.weight", {2, 12});
  expect_refused(target, ErrorCode::kInvalidArgument, "target_modules");
}

TEST(PeftAdapterTest, AFolderWithoutFactorsIsRefused) {
  PeftFolder folder;
  expect_refused(folder, ErrorCode::kInvalidArgument, "no targets");
}

TEST(PeftAdapterTest, NaNIsRefused) {
  Adapter adapter = random_adapter(small_spec(), 5);
  adapter.a(1)[3] = std::numeric_limits<float>::quiet_NaN();
  const TempFolder folder;
  ASSERT_TRUE(write_peft_adapter(folder.path(), adapter, {}).ok());
  const auto read = read_peft_adapter(folder.path(), "llama", small_modules());
  ASSERT_FALSE(read.ok());
  EXPECT_THAT(read.error().message, HasSubstr("NaN"));
}

TEST(PeftAdapterTest, MissingFilesAreNamedAndPicklesRefused) {
  const TempFolder empty;
  const auto nothing = read_peft_adapter(empty.path(), "llama", small_modules());
  EXPECT_EQ(nothing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(nothing.error().message, HasSubstr("adapter_config.json"));
  const PeftFolder no_tensors;
  EXPECT_EQ(read_peft_adapter(no_tensors.path(), "llama", small_modules()).error().code,
            ErrorCode::kNotFound);
  ASSERT_TRUE(write_file_atomically(no_tensors.path() / "adapter_model.bin", as_bytes("x")).ok());
  const auto pickle = read_peft_adapter(no_tensors.path(), "llama", small_modules());
  EXPECT_THAT(pickle.error().message, HasSubstr("pickle"));
}

TEST(PeftAdapterTest, ErrorsInTheConfigurationNameTheFile) {
  PeftFolder folder(R"({"peft_type":"LORA","r":2,"lora_alpha":4,"use_dora":true})");
  expect_refused(folder, ErrorCode::kUnsupported, "adapter_config.json");
}

} // namespace
} // namespace coppice
