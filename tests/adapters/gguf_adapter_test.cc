// SPDX-License-Identifier: Apache-2.0
#include "adapters/gguf_adapter.h"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>

#include "formats/gguf_reader.h"
#include "formats/gguf_writer.h"
#include "formats/half.h"
#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

Result<Adapter> write_and_read(const Adapter& adapter) {
  const TempFolder folder;
  const fs::path path = folder.path() / "adapter.gguf";
  EXPECT_TRUE(write_gguf_adapter(path, adapter).ok());
  return read_gguf_adapter(path, "llama", small_modules());
}

double file_alpha(const Adapter& adapter) {
  const TempFolder folder;
  const fs::path path = folder.path() / "adapter.gguf";
  EXPECT_TRUE(write_gguf_adapter(path, adapter).ok());
  return GgufFile::open(path).value().get_float("adapter.lora.alpha").value();
}

TEST(GgufAdapterTest, AnAdapterOfOneAlphaComesBackBitForBit) {
  AdapterSpec spec = small_spec(2, 3.3F);
  spec.targets[3].rank = 4; // ranks may differ: the file's scale is alpha over each one's own
  const Adapter adapter = random_adapter(spec, 6);
  const auto read = write_and_read(adapter);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->spec(), spec);
  EXPECT_TRUE(same_bits(read->values(), adapter.values()));
}

// What an adapter adds to a layer is scale * B A. A folded B is rounded once, its ratio and the
// scales of both adapters a few times more: 8 roundings of 2^-24 relative to the value.
void expect_same_products(const Adapter& left, const Adapter& right) {
  ASSERT_EQ(left.targets(), right.targets());
  for (std::size_t t = 0; t < left.targets(); ++t) {
    EXPECT_TRUE(same_bits(left.a(t), right.a(t)));
    for (std::size_t i = 0; i < left.b(t).size(); ++i) {
      const double ours =
          static_cast<double>(left.spec().scale(t)) * static_cast<double>(left.b(t)[i]);
      const double theirs =
          static_cast<double>(right.spec().scale(t)) * static_cast<double>(right.b(t)[i]);
      ASSERT_NEAR(ours, theirs, std::abs(ours) * 8 * 0x1p-24);
    }
  }
}

TEST(GgufAdapterTest, AlphasThatDifferAreFoldedIntoB) {
  AdapterSpec spec = small_spec(2, 4);
  spec.targets[1].alpha = 1.7F;
  spec.targets[9].alpha = 32;
  const Adapter adapter = random_adapter(spec, 6);
  const Adapter read = write_and_read(adapter).value();
  EXPECT_EQ(read.spec().targets[1].alpha, 4.0F);
  expect_same_products(adapter, read);
  EXPECT_TRUE(same_bits(read.b(0), adapter.b(0))); // has the file's alpha already
  EXPECT_FALSE(same_bits(read.b(1), adapter.b(1)));
}

TEST(GgufAdapterTest, RankStabilizedScalesSurvive) {
  AdapterSpec spec = small_spec(3, 5);
  spec.scaling = LoraScaling::kRankStabilized;
  const Adapter even = random_adapter(spec, 6);
  EXPECT_TRUE(same_bits(write_and_read(even).value().values(), even.values())); // alpha says it all
  expect_same_products(even, write_and_read(even).value());
  spec.targets[4].rank = 2;
  const Adapter uneven = random_adapter(spec, 6);
  expect_same_products(uneven, write_and_read(uneven).value());
}

TEST(GgufAdapterTest, ScalesOfOneAreWrittenAsNoAlphaAndNothingIsFolded) {
  AdapterSpec spec = small_spec(2, 2);
  spec.targets[3].rank = 3;
  spec.targets[3].alpha = 3;
  const Adapter adapter = random_adapter(spec, 6);
  EXPECT_EQ(file_alpha(adapter), 0.0);
  const Adapter read = write_and_read(adapter).value();
  EXPECT_EQ(read.spec(), spec); // alpha 0 reads as alpha = r
  EXPECT_TRUE(same_bits(read.values(), adapter.values()));
}

