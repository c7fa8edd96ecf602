// SPDX-License-Identifier: Apache-2.0
#include "adapters/step_codec.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

std::vector<double> random_step(const AdapterSpec& spec, std::uint64_t seed, double size) {
  KeyedRandom random({.experiment = seed});
  std::vector<double> step(spec.parameters());
  for (double& value : step) value = size * (2 * random.uniform_double() - 1);
  return step;
}

// The scale of the slot that each parameter lies in.
std::vector<double> scale_of_each(const AdapterSpec& spec, const EncodedStep& step) {
  std::vector<double> scales;
  for (std::size_t t = 0; t < spec.targets.size(); ++t) {
    const double a = static_cast<double>(step.scales[2 * t]);
    const double b = static_cast<double>(step.scales[2 * t + 1]);
    scales.insert(scales.end(), spec.targets[t].a_elements(), a);
    scales.insert(scales.end(), spec.targets[t].b_elements(), b);
  }
  return scales;
}

TEST(StepCodecTest, NoParameterIsOffByMoreThanHalfAUnit) {
  const AdapterSpec spec = small_spec();
  // From steps among float32's subnormals, whose scales round coarsely, to its largest.
  for (const double size : {1e-44, 1e-42, 1e-40, 1e-36, 1e-20, 1e-3, 1.0, 3.7e5, 3.4e38}) {
    const auto step = random_step(spec, 1, size);
    const auto encoded = encode_step(spec, step);
    ASSERT_TRUE(encoded.ok()) << encoded.error().message;
    const auto scales = scale_of_each(spec, *encoded);
    for (std::size_t i = 0; i < step.size(); ++i) {
      // The division is a double's: its rounding moves a tie by less than 2^-37 of a unit.
      const double error = std::abs(encoded->integers[i] * scales[i] - step[i]);
      ASSERT_LE(error, scales[i] * (0.5 + 0x1p-37)) << size << " at " << i;
    }
  }
}

TEST(StepCodecTest, ASlotAfterAnotherGivesTheSameBitsAndNoneMayMiss) {
  const AdapterSpec spec = small_spec();
  const auto step = random_step(spec, 4, 1.0);
  const std::span<const double> all(step);
  StepEncoder encoder(spec);
  std::size_t at = 0;
  for (const AdapterTarget& target : spec.targets) {
    EXPECT_FALSE(encoder.add(all.first(target.a_elements() + 1)).ok());
    ASSERT_TRUE(encoder.add(all.subspan(at, target.a_elements())).ok());
    EXPECT_FALSE(StepEncoder(encoder).finish().ok());
    at += target.a_elements();
    ASSERT_TRUE(encoder.add(all.subspan(at, target.b_elements())).ok());
    at += target.b_elements();
  }
  EXPECT_FALSE(encoder.add(all.first(1)).ok());
  EXPECT_EQ(std::move(encoder).finish().value(), encode_step(spec, step).value());
}

TEST(StepCodecTest, TheLargestStepOfASlotTakesTheLargestInteger) {
  const AdapterSpec spec = small_spec();
  const auto step = random_step(spec, 2, 1.0);
  const auto encoded = encode_step(spec, step).value();
  std::size_t at = 0;
  for (std::size_t slot = 0; slot < encoded.scales.size(); ++slot) {
    const AdapterTarget& target = spec.targets[slot / 2];
    const std::size_t size = slot % 2 == 0 ? target.a_elements() : target.b_elements();
    int largest = 0;
    for (std::size_t i = at; i < at + size; ++i) {
      largest = std::max(largest, std::abs(int{encoded.integers[i]}));
    }
    EXPECT_EQ(largest, 32767);
    at += size;
  }
}

TEST(StepCodecTest, ASlotOfZerosHasScaleZeroAndMovesNothing) {
  const AdapterSpec spec = small_spec();
  const auto encoded = encode_step(spec, std::vector<double>(spec.parameters(), 0.0)).value();
  Adapter adapter = random_adapter(spec, 4);
  const Adapter before = adapter;
  ASSERT_TRUE(apply_step(adapter, encoded).ok());
  EXPECT_TRUE(same_bits(adapter.values(), before.values()));
  EXPECT_EQ(encoded.scales, std::vector<float>(spec.targets.size() * 2, 0.0F));
}

TEST(StepCodecTest, WhoeverAppliesTheEncodedStepHoldsTheSameBits) {
  const AdapterSpec spec = small_spec();
  Adapter aggregator = random_adapter(spec, 4);
  Adapter device = random_adapter(spec, 4);
  for (std::uint64_t round = 0; round < 20; ++round) {
    const auto step = encode_step(spec, random_step(spec, round, 0.01)).value();
    const Bytes sent = serialize_step(step);
    const auto received = parse_step(sent, spec);
    ASSERT_TRUE(received.ok()) << received.error().message;
    EXPECT_EQ(*received, step);
    // By the definition: one multiplication and one addition in float32.
    const auto scales = scale_of_each(spec, step);
    std::vector<float> expected(spec.parameters());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const volatile float move =
          static_cast<float>(step.integers[i]) * static_cast<float>(scales[i]);
      expected[i] = aggregator.values()[i] + move;
    }
    ASSERT_TRUE(apply_step(aggregator, step).ok());
    ASSERT_TRUE(apply_step(device, *received).ok());
    ASSERT_TRUE(same_bits(aggregator.values(), expected));
    ASSERT_TRUE(same_bits(aggregator.values(), device.values()));
  }
}

