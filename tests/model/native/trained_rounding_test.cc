// SPDX-License-Identifier: Apache-2.0
// BitNet with its activations rounded to int8, a scale a token, against transformers' figures
// (variant a8 of ../shared/data/arch).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/text.h"
#include "formats/json.h"
#include "model/native/int8_products.h"
#include "tests/model/graph/tiny_model.h"
#include "tests/model/shared_data.h"

namespace coppice::graph {
namespace {

struct Case {
  const char* model;
  const char* type;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.model << " " << c.type; }

class TrainedRounding : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    COPPICE_NEEDS_SHARED("arch/README.md");
    const std::string model = GetParam().model;
    golden_ = parse_json(read_text(shared_data("arch/" + model + ".golden.json"))).value();
    figures_ = golden_["variants"]["a8"];
    ids_ = golden_["ids"].get<std::vector<TokenId>>();
    base_ =
        BaseModel::open(shared_data(cat("arch/", model, ".", GetParam().type, ".gguf"))).value();
  }

  Json golden_;
  Json figures_;
  std::vector<TokenId> ids_;
  std::shared_ptr<const BaseModel> base_;
};

// A float32 difference in the seventh digit flips a rounding here and there, and a flip moves some
// logits by up to 0.2, so the mean is compared: without rounding it is 0.04 off (README there).
TEST_P(TrainedRounding, GivesTransformersLogits) {
  const auto engine =
      open_engine(base_,
                  {.threads = 2, .precision = EnginePrecision::kFloat32, .trained_rounding = true})
          .value();
  const auto logits = engine->logits({}, ids_).value();
  const std::size_t width = base_->config().vocabulary;
  const Bytes bytes =
      read_file(shared_data("arch/" + figures_["logits_file"].get<std::string>()), 1U << 24U)
          .value();
  double sum = 0;
  double most = 0;
  std::size_t row = 0;
  for (const Json& position : golden_["logits_positions"]) {
    std::vector<float> expected(width);
    std::memcpy(expected.data(), bytes.data() + row++ * width * sizeof(float),
                width * sizeof(float));
    const float* found = logits.data() + position.get<std::size_t>() * width;
    for (std::size_t i = 0; i < width; ++i) {
      const double off = std::abs(double{found[i]} - double{expected[i]});
      sum += off;
      most = std::max(most, off);
    }
  }
  const double mean = sum / static_cast<double>(row * width);
  EXPECT_LT(mean, 4e-3);
  EXPECT_LT(most, 0.3);
  const Sequence sequence = whole_sequence(ids_);
  const Score score = engine->score({}, {&sequence, 1}).value()[0];
  EXPECT_NEAR(score.nats / static_cast<double>(score.tokens),
              figures_[cat("loss_", GetParam().type)].get<double>(), 2e-3);
}

// Decoding takes products of int8 where the type has one, and floats rounded alike elsewhere.
TEST_P(TrainedRounding, GeneratesTransformersTextUpToTheFirstSmallMargin) {
  const auto expected = figures_["greedy_ids"].get<std::vector<TokenId>>();
  const auto margins = figures_["greedy_margins"].get<std::vector<float>>();
  const auto engine =
      open_engine(base_, {.threads = 2, .precision = EnginePrecision::kFloat32}).value();
  const auto made = engine
                        ->generate({.adapters = {},
                                    .prompt = ids_,
                                    .max_tokens = static_cast<std::uint32_t>(expected.size()),
                                    .int8_activations = true})
                        .value();
  for (std::size_t i = 0; i < expected.size() && margins[i] > 0.4F; ++i) {
    ASSERT_EQ(made.tokens[i], expected[i]) << "token " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TrainedRounding,
                         testing::Values(Case{"tiny-bitnet-a", "f32"},
                                         Case{"tiny-bitnet256-a", "f32"},
                                         Case{"tiny-bitnet256-a", "tq1_0"},
                                         Case{"tiny-bitnet256-a", "tq2_0"}),
                         [](const auto& tested) {
                           std::string name = cat(tested.param.model, "_", tested.param.type);
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// transformers' ActQuant: s = 127 / max(|x|), at least for 1e-5; round(x s) / s, half to even.
TEST(RoundToken, IsTransformersRounding) {
  std::vector<float> x = {127.0F, 0.5F, 1.5F, -2.5F, -127.0F, 3.4F, 0.0F, -0.4F};
  native::round_token(x.data(), x.size());
  EXPECT_EQ(x, (std::vector<float>{127, 0, 2, -2, -127, 3, 0, 0}));
  std::vector<float> zeros(4);
  native::round_token(zeros.data(), zeros.size());
  EXPECT_EQ(zeros, std::vector<float>(4));
}

TEST(RoundToken, AgreesWithTheRowOfInt8) {
  std::vector<float> x(96);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i * i));
  native::Int8Row row;
  row.assign_token(x.data(), x.size());
  native::round_token(x.data(), x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_FLOAT_EQ(static_cast<float>(row.values[i]) * row.scales[i / 32], x[i]);
  }
}

} // namespace
} // namespace coppice::graph
