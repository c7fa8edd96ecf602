// SPDX-License-Identifier: Apache-2.0
#include "aggregator/client_registry.h"

#include "aggregator/state_store.h"
#include "crypto/hash.h"
#include "tests/aggregator/temporary_folder.h"
#include "tests/protocol/samples.h"

#include <gmock/gmock.h>

namespace coppice {
namespace {

using ::testing::HasSubstr;

class ClientRegistryTest : public ::testing::Test {
 protected:
  static Token token(std::uint8_t fill) { return Token::from_span(Bytes(32, fill)).value(); }
  // A device whose keys follow from `seed`.
  static EnrollRequest request(std::uint8_t seed, std::uint8_t token_fill) {
    return {token(token_fill), samples::key<SigningKey>(seed).public_key(),
            samples::key<CurveSecretKey>(seed).public_key(), samples::hash(0x10)};
  }
  Result<SignedCertificate> enroll(const EnrollRequest& request, Millis now = {10}) {
    return registry_.enroll(request, samples::fleet_key(),
                            {.client = client_id_of(request.verify),
                             .fleet = sha256(samples::fleet_key().public_key().span()),
                             .verify = request.verify,
                             .curve = request.curve,
                             .expires = {0}},
                            now);
  }
  void SetUp() override {
    ASSERT_TRUE(registry_.add_tokens({token(1).hash(), token(2).hash()}, Millis{100}).ok());
  }
  static ClientId id(std::uint8_t seed) {
    return client_id_of(samples::key<SigningKey>(seed).public_key());
  }
  static CurvePublicKey curve(std::uint8_t seed) {
    return samples::key<CurveSecretKey>(seed).public_key();
  }

  TemporaryFolder folder_;
  StateStore store_ = StateStore::open(folder_.path()).value();
  ClientRegistry registry_ = ClientRegistry::open(store_.database()).value();
};

TEST_F(ClientRegistryTest, AGoodTokenEnrolsItsDevice) {
  EXPECT_EQ(registry_.allows(id(20)).error().code, ErrorCode::kUnauthenticated);
  const auto certificate = enroll(request(20, 1));
  ASSERT_TRUE(certificate.ok());
  const auto opened =
      verify_certificate(samples::fleet_key().public_key(), certificate.value(), Millis{10});
  EXPECT_EQ(opened->client, id(20));
  EXPECT_EQ(registry_.allows(id(20)).value(), request(20, 1).verify);
  EXPECT_EQ(registry_.allow_list()->find(curve(20)), id(20));
  EXPECT_EQ(registry_.clients()->size(), 1U);
}

// One sentence for all three: who guesses learns nothing.
TEST_F(ClientRegistryTest, UnknownExpiredAndUsedTokensAreRefusedAlike) {
  ASSERT_TRUE(enroll(request(20, 1)).ok());
  const auto unknown = enroll(request(21, 9));
  const auto expired = enroll(request(21, 2), Millis{101});
  const auto used = enroll(request(21, 1));
  ASSERT_FALSE(unknown.ok() || expired.ok() || used.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::kUnauthenticated);
  EXPECT_EQ(unknown.error().message, expired.error().message);
  EXPECT_EQ(unknown.error().message, used.error().message);
  EXPECT_FALSE(registry_.allow_list()->find(curve(21)));
}

TEST_F(ClientRegistryTest, TheSameKeyAskingAgainGetsTheSameCertificateEvenAfterExpiry) {
  const auto first = enroll(request(20, 1));
  const auto again = enroll(request(20, 1), Millis{5'000});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->bytes, first->bytes);
  EXPECT_EQ(again->signature, first->signature);
  EXPECT_EQ(registry_.clients()->size(), 1U);
}

TEST_F(ClientRegistryTest, KnownKeysDoNotBurnAnotherToken) {
  ASSERT_TRUE(enroll(request(20, 1)).ok());
  const auto second = enroll(request(20, 2));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(second.error().message, HasSubstr("client init"));
  EXPECT_TRUE(enroll(request(22, 2)).ok());
}

TEST_F(ClientRegistryTest, RevokingWorksAtOnceAndForGood) {
  ASSERT_TRUE(enroll(request(20, 1)).ok());
  ASSERT_TRUE(registry_.revoke(id(20), Millis{11}).ok());
  EXPECT_FALSE(registry_.allows(id(20)).ok());
  EXPECT_FALSE(registry_.allow_list()->find(curve(20)));
  EXPECT_FALSE(enroll(request(20, 1)).ok()); // its own used token brings it back no more
  EXPECT_FALSE(enroll(request(20, 2)).ok());
  EXPECT_EQ(registry_.revoke(id(20), Millis{12}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(ClientRegistry::open(store_.database())->size(), 0U);
}

TEST_F(ClientRegistryTest, WhatAnotherProcessRevokedIsSeenAtTheNextRefresh) {
  ASSERT_TRUE(enroll(request(20, 1)).ok());
  StateStore other = StateStore::observe(folder_.path()).value();
  ASSERT_TRUE(ClientRegistry::open(other.database())->revoke(id(20), Millis{11}).ok());
  EXPECT_TRUE(registry_.allows(id(20)).ok());
  ASSERT_TRUE(registry_.refresh().ok());
  EXPECT_FALSE(registry_.allows(id(20)).ok());
  EXPECT_FALSE(registry_.allow_list()->find(curve(20)));
}

TEST_F(ClientRegistryTest, TheFleetIsThereAfterARestart) {
  ASSERT_TRUE(enroll(request(20, 1)).ok());
  ASSERT_TRUE(registry_.seen({id(20)}, Millis{77}).ok());
  const StateStore reopened = StateStore::open(folder_.path()).value();
  ClientRegistry again = ClientRegistry::open(store_.database()).value();
  EXPECT_EQ(again.allow_list()->find(curve(20)), id(20));
  EXPECT_EQ(again.clients()->at(0).last_seen, Millis{77});
}

} // namespace
} // namespace coppice
