// SPDX-License-Identifier: Apache-2.0
#include "crypto/seal.h"

#include <gtest/gtest.h>

#include "tests/crypto/test_keys.h"

namespace coppice {
namespace {

using ::coppice::testing::counting_secret;

constexpr Domain kDomain = Domain::kEnvelopeBody;
const ByteSpan kPlanHash = as_bytes("plan hash");
constexpr std::string_view kSealedText = "what leaves the device";

// Made by the layout in the header with Python's cryptography (X25519, ChaCha20-Poly1305), hashlib
// (BLAKE2b) and a Python HChaCha20 that was checked against the draft's example. Recipient's
// secret: 0, 1, ..., 31; ephemeral secret: 32, ..., 63.
constexpr std::string_view kSealedElsewhere =
    "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd1662541ef576bbd4ecca22becf4fe8f89a47"
    "24"
    "806cb0298cf0faec69fbf0e9db0cba522dd920575bea";

ErrorCode open_error(const SealKey& key, Domain domain, ByteSpan data, ByteSpan sealed) {
  const auto opened = open(key, domain, data, sealed);
  return opened.ok() ? ErrorCode::kInternal : opened.error().code;
}

TEST(SealTest, OpensWhatAnotherImplementationSealed) {
  const SealKey key = SealKey::from_secret(counting_secret(0));
  const Bytes sealed = from_hex(kSealedElsewhere).value();
  ASSERT_EQ(sealed.size(), kSealedText.size() + kSealOverhead);
  const auto opened = open(key, kDomain, kPlanHash, sealed);
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(as_text(*opened), kSealedText);
}

TEST(SealTest, GivesBackWhatWasSealedWhateverItsSize) {
  const SealKey key = SealKey::generate();
  for (const std::size_t size : {0U, 1U, 63U, 64U, 65U, 300000U}) {
    const Bytes text(size, 0x77);
    const auto sealed = seal(key.public_key(), kDomain, kPlanHash, text);
    ASSERT_TRUE(sealed.ok());
    EXPECT_EQ(sealed->size(), size + kSealOverhead);
    EXPECT_EQ(open(key, kDomain, kPlanHash, *sealed).value(), text);
  }
}

TEST(SealTest, TheSameTextNeverSealsToTheSameBytes) {
  const SealKey key = SealKey::generate();
  const Bytes first = seal(key.public_key(), kDomain, kPlanHash, as_bytes(kSealedText)).value();
  const Bytes second = seal(key.public_key(), kDomain, kPlanHash, as_bytes(kSealedText)).value();
  std::size_t equal = 0;
  for (std::size_t i = 0; i < first.size(); ++i) equal += first[i] == second[i] ? 1 : 0;
  EXPECT_LT(equal, 20U); // of 70 random pairs, 0.3 are equal on average; 20: below 1e-30
}

TEST(SealTest, EveryChangedByteIsRefused) {
  const SealKey key = SealKey::generate();
  Bytes sealed = seal(key.public_key(), kDomain, kPlanHash, as_bytes(kSealedText)).value();
  for (std::size_t at = 0; at < sealed.size(); ++at) {
    for (const std::uint8_t mask :
         Bytes{0x01, 0x80}) { // X25519 alone would ignore bit 7 of byte 31
      sealed[at] ^= mask;
      EXPECT_EQ(open_error(key, kDomain, kPlanHash, sealed), ErrorCode::kUnauthenticated) << at;
      sealed[at] ^= mask;
    }
  }
  EXPECT_TRUE(open(key, kDomain, kPlanHash, sealed).ok());
}

TEST(SealTest, CutOrLengthenedBytesAreRefused) {
  const SealKey key = SealKey::generate();
  Bytes sealed = seal(key.public_key(), kDomain, kPlanHash, as_bytes(kSealedText)).value();
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_EQ(open_error(key, kDomain, kPlanHash, ByteSpan(sealed).first(size)),
              size < kSealOverhead ? ErrorCode::kCorrupt : ErrorCode::kUnauthenticated)
        << size;
  }
  sealed.push_back(0);
  EXPECT_EQ(open_error(key, kDomain, kPlanHash, sealed), ErrorCode::kUnauthenticated);
}

TEST(SealTest, AnotherKeyDomainOrPlanDoesNotOpenIt) {
  const SealKey key = SealKey::generate();
  const Bytes sealed = seal(key.public_key(), kDomain, kPlanHash, as_bytes(kSealedText)).value();
  EXPECT_EQ(open_error(SealKey::generate(), kDomain, kPlanHash, sealed),
            ErrorCode::kUnauthenticated);
  EXPECT_EQ(open_error(key, Domain::kEnrolmentBody, kPlanHash, sealed),
            ErrorCode::kUnauthenticated);
  EXPECT_EQ(open_error(key, kDomain, as_bytes("another plan"), sealed),
            ErrorCode::kUnauthenticated);
  EXPECT_EQ(open_error(key, kDomain, {}, sealed), ErrorCode::kUnauthenticated);
}

TEST(SealTest, AnAllZeroSharedSecretIsRefusedOnBothSides) {
  const SealPublicKey zero; // a point of small order: every secret gives zeros
  EXPECT_EQ(seal(zero, kDomain, {}, as_bytes(kSealedText)).error().code,
            ErrorCode::kUnauthenticated);
  EXPECT_EQ(open_error(SealKey::generate(), kDomain, {}, Bytes(100)), ErrorCode::kUnauthenticated);
}

} // namespace
} // namespace coppice
