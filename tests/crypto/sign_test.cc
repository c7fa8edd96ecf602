// SPDX-License-Identifier: Apache-2.0
#include "crypto/sign.h"

#include <gmock/gmock.h>

#include "crypto/primitives.h"
#include "tests/crypto/test_keys.h"

namespace coppice {
namespace {

using ::coppice::testing::array_of_hex;
using ::coppice::testing::counting_secret;
using ::coppice::testing::secret_of_hex;

void expect_refused(const Result<void>& outcome) {
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::kUnauthenticated);
}

TEST(Ed25519Test, GivesTheSignaturesOfRfc8032) { // section 7.1, tests 1 and 2
  struct Case {
    std::string_view seed, public_key, message, signature;
  };
  for (const Case& test :
       {Case{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
             "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
             "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3"
             "9701"
             "cf9b46bd25bf5f0595bbe24655141438e7a100b"},
        Case{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
             "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
             "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3"
             "613d"
             "0f11d8c387b2eaeb4302aeeb00d291612bb0c00"}}) {
    const auto public_key = array_of_hex<32>(test.public_key);
    const Bytes message = from_hex(test.message).value();
    const auto signature = primitives::ed25519_sign(secret_of_hex(test.seed), public_key, message);
    EXPECT_EQ(to_hex(signature), test.signature);
    EXPECT_TRUE(primitives::ed25519_verify(public_key, message, signature));
  }
}

TEST(SignTest, SignsTheDomainWithTheMessage) {
  // Ed25519 of Python's cryptography over the bytes that domain.h states.
  const SigningKey key = SigningKey::from_secret(counting_secret(0));
  EXPECT_EQ(
      sign(key, Domain::kPlan, as_bytes("a plan")).hex(),
      "5bdc6a6f5ba91ff68e170e25307f59eec7253b4bbf6c891872b6292e41ec23342968efb1f2a540d897d7241dc67"
      "4c8c4c043cc47e5db54269bf9007d1125c40e");
}

TEST(SignTest, ASignatureHoldsInItsOwnDomainOnly) {
  const SigningKey key = SigningKey::generate();
  const FleetSigningKey fleet = FleetSigningKey::generate();
  for (const DomainLabel& made : kDomainLabels) {
    const Signature signature = sign(key, made.domain, as_bytes("message"));
    const Signature by_fleet = sign(fleet, made.domain, as_bytes("message"));
    for (const DomainLabel& asked : kDomainLabels) {
      const bool same = made.domain == asked.domain;
      EXPECT_EQ(verify(key.public_key(), asked.domain, as_bytes("message"), signature).ok(), same);
      EXPECT_EQ(verify(fleet.public_key(), asked.domain, as_bytes("message"), by_fleet).ok(), same);
    }
  }
}

TEST(SignTest, AnyChangedBitIsRefused) {
  const SigningKey key = SigningKey::generate();
  Bytes message(40, 0x5a);
  Signature signature = sign(key, Domain::kEnvelope, message);
  ASSERT_TRUE(verify(key.public_key(), Domain::kEnvelope, message, signature).ok());
  for (std::size_t bit = 0; bit < signature.bytes.size() * 8; ++bit) {
    const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
    signature.bytes[bit / 8] ^= mask;
    expect_refused(verify(key.public_key(), Domain::kEnvelope, message, signature));
    signature.bytes[bit / 8] ^= mask;
  }
  for (std::uint8_t& byte : message) {
    byte ^= 1U;
    expect_refused(verify(key.public_key(), Domain::kEnvelope, message, signature));
    byte ^= 1U;
  }
  expect_refused(
      verify(key.public_key(), Domain::kEnvelope, ByteSpan(message).first(39), signature));
}

TEST(SignTest, AnotherKeyIsRefusedAndNamed) {
  const FleetSigningKey mine = FleetSigningKey::generate();
  const FleetSigningKey other = FleetSigningKey::generate();
  const Signature signature = sign(other, Domain::kKeySet, as_bytes("keys"));
  const auto outcome = verify(mine.public_key(), Domain::kKeySet, as_bytes("keys"), signature);
  expect_refused(outcome);
  EXPECT_THAT(outcome.error().message,
              ::testing::AllOf(::testing::HasSubstr("fleet key"),
                               ::testing::HasSubstr(mine.public_key().hex().substr(0, 16)),
                               ::testing::HasSubstr("key-set")));
}

TEST(SignTest, AKeyOfSmallOrderVerifiesNothing) {
  // With the neutral element as key, S = 0 and R = neutral would satisfy the bare equation.
  VerifyKey neutral;
  neutral.bytes[0] = 1;
  Signature forged;
  forged.bytes[0] = 1;
  expect_refused(verify(neutral, Domain::kPlan, as_bytes("anything"), forged));
}

} // namespace
} // namespace coppice
