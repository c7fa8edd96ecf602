// SPDX-License-Identifier: Apache-2.0
#include "adapters/adapter_spec.h"

#include <gmock/gmock.h>

#include <limits>

#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

TEST(AdapterSpecTest, ScaleIsAlphaOverRankOrOverItsRoot) {
  AdapterSpec spec = small_spec(4, 16);
  EXPECT_EQ(spec.scale(0), 4.0F);
  spec.scaling = LoraScaling::kRankStabilized;
  EXPECT_EQ(spec.scale(0), 8.0F);
}

TEST(AdapterSpecTest, ParametersAreTheElementsOfAllFactors) {
  // A layer: q 2*(12+12), k and v 2*(12+4) each, o 2*(12+12), gate, up and down 2*(12+20) each.
  EXPECT_EQ(small_spec().parameters(), 2U * (48 + 32 + 32 + 48 + 64 + 64 + 64));
}

TEST(AdapterSpecTest, EncodingRoundTripsEveryField) {
  AdapterSpec spec = small_spec();
  spec.scaling = LoraScaling::kRankStabilized;
  spec.targets[3].rank = 5;
  spec.targets[4].alpha = 0.1F;
  const Bytes bytes = spec.encode();
  const auto decoded = AdapterSpec::decode(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_EQ(*decoded, spec);
  EXPECT_EQ(decoded->encode(), bytes);
}

TEST(AdapterSpecTest, EveryTruncationAndATrailingByteAreRefused) {
  Bytes bytes = small_spec().encode();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(AdapterSpec::decode(ByteSpan(bytes).first(size)).ok()) << size;
  }
  bytes.push_back(0);
  EXPECT_EQ(AdapterSpec::decode(bytes).error().code, ErrorCode::kCorrupt);
}

TEST(AdapterSpecTest, AnotherVersionIsUnsupported) {
  Bytes bytes = small_spec().encode();
  bytes[0] = 2;
  EXPECT_EQ(AdapterSpec::decode(bytes).error().code, ErrorCode::kUnsupported);
}

TEST(AdapterSpecTest, AClaimOfManyTargetsInFewBytesIsRefusedBeforeMemoryIsTaken) {
  AdapterSpec spec = small_spec();
  Bytes bytes = spec.encode();
  const std::size_t count_at = 2 + 1 + 4 + spec.architecture.size();
  for (const std::uint32_t claim : {15U, 2000U, 0xffffffffU}) {
    std::memcpy(bytes.data() + count_at, &claim, sizeof(claim));
    EXPECT_EQ(AdapterSpec::decode(bytes).error().code, ErrorCode::kCorrupt) << claim;
  }
}

// Each broken spec names what is wrong with it.
struct BrokenSpec {
  const char* says;
  ErrorCode code;
  void (*breaks)(AdapterSpec& spec);
};

class AdapterSpecRefusesTest : public ::testing::TestWithParam<BrokenSpec> {};

TEST_P(AdapterSpecRefusesTest, WithItsReason) {
  AdapterSpec spec = small_spec();
  GetParam().breaks(spec);
  const auto valid = spec.validate();
  ASSERT_FALSE(valid.ok());
  EXPECT_EQ(valid.error().code, GetParam().code);
  EXPECT_THAT(valid.error().message, HasSubstr(GetParam().says));
}

constexpr std::uint32_t kHuge = 0xffffffffU;
constexpr ErrorCode kInvalid = ErrorCode::kInvalidArgument;
INSTANTIATE_TEST_SUITE_P(
    Each, AdapterSpecRefusesTest,
    ::testing::Values(
        BrokenSpec{"no targets", kInvalid, [](AdapterSpec& s) { s.targets.clear(); }},
        BrokenSpec{"architecture", kInvalid, [](AdapterSpec& s) { s.architecture.clear(); }},
        BrokenSpec{"made of letters", kInvalid,
                   [](AdapterSpec& s) { s.targets[0].tensor = "\x1b[2J"; }},
        BrokenSpec{"characters", ErrorCode::kTooLarge,
                   [](AdapterSpec& s) { s.targets[0].tensor.assign(113, 'a'); }},
        BrokenSpec{"two targets named blk.0.attn_q", kInvalid,
                   [](AdapterSpec& s) { s.targets[1].tensor = "blk.0.attn_q"; }},
        BrokenSpec{"blk.0.attn_k: rank 0", kInvalid, [](AdapterSpec& s) { s.targets[1].rank = 0; }},
        BrokenSpec{"rank 5 is not between 1 and 4", kInvalid,
                   [](AdapterSpec& s) { s.targets[1].rank = 5; }},
        BrokenSpec{"blk.0.attn_v: rank", kInvalid, [](AdapterSpec& s) { s.targets[2].in = 0; }},
        BrokenSpec{"blk.0.ffn_up: alpha", kInvalid, [](AdapterSpec& s) { s.targets[5].alpha = 0; }},
        BrokenSpec{
            "blk.0.ffn_up: alpha", kInvalid,
            [](AdapterSpec& s) { s.targets[5].alpha = std::numeric_limits<float>::quiet_NaN(); }},
        BrokenSpec{"heads of even width", kInvalid,
                   [](AdapterSpec& s) { s.targets[0].rope_heads = 4; }},
        BrokenSpec{"heads of even width", kInvalid,
                   [](AdapterSpec& s) { s.targets[0].rope_heads = 5; }},
        BrokenSpec{"scaling", kInvalid,
                   [](AdapterSpec& s) { s.scaling = static_cast<LoraScaling>(2); }},
        BrokenSpec{
            "more than 268435456 parameters", ErrorCode::kTooLarge,
            [](AdapterSpec& s) { s.targets[6].in = s.targets[6].out = s.targets[6].rank = kHuge; }},
        BrokenSpec{"2001 targets", ErrorCode::kTooLarge,
                   [](AdapterSpec& s) { s.targets.resize(2001, s.targets[0]); }}));

TEST(AdapterSpecTest, TheBoundOnParametersIsExact) {
  AdapterSpec spec{
      .architecture = "llama",
      .targets = {{.tensor = "x", .in = 1U << 27U, .out = 1U << 27U, .rank = 1, .alpha = 1}}};
  EXPECT_TRUE(spec.validate().ok()); // 2^28 parameters
  ++spec.targets[0].in;
  EXPECT_EQ(spec.validate().error().code, ErrorCode::kTooLarge);
}

} // namespace
} // namespace coppice
