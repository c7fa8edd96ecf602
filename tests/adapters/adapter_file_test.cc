// SPDX-License-Identifier: Apache-2.0
#include "adapters/adapter_file.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <limits>

#include "tests/adapters/test_adapters.h"

namespace coppice {
namespace {

constexpr std::size_t kHead = 4 + 4 + 4; // magic, version, size of the spec

TEST(AdapterFileTest, EveryBitOfEveryValueComesBack) {
  Adapter adapter = random_adapter(small_spec(), 3);
  adapter.a(0)[0] = -0.0F;
  adapter.a(0)[1] = std::numeric_limits<float>::denorm_min();
  adapter.b(0)[0] = std::numeric_limits<float>::max();
  const Bytes bytes = serialize_adapter(adapter);
  const auto parsed = parse_adapter(bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->spec(), adapter.spec());
  EXPECT_TRUE(same_bits(parsed->values(), adapter.values()));
  EXPECT_EQ(serialize_adapter(*parsed), bytes);
}

TEST(AdapterFileTest, TheExampleOfTheFormatsPageIsWhatIsWritten) {
  const AdapterSpec spec{.architecture = "llama",
                         .targets = {{.tensor = "x", .in = 2, .out = 3, .rank = 1, .alpha = 2}}};
  Adapter adapter(share(spec));
  adapter.a(0)[0] = 0.5F;
  adapter.a(0)[1] = -1.0F;
  EXPECT_EQ(to_hex(serialize_adapter(adapter)),
            "43504144"
            "01000000"
            "29000000" // CPAD, version 1, 41 bytes of spec
            "0100"
            "00"
            "05000000"
            "6c6c616d61"
            "01000000" // version, standard, llama, 1 target
            "01000000"
            "78"
            "02000000"
            "03000000"
            "01000000" // x: 2 in, 3 out, rank 1,
            "00000040"
            "00000000" // alpha 2, no heads
            "01"
            "0000003f"
            "000080bf" // A: 0.5, -1
            "00");     // B: zeros
}

TEST(AdapterFileTest, ASlotOfZerosTakesOneByteAndASlotOfMinusZerosDoesNot) {
  Adapter adapter = Adapter::initial(share(small_spec()), 3);
  std::size_t a_bytes = 0;
  for (std::size_t t = 0; t < adapter.targets(); ++t) a_bytes += 1 + adapter.a(t).size_bytes();
  const std::size_t fresh = kHead + adapter.spec().encode().size() + a_bytes + adapter.targets();
  EXPECT_EQ(serialize_adapter(adapter).size(), fresh);
  std::ranges::fill(adapter.b(0), -0.0F);
  const Bytes bytes = serialize_adapter(adapter);
  EXPECT_EQ(bytes.size(), fresh + adapter.b(0).size_bytes());
  EXPECT_TRUE(same_bits(parse_adapter(bytes).value().values(), adapter.values()));
}

TEST(AdapterFileTest, EveryTruncationAndATrailingByteAreRefused) {
  Bytes bytes = serialize_adapter(random_adapter(small_spec(), 3));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(parse_adapter(ByteSpan(bytes).first(size)).ok()) << size;
  }
  bytes.push_back(0);
  EXPECT_EQ(parse_adapter(bytes).error().code, ErrorCode::kCorrupt);
}

TEST(AdapterFileTest, OtherMagicIsCorruptAndOtherVersionsAreUnsupported) {
  Bytes bytes = serialize_adapter(random_adapter(small_spec(), 3));
  Bytes other = bytes;
  other[0] ^= 1U;
  EXPECT_EQ(parse_adapter(other).error().code, ErrorCode::kCorrupt);
  bytes[4] = 2;
  EXPECT_EQ(parse_adapter(bytes).error().code, ErrorCode::kUnsupported);
}

TEST(AdapterFileTest, AnAdapterHasOneText) {
  const Adapter adapter = Adapter::initial(share(small_spec()), 3);
  Bytes bytes = serialize_adapter(adapter);
  const std::size_t first_b =
      kHead + adapter.spec().encode().size() + 1 + adapter.a(0).size_bytes();
  ASSERT_EQ(bytes[first_b], 0);
  bytes[first_b] = 2;
  EXPECT_EQ(parse_adapter(bytes).error().code, ErrorCode::kCorrupt);
  bytes[first_b] = 1; // the same zeros, written out
  const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(first_b) + 1;
  bytes.insert(at, adapter.b(0).size_bytes(), 0);
  EXPECT_THAT(parse_adapter(bytes).error().message, ::testing::HasSubstr("zeros"));
}

TEST(AdapterFileTest, NaNAndInfinityAreNeitherWrittenNorRead) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    Adapter adapter = random_adapter(small_spec(), 3);
    adapter.b(2)[1] = bad;
    EXPECT_EQ(parse_adapter(serialize_adapter(adapter)).error().code, ErrorCode::kCorrupt);
    const TempFolder folder;
    const fs::path path = folder.path() / "adapter";
    EXPECT_EQ(write_adapter_file(path, adapter).error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(fs::exists(path));
  }
}

TEST(AdapterFileTest, FewBytesThatClaimAHugeAdapterAreRefusedBeforeMemoryIsTaken) {
  // 2^28 parameters, all zero: a valid spec, and two bytes of slots.
  const AdapterSpec spec{
      .architecture = "llama",
      .targets = {{.tensor = "x", .in = 1U << 27U, .out = 1U << 27U, .rank = 1, .alpha = 1}}};
  ByteWriter writer;
  const Bytes encoded = spec.encode();
  writer.put(std::uint32_t{0x44415043});
  writer.put(std::uint32_t{1});
  writer.put(static_cast<std::uint32_t>(encoded.size()));
  writer.put_raw(encoded);
  writer.put(std::uint16_t{0});
  EXPECT_EQ(parse_adapter(writer.bytes(), 1U << 20U).error().code, ErrorCode::kTooLarge);
  // Values that are said to be there, and aren't, take no memory under any limit.
  Bytes full = writer.bytes();
  full[full.size() - 2] = 1;
  EXPECT_EQ(parse_adapter(full).error().code, ErrorCode::kCorrupt);
}

TEST(AdapterFileTest, AFileIsReadBackAndErrorsNameIt) {
  const TempFolder folder;
  const fs::path path = folder.path() / "adapter.cpad";
  const Adapter adapter = random_adapter(small_spec(), 3);
  ASSERT_TRUE(write_adapter_file(path, adapter).ok());
  const auto read = read_adapter_file(path);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_TRUE(same_bits(read->values(), adapter.values()));
  fs::resize_file(path, fs::file_size(path) - 1);
  EXPECT_THAT(read_adapter_file(path).error().message, ::testing::HasSubstr("adapter.cpad"));
  EXPECT_EQ(read_adapter_file(folder.path() / "none").error().code, ErrorCode::kNotFound);
}

} // namespace
} // namespace coppice
