// SPDX-License-Identifier: Apache-2.0
#include "adapters/ring_codec.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

constexpr std::array<std::uint64_t, 4> kWidths = {16, 20, 24, 32};
constexpr std::array<std::uint64_t, 8> kPackedWidths = {5, 8, 11, 12, 16, 20, 24, 32};
using Elements = std::vector<std::uint32_t>;

RingBits ring(std::uint64_t bits) { return RingBits::of_plan(bits).value(); }

// The signed integer that an element stands for, by arithmetic unlike the codec's.
std::int64_t as_integer(std::uint32_t element, RingBits bits) {
  const std::int64_t size = std::int64_t{1} << bits.value;
  return element < static_cast<std::uint64_t>(size / 2) ? element : element - size;
}

TEST(RingBitsTest, OnlyFourWidthsAreOffered) {
  for (std::uint64_t bits = 0; bits < 70; ++bits) {
    const bool offered = bits == 16 || bits == 20 || bits == 24 || bits == 32;
    EXPECT_EQ(RingBits::make(bits).ok(), offered) << bits;
    EXPECT_EQ(RingBits::of_plan(bits).ok(), bits >= 4 && bits <= 32) << bits;
  }
  EXPECT_FALSE(RingBits::make(16 + (std::uint64_t{1} << 32U)).ok());
}

TEST(RingEncodeTest, AnIntegerIsOneOfTheTwoNextToTheScaledValue) {
  const auto values = random_values(5000, 1);
  for (const std::uint64_t bits : kWidths) {
    const RingEncoding encoding{.bound = 1.0, .scale = 100.25, .bits = ring(bits), .weight = 3};
    KeyedRandom random({.experiment = 2});
    const auto elements = ring_encode(values, encoding, random).value();
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double exact = static_cast<double>(values[i]) * 100.25 * 3;
      const auto integer = as_integer(elements[i], encoding.bits);
      EXPECT_GE(static_cast<double>(integer), std::floor(exact));
      EXPECT_LE(static_cast<double>(integer), std::floor(exact) + 1);
    }
  }
}

// Value by value, as it is defined: up with the share of what is above the lower integer.
TEST(RingEncodeTest, EachValueTakesOneWordWhateverItsPlace) {
  const auto values = random_values(3 * 1024 + 5, 3);
  for (const std::uint64_t bits : kWidths) {
    const RingEncoding encoding{.bound = 0.75, .scale = 33.3, .bits = ring(bits), .weight = 2};
    KeyedRandom random({.experiment = 4}), again({.experiment = 4});
    (void)random.next_u32(), (void)again.next_u32(); // a stream that has begun
    std::uint64_t clamped = 0;
    const auto elements = ring_encode(values, encoding, random, &clamped).value();
    std::uint64_t outside = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double exact = std::clamp(double{values[i]}, -0.75, 0.75) * (33.3 * 2);
      const double share = exact - std::floor(exact);
      const bool up = static_cast<double>(again.next_u32()) * 0x1p-32 < share;
      const auto integer = static_cast<std::int64_t>(std::floor(exact)) + (up ? 1 : 0);
      ASSERT_EQ(elements[i], static_cast<std::uint32_t>(integer) & encoding.bits.mask()) << i;
      outside += std::abs(double{values[i]}) > 0.75 ? 1 : 0;
    }
    EXPECT_EQ(clamped, outside);
    EXPECT_EQ(random.next_u32(), again.next_u32());
  }
}

TEST(RingEncodeTest, WholeNumbersAreNeverMoved) {
  const std::vector<float> values = {0, -0.0F, 1, -1, 0.25F, -0.75F, 0.5F};
  KeyedRandom random({});
  for (int repeat = 0; repeat < 100; ++repeat) {
    const auto elements =
        ring_encode(values, {.bound = 1, .scale = 4, .bits = ring(16)}, random).value();
    EXPECT_EQ(elements, (Elements{0, 0, 4, 0xfffc, 1, 0xfffd, 2}));
  }
}

// Mean of n roundings of y, minus y. One rounding lies in an interval of length 1, so by Hoeffding
// (1963) the mean of n is off by more than t with probability at most 2 exp(-2 n t^2): for n =
// 200,000 and t = 0.0084 that is 2e-12.
constexpr std::size_t kDraws = 200'000;
constexpr double kMeanTolerance = 0.0084;

