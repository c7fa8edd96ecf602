// SPDX-License-Identifier: Apache-2.0
#include "model/quantize_model.h"

#include <gmock/gmock.h>

#include <cmath>
#include <tuple>

#include "model/base_model.h"
#include "model/model_info.h"
#include "model/weight_rows.h"
#include "tests/model/shared_data.h"
#include "tests/model/tiny_model.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

double relative_rmse(const std::vector<QuantizedTensor>& tensors) {
  double error = 0.0;
  double square = 0.0;
  for (const QuantizedTensor& tensor : tensors) {
    error += tensor.square_error;
    square += tensor.square;
  }
  return std::sqrt(error / square);
}

// Derived files that were made with ggml's own encoder, from the same weights. The embedding of the
// ternary ones is F16, and not compared.
TEST(QuantizeModel, GivesTheTensorsOfThePublishedFilesByteForByte) {
  COPPICE_NEEDS_SHARED("models/babyllama361.gguf");
  const TestFolder folder;
  const std::tuple<const char*, const char*, BlockType> files[] = {
      {"models/babyllama361.gguf", "models/babyllama361.q8_0.gguf", BlockType::kQ8_0},
      {"models/babyllama361.gguf", "models/babyllama361.q4_0.gguf", BlockType::kQ4_0},
      {"arch/tiny-bitnet256-a.f32.gguf", "arch/tiny-bitnet256-a.tq1_0.gguf", BlockType::kTQ1_0},
      {"arch/tiny-bitnet256-a.f32.gguf", "arch/tiny-bitnet256-a.tq2_0.gguf", BlockType::kTQ2_0}};
  for (const auto& [from, name, type] : files) {
    const fs::path out = folder.path() / "out.gguf";
    const auto source = GgufFile::open(shared_data(from)).value();
    ASSERT_TRUE(quantize_model(source, out, {.type = type, .threads = 2}).ok());
    const auto made = GgufFile::open(out).value();
    const auto expected = GgufFile::open(shared_data(name)).value();
    ASSERT_EQ(made.tensors().size(), expected.tensors().size());
    for (const GgufTensor& tensor : expected.tensors()) {
      if (tensor.type == BlockType::kF16) continue;
      const GgufTensor& ours = *made.find_tensor(tensor.name).value();
      EXPECT_EQ(ours.type, tensor.type);
      EXPECT_EQ(ours.dims, tensor.dims);
      EXPECT_TRUE(std::ranges::equal(ours.data, tensor.data)) << tensor.name;
    }
    EXPECT_EQ(made.get_uint("general.file_type").value(),
              expected.get_uint("general.file_type").value());
  }
}

// Bounds: what the published vectors and tests/model/quantize_blocks_test.cc have for normal
// weights, a little widened; llama256's rows are 256 long, babyllama's are not.
TEST(QuantizeModel, EveryTypeGivesAModelThatOpensAndIsNear) {
  COPPICE_NEEDS_SHARED("arch/tiny-llama256-a.f32.gguf");
  const TestFolder folder;
  const auto source = GgufFile::open(shared_data("arch/tiny-llama256-a.f32.gguf")).value();
  const std::pair<const char*, double> types[] = {
      {"F32", 0.0},    {"F16", 3e-4},   {"BF16", 3e-3},  {"Q8_0", 0.006},   {"Q4_0", 0.09},
      {"Q4_1", 0.08},  {"Q5_0", 0.045}, {"Q5_1", 0.04},  {"Q2_K", 0.27},    {"Q3_K", 0.15},
      {"Q4_K", 0.072}, {"Q5_K", 0.036}, {"Q6_K", 0.018}, {"IQ4_NL", 0.076}, {"IQ4_XS", 0.077},
      {"TQ1_0", 0.82}, {"TQ2_0", 0.82}, {"NF4", 0.096}};
  for (const auto& [name, bound] : types) {
    const fs::path out = folder.path() / cat(name, ".gguf");
    const auto done = quantize_model(source, out, {.type = parse_storage(name).value()});
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_LE(relative_rmse(*done), bound) << name;
    EXPECT_GE(relative_rmse(*done), bound / 20) << name;
    const auto model = BaseModel::open(out);
    ASSERT_TRUE(model.ok()) << name << ": " << model.error().message;
    EXPECT_EQ(quantization_summary((*model)->file()), name);
    EXPECT_EQ((*model)->file().find("coppice.nf4.block").has_value(), std::string(name) == "NF4");
  }
  // From NF4 on to another type: its companions go.
  const auto nf4 = GgufFile::open(folder.path() / "NF4.gguf").value();
  ASSERT_TRUE(quantize_model(nf4, folder.path() / "again.gguf", {.type = BlockType::kF32}).ok());
  const auto again = GgufFile::open(folder.path() / "again.gguf").value();
  EXPECT_EQ(again.tensors().size(), source.tensors().size());
  const auto before = WeightRows::open(nf4, "blk.0.ffn_up.weight").value();
  const auto after = WeightRows::open(again, "blk.0.ffn_up.weight").value();
  std::vector<float> left(before.columns());
  std::vector<float> right(before.columns());
  before.dequantize(3, left);
  after.dequantize(3, right);
  EXPECT_EQ(left, right);
}

