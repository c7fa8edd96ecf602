// SPDX-License-Identifier: Apache-2.0
#include "model/merge.h"

#include <cmath>

#include "model/model_info.h"
#include "model/quantized_blocks.h"
#include "tests/model/shared_data.h"
#include "tests/model/tiny_model.h"

namespace coppice {
namespace {

std::vector<float> values_of(const BaseModel& model, const std::string& name) {
  const GgufTensor& tensor = *model.file().find_tensor(name).value();
  std::vector<float> values(tensor.elements());
  dequantize_row(tensor.type, tensor.data, values);
  return values;
}

Adapter random_adapter(const BaseModel& base, std::vector<std::string> targets,
                       std::uint64_t seed) {
  const auto spec = base.make_spec(2, 6.0F, LoraScaling::kStandard, targets).value();
  Adapter adapter(std::make_shared<const AdapterSpec>(spec));
  KeyedRandom random({.experiment = seed});
  for (float& value : adapter.values()) value = random.uniform_float() - 0.5F;
  return adapter;
}

class Merge : public ::testing::Test {
 protected:
  Result<std::shared_ptr<const BaseModel>> merged(std::span<const AdapterUse> adapters,
                                                  BlockType type) {
    const fs::path out = folder_.path() / "merged.gguf";
    COPPICE_TRY(write_merged_model(*base_, adapters, out, type));
    return BaseModel::open(out);
  }

  TestFolder folder_;
  std::shared_ptr<const BaseModel> base_ = TinyModel::make().open(folder_.path()).value();
};

TEST_F(Merge, AddsEachAdaptersScaledProductToItsMatrix) {
  const Adapter first = random_adapter(*base_, {"q_proj", "down_proj"}, 1);
  const Adapter second = random_adapter(*base_, {"q_proj"}, 2);
  const AdapterUse uses[] = {{.adapter = &first}, {.adapter = &second, .strength = 0.5F}};
  const auto model = merged(uses, BlockType::kF32);
  ASSERT_TRUE(model.ok()) << model.error().message;
  const auto before = values_of(*base_, "blk.0.attn_q.weight");
  const auto after = values_of(**model, "blk.0.attn_q.weight");
  for (std::size_t out = 0; out < 32; ++out) {
    for (std::size_t in = 0; in < 32; ++in) {
      double expected = double{before[out * 32 + in]};
      for (std::size_t r = 0; r < 2; ++r) { // alpha / r = 3
        expected += 3.0 * double{first.b(0)[out * 2 + r]} * double{first.a(0)[r * 32 + in]};
        expected += 1.5 * double{second.b(0)[out * 2 + r]} * double{second.a(0)[r * 32 + in]};
      }
      // A float32 rounding for each of two adapters, of values below 8.
      EXPECT_NEAR(after[out * 32 + in], expected, 2 * 8 * 0x1p-24);
    }
  }
}

TEST_F(Merge, CopiesWhatNoAdapterTouches) {
  const Adapter adapter = random_adapter(*base_, {"q_proj"}, 1);
  const AdapterUse uses[] = {{.adapter = &adapter}};
  const auto model = merged(uses, BlockType::kF16).value();
  EXPECT_EQ(quantization_summary(model->file()), "Q8_0 + F16");
  EXPECT_EQ(model->file().get_uint("general.file_type").value(), 1U);
  EXPECT_EQ(model->file().metadata_count(), base_->file().metadata_count());
  for (const GgufTensor& tensor : base_->file().tensors()) {
    const GgufTensor& copy = *model->file().find_tensor(tensor.name).value();
    if (tensor.name.ends_with("attn_q.weight")) {
      EXPECT_EQ(copy.type, BlockType::kF16);
    } else {
      EXPECT_EQ(copy.type, tensor.type);
      EXPECT_TRUE(std::ranges::equal(copy.data, tensor.data)) << tensor.name;
    }
  }
}

TEST_F(Merge, RefusesAnotherBaseATypeThatBlocksAndWeightsThatDontFit) {
  Adapter adapter = random_adapter(*base_, {"q_proj"}, 1);
  const AdapterUse uses[] = {{.adapter = &adapter}};
  EXPECT_EQ(merged(uses, BlockType::kQ4_0).error().code, ErrorCode::kInvalidArgument);
  adapter.a(0)[0] = 1e6F;
  adapter.b(0)[0] = 1.0F;
  EXPECT_EQ(merged(uses, BlockType::kF16).error().code, ErrorCode::kUnsupported);
  EXPECT_TRUE(merged(uses, BlockType::kBF16).ok());

  AdapterSpec other = adapter.spec();
  other.targets[0].tensor = "blk.9.attn_q";
  const Adapter foreign(std::make_shared<const AdapterSpec>(other));
  const AdapterUse wrong[] = {{.adapter = &foreign}};
  EXPECT_EQ(merged(wrong, BlockType::kF16).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(Merge, OfNoAdaptersIsTheModelItself) {
  const auto model = merged({}, BlockType::kF16).value();
  EXPECT_TRUE(std::ranges::equal(model->file().bytes(), base_->file().bytes()));
}

TEST(ModelInfo, SumsUpHowTensorsAreStored) {
  const TestFolder folder;
  TinyModel tiny = TinyModel::make();
  tiny.set_f32("output.weight", {32, 267}, 1);
  const auto model = tiny.open(folder.path()).value();
  EXPECT_EQ(quantization_summary(model->file()), "Q8_0 + F32");
  const auto shares = storage_shares(model->file());
  ASSERT_EQ(shares.size(), 2U);
  const std::uint64_t matrices = 267U * 32 + 2 * (2048 + 1024 + 3 * 2048);
  EXPECT_EQ(shares[0].elements, matrices);
  EXPECT_EQ(shares[0].bytes, matrices / 32 * 34);
  EXPECT_EQ(shares[1].tensors, 6U); // output, last norm, two norms a layer
  EXPECT_EQ(tensor_bytes(model->file()), shares[0].bytes + shares[1].bytes);
  EXPECT_GT(bits_per_weight(model->file()), 8.5);
}

TEST(ModelInfo, NamesTheQuantizationOfRealFiles) {
  COPPICE_NEEDS_SHARED("models/coppice-4m.q4_0.gguf");
  const auto file = GgufFile::open(shared_data("models/coppice-4m.q4_0.gguf")).value();
  EXPECT_EQ(quantization_summary(file), "Q4_0");
  EXPECT_NEAR(bits_per_weight(file), 4.5, 0.02); // 18 bytes for 32 weights; norms are F32
}

} // namespace
} // namespace coppice
