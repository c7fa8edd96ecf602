// SPDX-License-Identifier: Apache-2.0
// Adapters that other programs wrote, from ../shared where it is there: read, compared with one
// another, and written back byte for byte.
#include <gmock/gmock.h>

#include <algorithm>

#include "adapters/gguf_adapter.h"
#include "adapters/peft_adapter.h"
#include "formats/safetensors_reader.h"
#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

struct Shape {
  std::uint32_t layers, width, heads, kv_heads, feed_forward;
};

AdaptableModules llama_modules(const Shape& shape) {
  AdaptableModules modules;
  const std::uint32_t d = shape.width;
  const std::uint32_t kv = d / shape.heads * shape.kv_heads;
  const std::uint32_t f = shape.feed_forward;
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    modules.push_back({.tensor = block + "attn_q", .in = d, .out = d, .rope_heads = shape.heads});
    modules.push_back(
        {.tensor = block + "attn_k", .in = d, .out = kv, .rope_heads = shape.kv_heads});
    modules.push_back({.tensor = block + "attn_v", .in = d, .out = kv});
    modules.push_back({.tensor = block + "attn_output", .in = d, .out = d});
    modules.push_back({.tensor = block + "ffn_gate", .in = d, .out = f});
    modules.push_back({.tensor = block + "ffn_up", .in = d, .out = f});
    modules.push_back({.tensor = block + "ffn_down", .in = f, .out = d});
  }
  return modules;
}

const Shape kBabyLlama = {
    .layers = 5, .width = 128, .heads = 8, .kv_heads = 4, .feed_forward = 352};
const Shape kCoppice4m = {
    .layers = 4, .width = 256, .heads = 4, .kv_heads = 2, .feed_forward = 768};

class PeoplesFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(shared_data())) GTEST_SKIP() << shared_data() << " is not there";
  }
  fs::path baby_llama() const { return shared_data() / "adapters/babyllama361-shakespeare-r8"; }
  fs::path coppice_4m() const { return shared_data() / "models/coppice-4m.q4_0.golden/adapter"; }
};

// Reads the folder, writes it elsewhere, and compares tensor by tensor.
void expect_written_back_byte_equal(const fs::path& folder, const Shape& shape, PeftRows rows) {
  const auto adapter = read_peft_adapter(folder, "llama", llama_modules(shape), rows);
  ASSERT_TRUE(adapter.ok()) << adapter.error().message;
  const TempFolder written;
  ASSERT_TRUE(write_peft_adapter(written.path(), *adapter, {.rows = rows}).ok());
  const auto before = SafetensorsFile::open(folder / "adapter_model.safetensors").value();
  const auto after = SafetensorsFile::open(written.path() / "adapter_model.safetensors").value();
  ASSERT_EQ(after.tensors().size(), before.tensors().size());
  for (const SafeTensor& tensor : before.tensors()) {
    const auto found = after.find_tensor(tensor.name);
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_EQ((*found)->dtype, tensor.dtype);
    EXPECT_EQ((*found)->shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal((*found)->data, tensor.data)) << tensor.name;
  }
}

TEST_F(PeoplesFilesTest, AFolderInGgufOrderEqualsItsGgufFileExactly) {
  const auto modules = llama_modules(kBabyLlama);
  const auto peft = read_peft_adapter(baby_llama(), "llama", modules, PeftRows::kGguf);
  ASSERT_TRUE(peft.ok()) << peft.error().message;
  const auto gguf = read_gguf_adapter(baby_llama() / "adapter.gguf", "llama", modules);
  ASSERT_TRUE(gguf.ok()) << gguf.error().message;
  EXPECT_EQ(peft->spec(), gguf->spec());
  EXPECT_EQ(peft->values().size(), 93'440U);
  EXPECT_TRUE(same_bits(peft->values(), gguf->values()));
}

TEST_F(PeoplesFilesTest, WrittenBackEveryTensorIsByteEqual) {
  expect_written_back_byte_equal(baby_llama(), kBabyLlama, PeftRows::kGguf);
  expect_written_back_byte_equal(coppice_4m(), kCoppice4m, PeftRows::kHuggingFace);
}

TEST_F(PeoplesFilesTest, AFileOfTheReferenceLibraryIsWrittenBackByteForByte) {
  const auto adapter = read_peft_adapter(coppice_4m(), "llama", llama_modules(kCoppice4m));
  ASSERT_TRUE(adapter.ok()) << adapter.error().message;
  EXPECT_EQ(adapter->values().size(), 155'648U);
  const TempFolder written;
  ASSERT_TRUE(write_peft_adapter(written.path(), *adapter, {}).ok());
  constexpr std::size_t kLimit = std::size_t{1} << 20U;
  EXPECT_EQ(read_file(written.path() / "adapter_model.safetensors", kLimit).value(),
            read_file(coppice_4m() / "adapter_model.safetensors", kLimit).value());
}

TEST_F(PeoplesFilesTest, AGgufFileComesBackBitForBitThroughAllThreeFormats) {
  const auto modules = llama_modules(kBabyLlama);
  const Adapter start = read_gguf_adapter(baby_llama() / "adapter.gguf", "llama", modules).value();
  const TempFolder folder;
  ASSERT_TRUE(write_peft_adapter(folder.path(), start, {}).ok()); // Hugging Face's order
  const Adapter turned = read_peft_adapter(folder.path(), "llama", modules).value();
  ASSERT_TRUE(write_gguf_adapter(folder.path() / "adapter.gguf", turned).ok());
  const Adapter end = read_gguf_adapter(folder.path() / "adapter.gguf", "llama", modules).value();
  EXPECT_EQ(end.spec(), start.spec());
  EXPECT_TRUE(same_bits(end.values(), start.values()));
}

TEST_F(PeoplesFilesTest, AnAdapterForAnotherBaseIsRefused) {
  const auto wrong = llama_modules(kCoppice4m);
  const auto gguf = read_gguf_adapter(baby_llama() / "adapter.gguf", "llama", wrong);
  ASSERT_FALSE(gguf.ok());
  EXPECT_THAT(gguf.error().message, ::testing::HasSubstr("another base"));
  const auto peft = read_peft_adapter(baby_llama(), "llama", wrong);
  ASSERT_FALSE(peft.ok());
  EXPECT_THAT(peft.error().message, ::testing::HasSubstr("another base"));
}

TEST_F(PeoplesFilesTest, AdaptersOfTinyLlamasAreReadAndWrittenBack) {
  const std::vector<std::pair<std::string, Shape>> models = {
      {"tiny-llama-a", {.layers = 2, .width = 64, .heads = 4, .kv_heads = 4, .feed_forward = 128}},
      {"tiny-llama3rope-a",
       {.layers = 2, .width = 64, .heads = 4, .kv_heads = 2, .feed_forward = 160}},
      {"tiny-llama256-a",
       {.layers = 2, .width = 256, .heads = 4, .kv_heads = 1, .feed_forward = 256}},
  };
  for (const auto& [name, shape] : models) {
    expect_written_back_byte_equal(shared_data() / "arch" / (name + ".adapter"), shape,
                                   PeftRows::kHuggingFace);
  }
}

} // namespace
} // namespace coppice
