// SPDX-License-Identifier: Apache-2.0
// Other people's files: all open, and come out byte for byte as they went in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/gguf_reader.h"
#include "formats/gguf_writer.h"
#include "formats/half.h"
#include "formats/safetensors_reader.h"
#include "formats/safetensors_writer.h"

namespace coppice {
namespace {

const fs::path kData = fs::path(COPPICE_SOURCE_DIR) / ".." / "shared" / "data";

std::vector<fs::path> files_with(std::string_view extension) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(kData)) {
    if (entry.path().extension() == extension) files.push_back(entry.path());
  }
  return files;
}

class SharedData : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(kData)) GTEST_SKIP() << "no test data at " << kData;
  }
};

TEST_F(SharedData, every_gguf_file_but_version_1_opens_and_is_written_back_byte_equal) {
  std::size_t opened = 0;
  for (const fs::path& path : files_with(".gguf")) {
    if (path.filename() == "stories260K.v1.gguf") continue;
    const auto file = GgufFile::open(path);
    ASSERT_TRUE(file.ok()) << file.error().message;
    GgufWriter writer = GgufWriter::create(file->alignment()).value();
    for (std::size_t i = 0; i < file->metadata_count(); ++i) {
      const GgufEntry entry = file->metadata_at(i);
      ASSERT_TRUE(writer.add_metadata(entry.key, entry.value).ok());
    }
    for (const GgufTensor& tensor : file->tensors()) {
      ASSERT_TRUE(writer.add_tensor(tensor.name, tensor.dims, tensor.type, tensor.data).ok());
    }
    EXPECT_TRUE(std::ranges::equal(writer.to_bytes(), file->bytes())) << path;
    ++opened;
  }
  EXPECT_GE(opened, 40U);
}

TEST_F(SharedData, version_1_is_refused_with_what_to_do) {
  const auto file = GgufFile::open(kData / "models" / "stories260K.v1.gguf");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(file.error().message, testing::HasSubstr("version 1"));
  EXPECT_THAT(file.error().message, testing::HasSubstr("convert it to version 3"));
}

TEST_F(SharedData, coppice_4m_has_the_shapes_of_its_metadata) {
  const GgufFile file = GgufFile::open(kData / "models" / "coppice-4m.q4_0.gguf").value();
  const std::string arch(file.get_string("general.architecture").value());
  EXPECT_EQ(arch, "llama");
  const std::uint64_t width = file.get_uint(arch + ".embedding_length").value();
  const std::uint64_t hidden = file.get_uint(arch + ".feed_forward_length").value();
  const std::uint64_t layers = file.get_uint(arch + ".block_count").value();
  const auto tokens = file.get_strings("tokenizer.ggml.tokens").value();
  EXPECT_THAT(file.find_tensor("token_embd.weight").value()->dims,
              testing::ElementsAre(width, tokens.size()));
  EXPECT_EQ(file.get_ints("tokenizer.ggml.token_type").value().size(), tokens.size());
  for (std::uint64_t layer = 0; layer < layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    EXPECT_THAT(file.find_tensor(block + "ffn_up.weight").value()->dims,
                testing::ElementsAre(width, hidden));
    EXPECT_THAT(file.find_tensor(block + "ffn_down.weight").value()->dims,
                testing::ElementsAre(hidden, width));
    EXPECT_EQ(file.find_tensor(block + "attn_q.weight").value()->type, BlockType::kQ4_0);
    EXPECT_EQ(file.find_tensor(block + "attn_norm.weight").value()->type, BlockType::kF32);
  }
}

TEST_F(SharedData, the_adapter_file_holds_pairs_of_factors) {
  const auto folder = kData / "adapters" / "babyllama361-shakespeare-r8";
  const GgufFile file = GgufFile::open(folder / "adapter.gguf").value();
  EXPECT_EQ(file.get_string("general.type").value(), "adapter");
  EXPECT_EQ(file.get_string("adapter.type").value(), "lora");
  EXPECT_GT(file.get_float("adapter.lora.alpha").value(), 0.0);
  for (const GgufTensor& tensor : file.tensors()) {
    if (!tensor.name.ends_with(".lora_a")) continue;
    const std::string twin = tensor.name.substr(0, tensor.name.size() - 1) + "b";
    EXPECT_EQ(tensor.dims[1], file.find_tensor(twin).value()->dims[0]) << twin; // the rank
  }
}

TEST_F(SharedData, a_large_vocabulary_is_read_whole) {
  const GgufFile file = GgufFile::open(kData / "tokenizers" / "ggml-vocab-gpt-2.gguf").value();
  EXPECT_EQ(file.get_strings("tokenizer.ggml.tokens").value().size(), 50257U);
  EXPECT_EQ(file.get_strings("tokenizer.ggml.merges").value().size(), 50000U);
}

TEST_F(SharedData, safetensors_files_open_and_tensors_are_written_back_byte_equal) {
  std::size_t whole = 0;
  const auto files = files_with(".safetensors");
  for (const fs::path& path : files) {
    const auto file = SafetensorsFile::open(path);
    ASSERT_TRUE(file.ok()) << file.error().message;
    SafetensorsWriter writer;
    for (const auto& [key, value] : file->metadata())
      ASSERT_TRUE(writer.add_metadata(key, value).ok());
    for (const SafeTensor& tensor : file->tensors()) {
      ASSERT_TRUE(writer.add_tensor(tensor.name, tensor.dtype, tensor.shape, tensor.data).ok());
    }
    const Bytes written = writer.to_bytes().value();
    const auto again = SafetensorsFile::parse(written);
    ASSERT_TRUE(again.ok());
    for (const SafeTensor& tensor : file->tensors()) {
      const SafeTensor* const copy = again->find_tensor(tensor.name).value();
      EXPECT_TRUE(copy->dtype == tensor.dtype && copy->shape == tensor.shape &&
                  std::ranges::equal(copy->data, tensor.data))
          << tensor.name;
    }
    whole += std::ranges::equal(written, MappedFile::open(path).value()->bytes()) ? 1U : 0U;
  }
  // One file has its metadata last, as the reference never writes it; the others are equal whole.
  EXPECT_GE(whole + 1, files.size());
  EXPECT_GE(files.size(), 20U);
}

// Independent oracle: gguf-py's own dequantized values for BF16.
TEST_F(SharedData, bfloat16_numbers_widen_to_the_vectors_values) {
  const GgufFile file = GgufFile::open(kData / "vectors" / "ggml_quant_vectors.gguf").value();
  const ByteSpan source = file.find_tensor("src.f32").value()->data;
  const ByteSpan blocks = file.find_tensor("bf16.blocks.quantize").value()->data;
  const ByteSpan expected = file.find_tensor("bf16.dequant.f32").value()->data;
  ASSERT_EQ(blocks.size() * 2, expected.size());
  for (std::size_t i = 0; i < blocks.size() / 2; ++i) {
    std::uint16_t bits = 0;
    float original = 0;
    float value = 0;
    std::memcpy(&bits, blocks.data() + 2 * i, sizeof bits);
    std::memcpy(&original, source.data() + 4 * i, sizeof original);
    std::memcpy(&value, expected.data() + 4 * i, sizeof value);
    ASSERT_EQ(bfloat16_to_float(bits), value) << i;
    ASSERT_EQ(float_to_bfloat16(original), bits) << i;
  }
}

} // namespace
} // namespace coppice