TEST(StepCodecTest, NaNInfinityWrongSizesAndStepsBeyondFloatsAreRefused) {
  const AdapterSpec spec = small_spec();
  auto step = random_step(spec, 1, 1.0);
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity(), -1e39, 1e300}) {
    step.back() = bad;
    EXPECT_EQ(encode_step(spec, step).error().code, ErrorCode::kInvalidArgument) << bad;
  }
  step.pop_back();
  EXPECT_EQ(encode_step(spec, step).error().code, ErrorCode::kInvalidArgument);
}

TEST(StepCodecTest, AStepThatCannotBeAppliedLeavesTheAdapterAsItWas) {
  const AdapterSpec spec = small_spec();
  Adapter adapter = random_adapter(spec, 4);
  adapter.values().back() = std::numeric_limits<float>::max();
  const Adapter before = adapter;
  auto over = random_step(spec, 1, 1.0);
  over.back() = 1e38;
  EXPECT_EQ(apply_step(adapter, encode_step(spec, over).value()).error().code,
            ErrorCode::kInvalidArgument);
  const AdapterSpec other = small_spec(3);
  const auto misfit = encode_step(other, random_step(other, 1, 1.0)).value();
  EXPECT_EQ(apply_step(adapter, misfit).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(same_bits(adapter.values(), before.values()));
}

TEST(StepCodecTest, AStepTakesTwoBytesAParameterAndFourASlot) {
  const AdapterSpec spec = small_spec();
  const Bytes bytes = serialize_step(encode_step(spec, random_step(spec, 1, 1.0)).value());
  EXPECT_EQ(bytes.size(), 20 + 4 * 2 * spec.targets.size() + 2 * spec.parameters());
}

TEST(StepCodecTest, TheExampleOfTheFormatsPageIsWhatIsWritten) {
  const AdapterSpec spec{.architecture = "llama",
                         .targets = {{.tensor = "x", .in = 2, .out = 3, .rank = 1, .alpha = 2}}};
  const std::vector<double> step = {0.25 * 32767, -0.5, 0, 0, 0};
  EXPECT_EQ(to_hex(serialize_step(encode_step(spec, step).value())),
            "43505354"
            "01000000"
            "02000000"
            "0500000000000000" // CPST, version 1, 2 slots, 5 values
            "0000803e"
            "00000000" // scales 0.25 and 0
            "ff7f"
            "feff"
            "0000"
            "0000"
            "0000"); // 32767, -2, and zeros
}

TEST(StepCodecTest, BrokenTextsAreRefused) {
  const AdapterSpec spec = small_spec();
  const Bytes bytes = serialize_step(encode_step(spec, random_step(spec, 1, 1.0)).value());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(parse_step(ByteSpan(bytes).first(size), spec).error().code, ErrorCode::kCorrupt);
  }
  const auto code_after = [&](std::size_t at, auto value) {
    Bytes altered = bytes;
    std::memcpy(altered.data() + at, &value, sizeof(value));
    return parse_step(altered, spec).error().code;
  };
  const std::size_t first_integer = 20 + 4 * 2 * spec.targets.size();
  EXPECT_EQ(code_after(0, std::uint32_t{1}), ErrorCode::kCorrupt);
  EXPECT_EQ(code_after(4, std::uint32_t{2}), ErrorCode::kUnsupported);
  EXPECT_EQ(code_after(8, std::uint32_t{0xffffffff}), ErrorCode::kCorrupt);
  EXPECT_EQ(code_after(12, ~std::uint64_t{0}), ErrorCode::kCorrupt);
  EXPECT_EQ(code_after(20, -1.0F), ErrorCode::kCorrupt);
  EXPECT_EQ(code_after(20, -0.0F), ErrorCode::kCorrupt);
  EXPECT_EQ(code_after(20, std::numeric_limits<float>::quiet_NaN()), ErrorCode::kCorrupt);
  EXPECT_EQ(code_after(20, 0.0F), ErrorCode::kCorrupt); // the slot has integers
  EXPECT_EQ(code_after(first_integer, std::int16_t{-32768}), ErrorCode::kCorrupt);
  Bytes longer = bytes;
  longer.push_back(0);
  EXPECT_EQ(parse_step(longer, spec).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(parse_step(bytes, small_spec(3)).error().code, ErrorCode::kCorrupt);
}

} // namespace
} // namespace coppice