TEST(QuantizeModel, DependsNeitherOnThreadsNorLeavesAnythingWhenItFails) {
  const TestFolder folder;
  TinyModel tiny = TinyModel::make();
  tiny.set_f32("token_embd.weight", {32, 267}, 5);
  const auto model = tiny.open(folder.path()).value();
  const auto bytes_with = [&](unsigned threads) {
    const fs::path out = folder.path() / "out.gguf";
    EXPECT_TRUE(
        quantize_model(model->file(), out, {.type = BlockType::kIQ4_NL, .threads = threads}).ok());
    return read_file(out, std::size_t{1} << 24U).value();
  };
  EXPECT_EQ(bytes_with(1), bytes_with(3));

  const float infinite = std::numeric_limits<float>::infinity();
  std::memcpy(tiny.tensors["token_embd.weight"].data.data() + 128, &infinite, sizeof infinite);
  const auto bad = tiny.open(folder.path()).value();
  const fs::path out = folder.path() / "bad.gguf";
  const auto failed = quantize_model(bad->file(), out, {.type = BlockType::kQ8_0});
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(failed.error().message, HasSubstr("row 1 of token_embd.weight"));
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    EXPECT_THAT(entry.path().filename().string(), ::testing::Not(HasSubstr("bad")));
  }
  EXPECT_EQ(quantize_model(model->file(), model->path(), {}).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(QuantizeModel, FallsBackWhereRowsAreNoWholeBlocks) {
  EXPECT_EQ(storage_for(BlockType::kQ4_K, 512), BlockType::kQ4_K);
  EXPECT_EQ(storage_for(BlockType::kQ4_K, 896), BlockType::kQ5_0);
  EXPECT_EQ(storage_for(BlockType::kQ5_K, 896), BlockType::kQ5_1);
  EXPECT_EQ(storage_for(BlockType::kQ6_K, 896), BlockType::kQ8_0);
  EXPECT_EQ(storage_for(BlockType::kQ2_K, 576), BlockType::kIQ4_NL);
  EXPECT_EQ(storage_for(BlockType::kQ3_K, 576), BlockType::kIQ4_NL);
  EXPECT_EQ(storage_for(BlockType::kIQ4_XS, 576), BlockType::kIQ4_NL);
  EXPECT_EQ(storage_for(BlockType::kTQ2_0, 576), BlockType::kQ4_0);
  EXPECT_EQ(storage_for(BlockType::kI8, 96), BlockType::kIQ4_NL);
  EXPECT_EQ(storage_for(BlockType::kQ4_K, 172), BlockType::kF16);
  EXPECT_EQ(storage_for(BlockType::kBF16, 1), BlockType::kBF16);
  EXPECT_THAT(parse_storage("Q9").error().message, HasSubstr("Q4_K"));
  EXPECT_EQ(parse_storage("q4_k").value(), BlockType::kQ4_K);
}

TEST(QuantizeModel, HeedsImportanceByMatrix) {
  const TestFolder folder;
  const auto model = TinyModel::make().open(folder.path()).value();
  const std::string name = "blk.0.attn_q.weight";
  ColumnImportance importance;
  importance[name].assign(32, 1.0F);
  importance[name][4] = 1000.0F;
  const auto column_error = [&](const ColumnImportance* given) {
    const fs::path out = folder.path() / "out.gguf";
    EXPECT_TRUE(
        quantize_model(model->file(), out, {.type = BlockType::kIQ4_NL, .importance = given}).ok());
    const auto file = GgufFile::open(out).value();
    const auto before = WeightRows::open(model->file(), name).value();
    const auto after = WeightRows::open(file, name).value();
    double error = 0.0;
    std::vector<float> left(32);
    std::vector<float> right(32);
    for (std::size_t row = 0; row < before.rows(); ++row) {
      before.dequantize(row, left);
      after.dequantize(row, right);
      error += std::pow(double{left[4]} - double{right[4]}, 2);
    }
    return error;
  };
  EXPECT_LT(column_error(&importance), 0.3 * column_error(nullptr));
  importance[name].resize(31);
  const auto wrong = quantize_model(model->file(), folder.path() / "x.gguf",
                                    {.type = BlockType::kQ4_0, .importance = &importance});
  EXPECT_EQ(wrong.error().code, ErrorCode::kInvalidArgument);
}

} // namespace
} // namespace coppice