// A GGUF file made by hand: what a test changes is named.
struct HandMade {
  std::string type = "adapter";
  std::string architecture = "llama";
  std::string adapter_type = "lora";
  float alpha = 4;
  std::string name_a = "blk.0.attn_v.weight.lora_a";
  std::string name_b = "blk.0.attn_v.weight.lora_b";
  std::vector<std::uint64_t> dims_a = {12, 2};
  std::vector<std::uint64_t> dims_b = {2, 4};
  BlockType block_type = BlockType::kF32;
  bool only_a = false;
  bool alora = false;
};

Result<Adapter> read_made(const HandMade& made, const AdaptableModules& modules = small_modules()) {
  GgufWriter writer = GgufWriter::create().value();
  const auto text = [&](const char* key, const std::string& value) {
    if (value.empty()) return;
    EXPECT_TRUE(writer.add_metadata(key, value).ok());
  };
  text("general.type", made.type);
  text("general.architecture", made.architecture);
  text("adapter.type", made.adapter_type);
  EXPECT_TRUE(writer.add_metadata("adapter.lora.alpha", made.alpha).ok());
  if (made.alora) {
    EXPECT_TRUE(
        writer.add_metadata("adapter.alora.invocation_tokens", std::vector<std::uint32_t>{1}).ok());
  }
  const auto zeros = [&](const std::vector<std::uint64_t>& dims) {
    return Bytes(encoded_size(made.block_type, dims).value(), 0);
  };
  const Bytes a = zeros(made.dims_a);
  EXPECT_TRUE(writer.add_tensor(made.name_a, made.dims_a, made.block_type, a).ok());
  const Bytes b = made.only_a ? Bytes() : zeros(made.dims_b);
  if (!made.only_a) {
    EXPECT_TRUE(writer.add_tensor(made.name_b, made.dims_b, made.block_type, b).ok());
  }
  const TempFolder folder;
  const fs::path path = folder.path() / "made.gguf";
  EXPECT_TRUE(writer.write_file(path).ok());
  return read_gguf_adapter(path, "llama", modules);
}

TEST(GgufAdapterTest, AFileMadeByHandIsRead) {
  const auto adapter = read_made({});
  ASSERT_TRUE(adapter.ok()) << adapter.error().message;
  EXPECT_EQ(adapter->spec().targets[0].tensor, "blk.0.attn_v");
  EXPECT_EQ(adapter->spec().targets[0].rank, 2U);
  EXPECT_EQ(adapter->spec().scale(0), 2.0F);
}

TEST(GgufAdapterTest, WhatIsNoLoraAdapterForThisBaseIsRefusedWithItsReason) {
  const auto refused = [](const HandMade& made, ErrorCode code, const char* says) {
    const auto adapter = read_made(made);
    ASSERT_FALSE(adapter.ok()) << says;
    EXPECT_EQ(adapter.error().code, code) << adapter.error().message;
    EXPECT_THAT(adapter.error().message, HasSubstr(says));
    EXPECT_THAT(adapter.error().message, HasSubstr("made.gguf"));
  };
  const auto invalid = ErrorCode::kInvalidArgument;
  const auto unsupported = ErrorCode::kUnsupported;
  refused({.type = "model"}, invalid, "holds a model, not an adapter");
  refused({.type = ""}, invalid, "holds a model, not an adapter");
  refused({.architecture = "qwen2"}, invalid, "architecture qwen2");
  refused({.adapter_type = "control_vector"}, unsupported, "control_vector");
  refused({.adapter_type = ""}, ErrorCode::kNotFound, "adapter.type");
  refused({.alora = true}, unsupported, "aLoRA");
  refused({.alpha = -1}, invalid, "adapter.lora.alpha");
  refused({.alpha = INFINITY}, invalid, "adapter.lora.alpha");
  refused({.name_a = "blk.0.attn_v.weight"}, unsupported, "no LoRA factor");
  refused({.name_a = "blk.7.attn_v.weight.lora_a"}, invalid, "blk.7.attn_v: this base model");
  refused({.name_a = "token_embd.weight.lora_a"}, invalid, "token_embd: this base model");
  refused({.dims_a = {16, 2}}, invalid, "blk.0.attn_v.weight.lora_a is 2 x 16");
  refused({.dims_b = {2, 8}}, invalid, "was made for another base");
  refused({.dims_b = {3, 4}}, invalid, "blk.0.attn_v.weight.lora_b is 4 x 3");
  refused({.dims_a = {12, 5}, .dims_b = {5, 4}}, invalid, "rank 5");
  refused({.dims_a = {12, 2, 1}}, invalid, "3 dimensions");
  refused({.only_a = true}, invalid, "the B factor of blk.0.attn_v is missing");
  refused({.block_type = BlockType::kF64}, unsupported, "F64");
}

