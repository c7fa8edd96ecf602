// SPDX-License-Identifier: Apache-2.0
#include "crypto/keys.h"

#include <gmock/gmock.h>

#include <type_traits>

#include "crypto/hash.h"
#include "crypto/key_agreement.h"
#include "crypto/primitives.h"
#include "crypto/token.h"
#include "tests/crypto/test_keys.h"

namespace coppice {
namespace {

using ::coppice::testing::array_of_hex;
using ::coppice::testing::counting_secret;
using ::coppice::testing::secret_of_hex;

template <typename A, typename B>
constexpr bool kApart = !std::is_convertible_v<A, B> && !std::is_convertible_v<B, A> &&
                        !std::is_constructible_v<A, const B&> && !std::is_assignable_v<A&, B>;
static_assert(kApart<VerifyKey, FleetVerifyKey> && kApart<SealPublicKey, CurvePublicKey>);
static_assert(kApart<SealPublicKey, AgreementPublicKey> && kApart<VerifyKey, Sha256>);
static_assert(kApart<SealKey, CurveSecretKey> && kApart<SealKey, AgreementKey>);
static_assert(kApart<SigningKey, FleetSigningKey> && kApart<TokenHash, Sha256>);

TEST(KeysTest, Ed25519PublicKeysAreThoseOfRfc8032) { // section 7.1, test 1
  const auto seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
  const auto expected = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
  EXPECT_EQ(SigningKey::from_secret(secret_of_hex(seed)).public_key().hex(), expected);
  EXPECT_EQ(FleetSigningKey::from_secret(secret_of_hex(seed)).public_key().hex(), expected);
}

TEST(KeysTest, X25519IsThatOfRfc7748) { // section 6.1, Bob's side
  const Secret<32> bob =
      secret_of_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  EXPECT_EQ(CurveSecretKey::from_secret(Secret<32>::copy_of(bob.span())).public_key().hex(),
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const auto alice_public =
      array_of_hex<32>("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  EXPECT_EQ(to_hex(primitives::x25519(bob, alice_public).value().span()),
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

TEST(KeysTest, GeneratedKeysDiffer) {
  EXPECT_NE(SigningKey::generate().public_key(), SigningKey::generate().public_key());
  EXPECT_NE(SealKey::generate().public_key(), SealKey::generate().public_key());
}

TEST(KeysTest, ADeviceIsNamedByItsSigningKey) {
  const SigningKey key = SigningKey::from_secret(counting_secret(0));
  // Ed25519 and SHA-256 of Python's cryptography and hashlib.
  EXPECT_EQ(key.public_key().hex(),
            "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
  EXPECT_EQ(client_id_of(key.public_key()).hex(), "56475aa75463474c0285df5dbf2bcab7");
}

TEST(KeyAgreementTest, BothEndsGetTheSameSecret) {
  const AgreementKey alice = AgreementKey::from_secret(counting_secret(0));
  const AgreementKey bob = AgreementKey::from_secret(counting_secret(32));
  const auto mine = agree(alice, bob.public_key(), as_bytes("plan hash"));
  const auto theirs = agree(bob, alice.public_key(), as_bytes("plan hash"));
  ASSERT_TRUE(mine.ok());
  EXPECT_EQ(*mine, theirs.value());
  // From Python's cryptography (X25519) and hashlib (BLAKE2b), by the layout in the header.
  EXPECT_EQ(to_hex(mine->span()),
            "1a26670f6bd9c4a48a803404ec17671998b86149ec5affea7a82d061c3c35684");
}

TEST(KeyAgreementTest, AnotherContextOrPeerGivesAnotherSecret) {
  const AgreementKey alice = AgreementKey::generate();
  const AgreementKey bob = AgreementKey::generate();
  const AgreementKey carol = AgreementKey::generate();
  const auto with_bob = agree(alice, bob.public_key(), as_bytes("plan 1")).value();
  EXPECT_FALSE(with_bob == agree(alice, bob.public_key(), as_bytes("plan 2")).value());
  EXPECT_FALSE(with_bob == agree(alice, carol.public_key(), as_bytes("plan 1")).value());
}

TEST(KeyAgreementTest, KeysThatNobodyGeneratesAreRefused) {
  const AgreementKey alice = AgreementKey::generate();
  // Points of order 1, 2, 4 and 8 (two of them): the shared secret would be all zeros.
  for (const auto* const hex :
       {"0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"}) {
    const auto refused = agree(alice, AgreementPublicKey{array_of_hex<32>(hex)}, {});
    ASSERT_FALSE(refused.ok()) << hex;
    EXPECT_EQ(refused.error().code, ErrorCode::kUnauthenticated);
  }
  EXPECT_EQ(agree(alice, alice.public_key(), {}).error().code, ErrorCode::kInvalidArgument);
}

TEST(TokenTest, IsStoredAsAHashThatTheTokenGivesAgain) {
  const Token token = Token::generate();
  const Token carried = Token::from_span(token.span()).value();
  EXPECT_EQ(carried.hash(), token.hash());
  EXPECT_NE(Token::generate().hash(), token.hash());
  EXPECT_NE(to_hex(token.span()), token.hash().hex());
  // Computed with Python's hashlib.blake2b.
  EXPECT_EQ(Token::from_span(counting_secret(0).span()).value().hash().hex(),
            "336f56d4dc373346cefc33b32d6762621b319f262d80d3b03df5e038e3bb7906");
}

TEST(TokenTest, AnotherLengthIsNoToken) {
  EXPECT_EQ(Token::from_span(Bytes(31)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(Token::from_span(Bytes(33)).error().code, ErrorCode::kInvalidArgument);
}

TEST(KeysTest, AnAgreementKeyOfAKnownPairIsTheOneMadeFromItsSecret) {
  const AgreementKey made = AgreementKey::from_secret(counting_secret(0));
  const AgreementKey bob = AgreementKey::from_secret(counting_secret(32));
  const auto paired = AgreementKey::from_pair(counting_secret(0), made.public_key());
  EXPECT_EQ(paired.public_key(), made.public_key());
  EXPECT_EQ(agree(paired, bob.public_key(), {}).value(), agree(made, bob.public_key(), {}).value());
}

} // namespace
} // namespace coppice