double mean_rounding_error(double y) {
  KeyedRandom random({.experiment = 9, .purpose = RandomPurpose::kStochasticRounding});
  const std::vector<float> values(kDraws, static_cast<float>(y));
  const RingEncoding encoding{.bound = 8, .scale = 1, .bits = ring(16)};
  const auto elements = ring_encode(values, encoding, random).value();
  double sum = 0;
  for (const auto element : elements) sum += static_cast<double>(as_integer(element, ring(16))) - y;
  return sum / static_cast<double>(kDraws);
}

TEST(RingEncodeTest, RoundingIsUnbiasedOnBothSidesOfZero) {
  for (const double y : {0.0625, 0.25, 0.5, 0.9375, 3.125, -0.0625, -0.5, -0.875, -3.125}) {
    EXPECT_LE(std::abs(mean_rounding_error(y)), kMeanTolerance) << y;
    // Rounding to nearest would fail the same test wherever y isn't a half or whole.
    const double nearest_error = std::abs(std::round(y) - y);
    EXPECT_GT(nearest_error, kMeanTolerance) << y;
  }
}

TEST(RingEncodeTest, ValuesOutsideTheBoundAreClampedAndCounted) {
  const std::vector<float> values = {0.5F, 0.75F, -9.0F, 3e38F, -0.5F};
  std::uint64_t clamped = 77;
  KeyedRandom random({});
  const auto elements = ring_encode(
      values, {.bound = 0.5, .scale = 8, .bits = ring(20), .weight = 2}, random, &clamped);
  ASSERT_TRUE(elements.ok());
  EXPECT_EQ(*elements, (Elements{8, 8, 0xffff8, 8, 0xffff8}));
  EXPECT_EQ(clamped, 3U);
}

TEST(RingEncodeTest, NaNAndInfinityAreRefusedWithTheirPlace) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> values(10, 0.0F);
    values[7] = bad;
    KeyedRandom random({});
    const auto encoded = ring_encode(values, {.bound = 1, .scale = 1, .bits = ring(16)}, random);
    ASSERT_FALSE(encoded.ok());
    EXPECT_EQ(encoded.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(encoded.error().message, ::testing::HasSubstr("value 7 "));
  }
}

TEST(RingEncodeTest, AnEncodingThatOneValueCanOverflowIsRefused) {
  KeyedRandom random({});
  const std::vector<float> values = {1.0F};
  const auto code = [&](const RingEncoding& encoding) {
    const auto encoded = ring_encode(values, encoding, random);
    return encoded.ok() ? std::string("fits") : error_code_name(encoded.error().code);
  };
  const std::string refused = error_code_name(ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.bound = 1, .scale = 32767, .bits = ring(16)}), "fits");
  EXPECT_EQ(code({.bound = 1, .scale = 32767.5, .bits = ring(16)}), refused); // may round to 2^15
  EXPECT_EQ(code({.bound = 1, .scale = 32767, .bits = ring(16), .weight = 2}), refused);
  EXPECT_EQ(code({.bound = 1e300, .scale = 1e300, .bits = ring(32)}), refused);
  EXPECT_EQ(code({.bound = 1, .scale = std::nan(""), .bits = ring(16)}), refused);
  EXPECT_EQ(code({.bound = -1, .scale = 1, .bits = ring(16)}), refused);
  EXPECT_EQ(code({.bound = 1, .scale = 0, .bits = ring(16)}), refused);
  EXPECT_EQ(code({.bound = 1, .scale = 1, .bits = ring(16), .weight = 0}), refused);
}

TEST(RingEncodeTest, TheSameKeyGivesTheSameElements) {
  const auto values = random_values(1000, 4);
  const RingEncoding encoding{.bound = 1, .scale = 7.7, .bits = ring(24)};
  const auto encode = [&](std::uint64_t client) {
    KeyedRandom random({.client = client, .purpose = RandomPurpose::kStochasticRounding});
    return ring_encode(values, encoding, random).value();
  };
  EXPECT_EQ(encode(1), encode(1));
  EXPECT_NE(encode(1), encode(2));
}