TEST(GgufAdapterTest, RankOneMayComeWithItsOnesLeftOut) {
  const auto adapter = read_made({.dims_a = {12}, .dims_b = {1, 4}});
  ASSERT_TRUE(adapter.ok()) << adapter.error().message;
  EXPECT_EQ(adapter->spec().targets[0].rank, 1U);
}

TEST(GgufAdapterTest, NarrowTensorsAreWidenedExactly) {
  const AdaptableModules modules = {{.tensor = "blk.0.ffn_up", .in = 32, .out = 64}};
  Bytes half;
  Bytes brain;
  Bytes blocks;
  std::vector<float> values;      // of A: (32, 32), whole numbers that all three types hold
  std::vector<float> from_blocks; // the same, times the blocks' scale
  for (std::size_t i = 0; i < 32 * 32; ++i) {
    const auto quantum = static_cast<std::int8_t>(static_cast<int>(i * 7 % 255) - 127);
    values.push_back(static_cast<float>(quantum));
    from_blocks.push_back(0.25F * values.back());
    const auto append = [](Bytes& to, std::uint16_t word) {
      to.push_back(static_cast<std::uint8_t>(word));
      to.push_back(static_cast<std::uint8_t>(word >> 8U));
    };
    append(half, float_to_half(values.back()));
    append(brain, float_to_bfloat16(values.back()));
    if (i % 32 == 0) append(blocks, float_to_half(0.25F));
    blocks.push_back(static_cast<std::uint8_t>(quantum));
  }
  const std::vector<float> b(64 * 32, 1.0F);
  const std::array<std::uint64_t, 2> a_dims = {32, 32};
  const std::array<std::uint64_t, 2> b_dims = {32, 64};
  const auto read_as = [&](BlockType type, ByteSpan data) {
    GgufWriter writer = GgufWriter::create().value();
    for (const auto& [key, value] : {std::pair{"general.type", "adapter"},
                                     {"general.architecture", "llama"},
                                     {"adapter.type", "lora"}}) {
      EXPECT_TRUE(writer.add_metadata(key, std::string(value)).ok());
    }
    EXPECT_TRUE(writer.add_metadata("adapter.lora.alpha", 8.0F).ok());
    EXPECT_TRUE(writer.add_tensor("blk.0.ffn_up.weight.lora_a", a_dims, type, data).ok());
    EXPECT_TRUE(writer
                    .add_tensor("blk.0.ffn_up.weight.lora_b", b_dims, BlockType::kF32,
                                as_bytes(std::span<const float>(b)))
                    .ok());
    const TempFolder folder;
    EXPECT_TRUE(writer.write_file(folder.path() / "a.gguf").ok());
    return read_gguf_adapter(folder.path() / "a.gguf", "llama", modules).value();
  };
  EXPECT_TRUE(same_bits(read_as(BlockType::kF16, half).a(0), values));
  EXPECT_TRUE(same_bits(read_as(BlockType::kBF16, brain).a(0), values));
  EXPECT_TRUE(same_bits(read_as(BlockType::kQ8_0, blocks).a(0), from_blocks));
}

