// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <gmock/gmock.h>

#include "base/ids.h"

namespace coppice {
namespace {

TEST(Bytes, HexAndBase64GoBothWays) {
  const Bytes bytes{0x00, 0x01, 0xfe, 0xff, 0x7f};
  EXPECT_EQ(to_hex(bytes), "0001feff7f");
  EXPECT_EQ(from_hex("0001FEff7f").value(), bytes);
  for (std::size_t length = 0; length <= bytes.size(); ++length) {
    const Bytes part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_EQ(from_base64(to_base64(part)).value(), part);
  }
  EXPECT_EQ(to_base64(as_bytes("Man")), "TWFu"); // RFC 4648
}

TEST(Bytes, BrokenTextIsRefused) {
  EXPECT_FALSE(from_hex("abc").ok());
  EXPECT_FALSE(from_hex("zz").ok());
  EXPECT_FALSE(from_base64("A").ok());
  EXPECT_FALSE(from_base64("AB").ok()); // stray bits: two texts must not mean the same bytes
  EXPECT_FALSE(from_base64("A=").ok());
}

TEST(ByteReader, ReadsWhatTheWriterWrote) {
  ByteWriter writer;
  writer.put(std::uint16_t{7});
  writer.put(1.5F);
  writer.put_text("oak");
  const Bytes bytes = std::move(writer).take();
  ByteReader reader(bytes);
  EXPECT_EQ(reader.take<std::uint16_t>("a").value(), 7);
  EXPECT_EQ(reader.take<float>("b").value(), 1.5F);
  EXPECT_EQ(reader.take_text(3, "c").value(), "oak");
  EXPECT_TRUE(reader.expect_end("message").ok());
}

TEST(ByteReader, NeverReadsPastTheEnd) {
  const Bytes bytes{0xff, 0xff, 0xff, 0xff, 'x'};
  ByteReader reader(bytes);
  EXPECT_EQ(reader.take<std::uint64_t>("number").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(reader.take_text(1U << 20U, "name").error().code, ErrorCode::kTooLarge);
  ByteReader again(bytes);
  EXPECT_EQ(again.take_text(0xffffffffU, "name").error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(ByteReader(bytes).expect_end("message").ok());
}

TEST(StrongTypes, CompareAndPrint) {
  EXPECT_LT(RoundId{1}, RoundId{1}.next());
  const auto id = ClientId::parse_hex("000102030405060708090a0b0c0d0e0f", "client id").value();
  EXPECT_EQ(id.hex(), "000102030405060708090a0b0c0d0e0f");
  EXPECT_FALSE(ClientId::parse_hex("00", "client id").ok());
  static_assert(!std::is_convertible_v<RoundId, AdapterVersion>);
}

} // namespace
} // namespace coppice