TEST(RingSumTest, AnyOrderAndPartitionGivesTheSumOfTheIntegersExactly) {
  constexpr std::size_t kClients = 23;
  constexpr std::size_t kValues = 64;
  for (const std::uint64_t width : kWidths) {
    const RingBits bits = ring(width);
    const double scale = largest_safe_scale(bits, kClients, 5, 1.0);
    ASSERT_GT(scale, 1);
    std::vector<Elements> uploads;
    std::vector<std::int64_t> expected(kValues, 0);
    for (std::size_t client = 0; client < kClients; ++client) {
      KeyedRandom random({.client = client});
      const RingEncoding encoding{
          .bound = 1, .scale = scale, .bits = bits, .weight = 1 + client % 5};
      uploads.push_back(ring_encode(random_values(kValues, client), encoding, random).value());
      for (std::size_t i = 0; i < kValues; ++i) expected[i] += as_integer(uploads[client][i], bits);
    }
    KeyedRandom choices({.experiment = width});
    for (int trial = 0; trial < 50; ++trial) {
      std::vector<std::size_t> order(kClients);
      std::iota(order.begin(), order.end(), 0U);
      choices.shuffle(std::span(order));
      const std::size_t groups = 1 + choices.below(kClients);
      std::vector<Elements> partial(groups, Elements(kValues, 0));
      for (const auto client : order)
        ring_add(partial[choices.below(groups)], uploads[client], bits);
      for (std::size_t g = 1; g < groups; ++g) ring_add(partial[0], partial[g], bits);
      const auto decoded = ring_decode(partial[0], bits, scale);
      for (std::size_t i = 0; i < kValues; ++i) {
        ASSERT_EQ(decoded[i], static_cast<double>(expected[i]) / scale);
      }
    }
  }
}

TEST(RingSumTest, DecodingReadsTheResidueAsASignedNumber) {
  for (const std::uint64_t width : kWidths) {
    const RingBits bits = ring(width);
    const std::uint32_t half = std::uint32_t{1} << (width - 1);
    const Elements sum = {0, 1, bits.mask(), half - 1, half};
    const double top = std::ldexp(1.0, static_cast<int>(width) - 1);
    EXPECT_THAT(ring_decode(sum, bits, 0.5),
                ::testing::ElementsAre(0.0, 2.0, -2.0, 2 * (top - 1), -2 * top));
  }
}

// The largest integer that one client with the largest weight can send.
std::int64_t largest_integer(RingBits bits, std::uint64_t weight, double scale) {
  const std::vector<float> values(64, 1.0F);
  KeyedRandom random({});
  const RingEncoding encoding{.bound = 1, .scale = scale, .bits = bits, .weight = weight};
  std::int64_t largest = 0;
  const auto elements = ring_encode(values, encoding, random).value();
  for (const auto element : elements) {
    largest = std::max(largest, as_integer(element, bits));
  }
  return std::max(largest,
                  static_cast<std::int64_t>(std::ceil(scale * static_cast<double>(weight))));
}

TEST(RingHeadroomTest, AtTheLargestSafeScaleNoSumOfSixteenBitsWrapsForAnyNumberOfClients) {
  const RingBits bits = ring(16);
  for (const std::uint64_t weight : {1U, 2U, 3U, 10U}) {
    for (std::uint64_t clients = 1; clients <= 33'000 / weight; ++clients) {
      const double scale = largest_safe_scale(bits, clients, weight, 1.0);
      if (clients * weight >= 32'768) {
        ASSERT_EQ(scale, 0.0) << clients; // not even one unit for each
        continue;
      }
      ASSERT_GT(scale, 0.0) << clients << " clients of weight " << weight;
      const auto most = largest_integer(bits, weight, scale) * static_cast<std::int64_t>(clients);
      ASSERT_LE(most, 32'767) << clients << " clients of weight " << weight;
    }
  }
}

TEST(RingHeadroomTest, TheNextLargerScaleBreaksTheCondition) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const std::uint64_t width : kWidths) {
    const RingBits bits = ring(width);
    for (std::uint64_t clients = 1; clients < 5000; clients += 7) {
      for (const double bound : {1e-6, 0.01, 1.0, 3.7, 1024.0}) {
        const double scale = largest_safe_scale(bits, clients, 4, bound);
        ASSERT_TRUE(ring_cannot_wrap(bits, clients, 4, bound, scale));
        ASSERT_FALSE(ring_cannot_wrap(bits, clients, 4, bound, std::nextafter(scale, infinity)));
      }
    }
  }
}