// scale * B A of one target, in double.
std::vector<double> product(const Adapter& adapter, std::size_t t) {
  const AdapterTarget& target = adapter.spec().targets[t];
  std::vector<double> dense(std::size_t{target.out} * target.in, 0.0);
  for (std::size_t o = 0; o < target.out; ++o) {
    for (std::size_t k = 0; k < target.rank; ++k) {
      const double b = static_cast<double>(adapter.spec().scale(t)) *
                       static_cast<double>(adapter.b(t)[o * target.rank + k]);
      for (std::size_t i = 0; i < target.in; ++i) {
        dense[o * target.in + i] += b * static_cast<double>(adapter.a(t)[k * target.in + i]);
      }
    }
  }
  return dense;
}

TEST(StackAdaptersTest, TheProductIsTheSumOfTheProducts) {
  const Adapter shared = random_adapter(small_spec(2, 4), 1);   // scale 2
  const Adapter personal = random_adapter(small_spec(1, 1), 2); // scale 1
  const std::array<const Adapter*, 2> both = {&shared, &personal};
  const auto stacked = stack_adapters(both);
  ASSERT_TRUE(stacked.ok()) << stacked.error().message;
  for (std::size_t t = 0; t < stacked->targets(); ++t) {
    EXPECT_EQ(stacked->spec().targets[t].rank, 3U);
    EXPECT_EQ(stacked->spec().scale(t), 1.0F);
    const auto sum = product(*stacked, t);
    const auto first = product(shared, t);
    const auto second = product(personal, t);
    for (std::size_t i = 0; i < sum.size(); ++i) {
      // The factors are exact (scales are powers of two); three products and sums of double remain.
      ASSERT_NEAR(sum[i], first[i] + second[i], 16 * 0x1p-53 * 6);
    }
  }
  EXPECT_TRUE(same_bits(write_and_read(*stacked).value().values(), stacked->values()));
}

TEST(StackAdaptersTest, ATargetThatOnlyOneHasIsItsAlone) {
  AdapterSpec q_only = small_spec(2, 4);
  q_only.targets = {q_only.targets[7]};
  AdapterSpec rest = small_spec(1, 1);
  rest.targets.erase(rest.targets.begin() + 7);
  const Adapter left = random_adapter(q_only, 1);
  const Adapter right = random_adapter(rest, 2);
  const std::array<const Adapter*, 2> both = {&left, &right};
  const Adapter stacked = stack_adapters(both).value();
  ASSERT_EQ(stacked.targets(), 14U);
  EXPECT_EQ(stacked.spec().targets[7].tensor, "blk.1.attn_q"); // in specs' order
  EXPECT_EQ(product(stacked, 7), product(left, 0));
  EXPECT_EQ(product(stacked, 8), product(right, 7));
}

TEST(StackAdaptersTest, AdaptersOfDifferentBasesAreRefused) {
  const Adapter adapter = random_adapter(small_spec(), 1);
  AdapterSpec other = small_spec();
  other.architecture = "qwen2";
  const Adapter architecture = random_adapter(other, 1);
  other = small_spec();
  other.targets[6].in = 24;
  const Adapter shape = random_adapter(other, 1);
  const auto stack = [&](const Adapter& second) {
    const std::array<const Adapter*, 2> both = {&adapter, &second};
    return stack_adapters(both);
  };
  EXPECT_THAT(stack(architecture).error().message, HasSubstr("qwen2"));
  EXPECT_THAT(stack(shape).error().message, HasSubstr("blk.0.ffn_down"));
  // Ranks 2 + 3 exceed the four rows of k.
  EXPECT_THAT(stack(random_adapter(small_spec(3), 1)).error().message, HasSubstr("rank 5"));
  EXPECT_EQ(stack_adapters({}).error().code, ErrorCode::kInvalidArgument);
}

} // namespace
} // namespace coppice
