// SPDX-License-Identifier: Apache-2.0
#include "crypto/z85.h"

#include <gtest/gtest.h>

#include "tests/crypto/test_keys.h"

namespace coppice {
namespace {

TEST(Z85Test, GivesTheExampleOfTheSpecification) { // ZeroMQ RFC 32, "Test case"
  const Bytes bytes = {0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B};
  EXPECT_EQ(z85_encode(bytes).value(), "HelloWorld");
  EXPECT_EQ(z85_decode("HelloWorld").value(), bytes);
}

TEST(Z85Test, DecodingGivesEncodedBytesBack) {
  for (const std::uint8_t fill : Bytes{0x00, 0x55, 0xff}) {
    const Bytes bytes(64, fill);
    EXPECT_EQ(z85_decode(z85_encode(bytes).value()).value(), bytes);
  }
  EXPECT_EQ(z85_encode({}).value(), "");
  const CurvePublicKey key = CurveSecretKey::generate().public_key();
  EXPECT_EQ(to_z85(key).size(), 40U);
  EXPECT_EQ(curve_key_from_z85(to_z85(key)).value(), key);
}

TEST(Z85Test, AnythingElseIsRefused) {
  // A length that is no multiple of 5, a character outside the 85, five digits for 2^32 and above
  // ("%nSc0" is 2^32 - 1).
  ASSERT_EQ(z85_decode("%nSc0").value(), Bytes(4, 0xff));
  for (const auto* const text : {"Hell", "HelloWorl", "Hel\"o", "Hel o", "%nSc1", "#####"}) {
    const auto refused = z85_decode(text);
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(z85_encode(Bytes(3)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(curve_key_from_z85("HelloWorld").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(curve_key_from_z85(std::string(39, '0')).error().code, ErrorCode::kInvalidArgument);
}

} // namespace
} // namespace coppice
