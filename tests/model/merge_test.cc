// SPDX-License-Identifier: Apache-2.0
#include "model/merge.h"

#include <array>
#include <cmath>
#include <deque>

#include "adapters/rope_rows.h"
#include "formats/safetensors_writer.h"
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

// scale sin(step i) + shift, as float32.
std::vector<float> wave(std::size_t n, double step, double scale, double shift = 0) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) {
    values[i] = static_cast<float>(scale * std::sin(step * static_cast<double>(i))) +
                static_cast<float>(shift);
  }
  return values;
}

struct Cell {
  std::size_t row, column;
  double value;
};

class MergeDora : public ::testing::Test {
 protected:
  void SetUp() override {
    TinyModel model = TinyModel::make();
    std::vector<float> q(32 * 32);
    half_split_to_interleaved({.heads = 4, .rows = 32, .columns = 32}, wave(32 * 32, 0.37, 0.5), q);
    set(model, "blk.0.attn_q.weight", {32, 32}, q);
    set(model, "blk.0.attn_v.weight", {32, 16}, wave(16 * 32, 0.53, 0.5));
    base_ = model.open(folder_.path()).value();
    write_adapter({32, 16});
  }

  // With as many magnitudes as given, of q_proj and v_proj.
  void write_adapter(std::array<std::size_t, 2> magnitudes) {
    SafetensorsWriter writer;
    std::deque<std::vector<float>> kept; // the writer reads them when it writes the file
    const auto add = [&](const std::string& name, std::vector<std::uint64_t> shape,
                         std::vector<float> wanted) {
      const std::vector<float>& values = kept.emplace_back(std::move(wanted));
      writer.add_tensor(name, Dtype::kF32, shape, as_bytes(std::span(values))).value();
    };
    const std::string block = "base_model.model.model.layers.0.self_attn.";
    const std::pair<std::string, std::size_t> modules[] = {{"q_proj", 32}, {"v_proj", 16}};
    for (std::size_t i = 0; i < 2; ++i) {
      const auto& [name, out] = modules[i];
      add(block + name + ".lora_A.weight", {2, 32}, wave(2 * 32, 0.29, 0.3));
      add(block + name + ".lora_B.weight", {out, 2}, wave(out * 2, 0.41, 0.2));
      if (magnitudes[i] == 0) continue;
      add(block + name + ".lora_magnitude_vector", {magnitudes[i]},
          wave(magnitudes[i], 0.7, 0.5, 2));
    }
    writer.write_file(folder_.path() / "adapter_model.safetensors").value();
    const std::string config =
        R"({"peft_type":"LORA","r":2,"lora_alpha":6,"use_dora":true,"bias":"none",)"
        R"("target_modules":["q_proj","v_proj"]})";
    write_file_atomically(folder_.path() / "adapter_config.json", as_bytes(config)).value();
  }
  Result<DoraAdapter> read() const {
    return read_peft_dora(folder_.path(), "llama", base_->adaptable_modules());
  }

  TestFolder folder_;
  std::shared_ptr<const BaseModel> base_;

 private:
  static void set(TinyModel& model, const std::string& name, std::vector<std::uint64_t> dims,
                  const std::vector<float>& values) {
    const ByteSpan bytes = as_bytes(std::span(values));
    model.tensors[name] = {std::move(dims), BlockType::kF32, {bytes.begin(), bytes.end()}};
  }
};

void expect_cells(std::span<const float> values, std::span<const Cell> cells) {
  for (const Cell& cell : cells) {
    // Ours is rounded thrice, theirs after each of some 40 additions.
    EXPECT_NEAR(double{values[cell.row * 32 + cell.column]}, cell.value, 1e-6)
        << cell.row << ", " << cell.column;
  }
}

// The values are those of peft 0.21.2's merge_and_unload() of the same adapter over the same
// weights.
TEST_F(MergeDora, GivesThePeftLibrarysWeights) {
  const auto dora = read();
  ASSERT_TRUE(dora.ok()) << dora.error().message;
  const fs::path out = folder_.path() / "merged.gguf";
  const auto written = write_merged_dora(*base_, *dora, out, BlockType::kF32);
  ASSERT_TRUE(written.ok()) << written.error().message;
  const auto model = BaseModel::open(out).value();
  const Cell of_v[] = {{0, 0, 0.010606511},  {1, 31, 0.48115596},  {3, 7, -0.48235863},
                       {5, 0, -0.012991415}, {9, 16, -0.36906391}, {15, 30, 0.0079975994}};
  expect_cells(values_of(*model, "blk.0.attn_v.weight"), of_v);
  const Cell of_q[] = {{0, 0, 0.010213881}, {1, 31, -0.63329542}, {3, 7, 0.28976294},
                       {5, 0, 0.19334035},  {9, 16, -0.26859775}, {15, 30, 0.036178835}};
  std::vector<float> q(32 * 32);
  interleaved_to_half_split({.heads = 4, .rows = 32, .columns = 32},
                            values_of(*model, "blk.0.attn_q.weight"), q);
  expect_cells(q, of_q);
}

TEST_F(MergeDora, IsRefusedAsAPlainAdapterAndWithoutItsMagnitudes) {
  EXPECT_TRUE(is_peft_dora(folder_.path()).value());
  const auto plain = read_peft_adapter(folder_.path(), "llama", base_->adaptable_modules());
  ASSERT_FALSE(plain.ok());
  EXPECT_EQ(plain.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(plain.error().message.find("adapter merge"), std::string::npos);
  write_adapter({32, 0});
  EXPECT_EQ(read().error().code, ErrorCode::kInvalidArgument);
  write_adapter({32, 15});
  EXPECT_EQ(read().error().code, ErrorCode::kInvalidArgument);
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
