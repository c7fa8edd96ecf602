// SPDX-License-Identifier: Apache-2.0
// Bases of every block type: the engine computes with the weights that the rows say.
#include <cstring>

#include "formats/gguf_writer.h"
#include "formats/half.h"
#include "model/quantize_model.h"
#include "tests/model/graph/tiny_model.h"
#include "tests/model/shared_data.h"

namespace coppice::graph {
namespace {

const std::vector<TokenId> kTokens = {1, 5, 9, 17, 33, 65, 3, 2};

std::unique_ptr<Engine> engine_of(const fs::path& path) {
  const auto base = BaseModel::open(path);
  EXPECT_TRUE(base.ok()) << base.error().message;
  return open_engine(*base, {.threads = 2, .precision = EnginePrecision::kFloat32}).value();
}

std::vector<float> logits_of(const fs::path& path) {
  return engine_of(path)->logits({}, kTokens).value();
}

Adapter gradient_of(const fs::path& path) {
  const auto engine = engine_of(path);
  std::vector<TrainJob> jobs(
      1, TrainJob{.frozen = {}, .start = random_start(engine->base(), 4, 7), .optimizer = {}});
  const auto session = engine->start_training(jobs).value();
  return session->gradient(0, {.sequences = {whole_sequence(kTokens)}}).value();
}

class QuantizedBase : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    COPPICE_NEEDS_SHARED("arch/tiny-llama256-a.f32.gguf");
    const auto source = GgufFile::open(shared_data("arch/tiny-llama256-a.f32.gguf")).value();
    const auto type = parse_storage(GetParam()).value();
    ASSERT_TRUE(quantize_model(source, quantized_, {.type = type}).ok());
    const auto file = GgufFile::open(quantized_).value();
    ASSERT_TRUE(quantize_model(file, expanded_, {.type = BlockType::kF32}).ok());
  }

  TestFolder folder_;
  fs::path quantized_ = folder_.path() / "quantized.gguf";
  fs::path expanded_ = folder_.path() / "expanded.gguf"; // the same weights as float32
};

// The same weights, and so the same bits.
TEST_P(QuantizedBase, GivesTheLogitsOfItsDequantizedWeights) {
  EXPECT_EQ(logits_of(quantized_), logits_of(expanded_));
}

// Tasks on the way back are as wide as blocks, so sums may add up in another order: float32's
// rounding.
TEST_P(QuantizedBase, TrainsAsItsDequantizedWeights) {
  EXPECT_LT(relative_difference(gradient_of(quantized_).values(), gradient_of(expanded_).values()),
            1e-5);
}

INSTANTIATE_TEST_SUITE_P(EveryType, QuantizedBase,
                         ::testing::Values("F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1",
                                           "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
                                           "IQ4_XS", "TQ1_0", "TQ2_0", "NF4"),
                         [](const auto& parameter) { return std::string(parameter.param); });

// The file with its blocks' scales moved to a tensor beside each ternary matrix, as llama.cpp's
// BitNet files have it.
void move_scales(const GgufFile& from, const fs::path& to) {
  GgufWriter writer = GgufWriter::create(from.alignment()).value();
  for (std::size_t i = 0; i < from.metadata_count(); ++i) {
    const GgufEntry entry = from.metadata_at(i);
    writer.add_metadata(std::string(entry.key), entry.value).value();
  }
  std::vector<Bytes> kept; // until the file is written
  kept.reserve(2 * from.tensors().size());
  for (const GgufTensor& tensor : from.tensors()) {
    kept.emplace_back(tensor.data.begin(), tensor.data.end());
    if (tensor.type == BlockType::kTQ2_0) {
      constexpr std::size_t kBlockBytes = 66;
      constexpr std::size_t kScaleAt = 64;
      std::uint16_t half;
      std::memcpy(&half, tensor.data.data() + kScaleAt, sizeof half);
      const std::uint16_t one = float_to_half(1.0F);
      for (std::size_t at = kScaleAt; at < tensor.data.size(); at += kBlockBytes) {
        std::memcpy(kept.back().data() + at, &one, sizeof one);
      }
      const float scale = half_to_float(half);
      Bytes bytes(sizeof scale);
      std::memcpy(bytes.data(), &scale, sizeof scale);
      kept.push_back(std::move(bytes));
      const std::string name = tensor.name.substr(0, tensor.name.size() - 6) + "scale";
      const std::uint64_t dims[] = {1};
      writer.add_tensor(name, dims, BlockType::kF32, kept.back()).value();
      writer.add_tensor(tensor.name, tensor.dims, tensor.type, kept[kept.size() - 2]).value();
    } else {
      writer.add_tensor(tensor.name, tensor.dims, tensor.type, kept.back()).value();
    }
  }
  writer.write_file(to).value();
}

class TernaryScales : public ::testing::Test {
 protected:
  void SetUp() override {
    COPPICE_NEEDS_SHARED("arch/tiny-bitnet256-a.tq2_0.gguf");
    source_ = shared_data("arch/tiny-bitnet256-a.tq2_0.gguf");
    move_scales(GgufFile::open(source_).value(), moved_);
  }
  TestFolder folder_;
  fs::path source_;
  fs::path moved_ = folder_.path() / "moved.gguf";
};

TEST_F(TernaryScales, InTensorsOfTheirOwnAreTheSameModel) {
  EXPECT_EQ(logits_of(moved_), logits_of(source_));
  EXPECT_EQ(gradient_of(moved_).values().size(), gradient_of(source_).values().size());
  EXPECT_LT(relative_difference(gradient_of(moved_).values(), gradient_of(source_).values()), 1e-6);
}

TEST_F(TernaryScales, GoIntoTheBlocksOfAnotherType) {
  const fs::path expanded = folder_.path() / "expanded.gguf";
  ASSERT_TRUE(
      quantize_model(GgufFile::open(moved_).value(), expanded, {.type = BlockType::kF32}).ok());
  EXPECT_EQ(logits_of(expanded), logits_of(source_));
}

} // namespace
} // namespace coppice::graph