TEST(RingHeadroomTest, ThePromiseIsWithinOneUnitAClientAndWeightOfTheBestPossible) {
  // With integers up to m a client, n clients wrap as soon as n m >= 2^15. The condition grants
  // each at least the largest m, less one unit of rounding for each of its weight.
  for (std::uint64_t clients = 1; clients <= 4000; ++clients) {
    const double scale = largest_safe_scale(ring(16), clients, 1, 1.0);
    const auto best = static_cast<double>(32'767 / clients);
    ASSERT_GE(scale, best - 1) << clients;
    ASSERT_FALSE(ring_cannot_wrap(ring(16), clients, 1, 1.0, best + 1)) << clients;
  }
}

TEST(RingHeadroomTest, NothingIsPromisedOnSenselessTerms) {
  const RingBits bits = ring(32);
  EXPECT_FALSE(ring_cannot_wrap(bits, 0, 1, 1, 1));
  EXPECT_FALSE(ring_cannot_wrap(bits, 1, 0, 1, 1));
  EXPECT_FALSE(ring_cannot_wrap(bits, 1, 1, -1, 1));
  EXPECT_FALSE(ring_cannot_wrap(bits, 1, 1, 1, std::nan("")));
  EXPECT_FALSE(ring_cannot_wrap(bits, 1, 1, std::numeric_limits<double>::infinity(), 0));
  EXPECT_EQ(largest_safe_scale(bits, ~std::uint64_t{0}, ~std::uint64_t{0}, 1.0), 0.0);
}

TEST(RingPackTest, EverySizeComesBackAndTakesTheStatedBytes) {
  for (const std::uint64_t width : kPackedWidths) {
    const RingBits bits = ring(width);
    KeyedRandom random({.experiment = width});
    for (std::size_t size = 0; size <= 40; ++size) {
      Elements elements(size);
      for (auto& element : elements) element = random.next_u32() & bits.mask();
      Bytes packed = {0xaa}; // what was there stays
      ring_pack(elements, bits, packed);
      EXPECT_EQ(packed[0], 0xaa);
      EXPECT_EQ(packed.size() - 1, (size * width + 7) / 8);
      EXPECT_EQ(packed_size(size, bits), (size * width + 7) / 8);
      const auto unpacked = ring_unpack(ByteSpan(packed).subspan(1), size, bits);
      ASSERT_TRUE(unpacked.ok()) << unpacked.error().message;
      EXPECT_EQ(*unpacked, elements);
    }
  }
}

TEST(RingPackTest, BitKOfTheTextIsBitKModEightOfItsByte) {
  // By definition, bit for bit, on random elements of every width.
  for (const std::uint64_t width : kPackedWidths) {
    const RingBits bits = ring(width);
    KeyedRandom random({.experiment = width});
    Elements elements(1001);
    for (auto& element : elements) element = random.next_u32() & bits.mask();
    Bytes expected((elements.size() * width + 7) / 8, 0);
    for (std::size_t k = 0; k < elements.size() * width; ++k) {
      const std::uint32_t bit = elements[k / width] >> (k % width) & 1U;
      expected[k / 8] = static_cast<std::uint8_t>(expected[k / 8] | bit << (k % 8));
    }
    Bytes packed;
    ring_pack(elements, bits, packed);
    EXPECT_EQ(packed, expected);
    EXPECT_EQ(ring_unpack(packed, elements.size(), bits).value(), elements);
  }
}

TEST(RingPackTest, TheExampleOfTheFormatsPageIsWhatIsWritten) {
  Bytes packed;
  ring_pack(Elements{1, 0xfffff}, ring(20), packed);
  EXPECT_EQ(to_hex(packed), "0100f0ffff");
}

TEST(RingPackTest, EveryNonZeroBitAfterTheLastElementIsRefused) {
  const RingBits bits = ring(20);
  for (std::size_t size = 1; size < 20; size += 2) { // odd sizes of 20 bits leave 4 bits over
    Bytes packed;
    ring_pack(Elements(size, 0xfffff), bits, packed);
    for (std::uint32_t tail = 1; tail < 16; ++tail) {
      Bytes altered = packed;
      altered.back() = static_cast<std::uint8_t>(altered.back() | tail << 4U);
      EXPECT_EQ(ring_unpack(altered, size, bits).error().code, ErrorCode::kCorrupt);
    }
  }
}

TEST(RingPackTest, EveryOtherLengthIsRefusedBeforeMemoryIsTaken) {
  for (const std::uint64_t width : kPackedWidths) {
    const RingBits bits = ring(width);
    const Bytes packed(packed_size(9, bits), 0);
    for (std::size_t elements = 0; elements < 40; ++elements) {
      EXPECT_EQ(ring_unpack(packed, elements, bits).ok(), elements == 9);
    }
    for (const std::size_t claim : {~std::size_t{0}, ~std::size_t{0} / 4, std::size_t{1} << 62U}) {
      EXPECT_EQ(ring_unpack(packed, claim, bits).error().code, ErrorCode::kCorrupt);
    }
  }
}

} // namespace
} // namespace coppice
