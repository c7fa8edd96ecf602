// SPDX-License-Identifier: Apache-2.0
#include "model/native/importance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/random.h"
#include "model/native/native_engine.h"
#include "model/quantized_blocks.h"
#include "model/row_kernels.h"
#include "model/weight_rows.h"
#include "tests/model/graph/reference_model.h"
#include "tests/model/graph/tiny_model.h"
#include "tests/model/shared_data.h"

namespace coppice::graph {
namespace {

using native::ImportanceMeter;

// Against a forward pass in float64 and plain loops: float32 products are off by 1e-5 of an
// activation's size (golden_test.cc), their squares by twice that; 1e-4 for small columns.
TEST(Importance, IsTheMeanSquareOfWhatEachMatrixIsMultipliedWith) {
  const auto base = mixed_tiny_model();
  ReferenceModel reference(*base);
  std::map<std::string, std::vector<double>> expected;
  reference.on_input = [&](const std::string& name, const ReferenceModel::Rows& x) {
    std::vector<double>& sums = expected[name + ".weight"];
    sums.resize(x[0].size());
    for (const auto& row : x) {
      for (std::size_t j = 0; j < row.size(); ++j) sums[j] += row[j] * row[j];
    }
  };
  const auto meter = ImportanceMeter::make(base, 2).value();
  EXPECT_TRUE(meter->importance().empty());
  for (const std::size_t length : {40U, 9U}) {
    const auto tokens = random_tokens(*base, length, length);
    (void)reference.logits({}, tokens);
    ASSERT_TRUE(meter->add(tokens).ok());
  }
  EXPECT_EQ(meter->tokens(), 49U);
  const ColumnImportance importance = meter->importance();
  EXPECT_EQ(importance.size(), 14U) << "seven matrices a layer, and neither embedding nor head";
  for (const auto& [name, columns] : importance) {
    const std::vector<double>& sums = expected.at(name);
    ASSERT_EQ(columns.size(), sums.size());
    for (std::size_t j = 0; j < sums.size(); ++j) {
      EXPECT_NEAR(columns[j] / (sums[j] / 49), 1.0, 1e-4) << name << " " << j;
    }
  }
  EXPECT_FALSE(meter->add({}).ok());
}

TEST(Importance, DependsNotOnThreads) {
  const auto base = mixed_tiny_model();
  const auto tokens = random_tokens(*base, 70, 1);
  const auto with = [&](unsigned threads) {
    const auto meter = ImportanceMeter::make(base, threads).value();
    EXPECT_TRUE(meter->add(tokens).ok());
    return meter->importance();
  };
  EXPECT_EQ(with(1), with(3));
}

// A float model with weights between the levels of the one in the repository, and text that it
// writes itself: what a quantized copy loses on that, beyond the text's own entropy, is the
// divergence from the model.
class ImportantColumns : public testing::Test {
 protected:
  ImportantColumns() {
    const auto levels = repository_model();
    const fs::path path = folder_.path() / "floats.gguf";
    EXPECT_TRUE(quantize_model(levels->file(), path, {.type = BlockType::kF32}).ok());
    Bytes bytes = read_file(path, std::size_t{1} << 26U).value();
    KeyedRandom random({.purpose = RandomPurpose::kTest});
    const auto file = GgufFile::open(path).value();
    for (const GgufTensor& tensor : file.tensors()) {
      if (tensor.dims.size() != 2) continue;
      std::vector<float> weights(tensor.elements());
      dequantize_row(tensor.type, tensor.data, weights);
      const float size = std::sqrt(dot(weights.data(), weights.data(), weights.size()) /
                                   static_cast<float>(weights.size()));
      for (float& weight : weights) weight += 0.3F * size * (random.uniform_float() - 0.5F);
      std::memcpy(bytes.data() + (tensor.data.data() - file.bytes().data()), weights.data(),
                  tensor.data.size());
    }
    EXPECT_TRUE(write_file_atomically(folder_.path() / "model.gguf", bytes).ok());
    base_ = BaseModel::open(folder_.path() / "model.gguf").value();
  }
  std::vector<Sequence> written(std::uint64_t first, std::size_t count) const {
    const auto engine = engine_for(base_);
    std::vector<GenerateRequest> requests;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
      requests.push_back({.adapters = {},
                          .prompt = base_->tokenizer().encode("The "),
                          .max_tokens = 150,
                          .sampler = {.temperature = 1.0F, .top_k = 0, .top_p = 1.0F, .seed = seed},
                          .ignore_end_tokens = true});
    }
    std::vector<Sequence> made;
    const auto texts = generate_all(*engine, std::move(requests), 8).value();
    for (const GenerateResult& text : texts) made.push_back(whole_sequence(text.tokens));
    return made;
  }
  fs::path quantized(const std::string& type, const ColumnImportance* importance) const {
    const fs::path out = folder_.path() / cat(type, importance == nullptr ? "" : "-weighted");
    EXPECT_TRUE(quantize_model(
                    base_->file(), out,
                    {.type = parse_storage(type).value(), .threads = 2, .importance = importance})
                    .ok());
    return out;
  }
  double loss(const fs::path& path, const std::vector<Sequence>& text) const {
    const auto engine = open_native_engine(BaseModel::open(path).value(),
                                           {.threads = 2, .precision = EnginePrecision::kFloat32})
                            .value();
    const auto scores = engine->score({}, text).value();
    Score all;
    for (const Score& score : scores) {
      all.nats += score.nats;
      all.tokens += score.tokens;
    }
    return all.nats / static_cast<double>(all.tokens);
  }
  // Of one matrix, each column's squares times its importance.
  double weighted_error(const fs::path& path, const std::string& name,
                        const std::vector<float>& importance) const {
    const auto file = GgufFile::open(path).value();
    const auto before = WeightRows::open(base_->file(), name).value();
    const auto after = WeightRows::open(file, name).value();
    std::vector<float> left(before.columns()), right(before.columns());
    double error = 0;
    for (std::size_t row = 0; row < before.rows(); ++row) {
      before.dequantize(row, left);
      after.dequantize(row, right);
      for (std::size_t j = 0; j < left.size(); ++j) {
        error += double{importance[j]} * std::pow(double{left[j]} - double{right[j]}, 2);
      }
    }
    return error;
  }

  TestFolder folder_;
  std::shared_ptr<const BaseModel> base_;
};

TEST_F(ImportantColumns, LoseLessInEveryMatrixAndOnTextThatWasNotRead) {
  const auto meter = ImportanceMeter::make(base_, 2).value();
  for (const Sequence& text : written(1, 8)) ASSERT_TRUE(meter->add(text.tokens).ok());
  const ColumnImportance importance = meter->importance();
  const auto other = written(1000, 8);
  const double entropy = loss(base_->path(), other);
  for (const char* type : {"Q2_K", "IQ4_XS"}) {
    const fs::path plain = quantized(type, nullptr);
    const fs::path weighted = quantized(type, &importance);
    for (const auto& [name, columns] : importance) {
      EXPECT_LT(weighted_error(weighted, name, columns), weighted_error(plain, name, columns))
          << type << " " << name;
    }
    EXPECT_LT(loss(weighted, other) - entropy, loss(plain, other) - entropy) << type;
  }
}

} // namespace
} // namespace coppice::graph
