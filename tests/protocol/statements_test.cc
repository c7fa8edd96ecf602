// SPDX-License-Identifier: Apache-2.0
// Key sets, certificates, releases, invites and enrolment: who vouches for what.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

constexpr Millis kNow{1'000'000}; // before every expiry of the samples

ErrorCode code_of(const auto& result) {
  return result ? ErrorCode::kInternal : result.error().code;
}

TEST(KeySet, TheFleetKeysSignatureMakesItTrusted) {
  const SignedKeySet keys = sign_key_set(samples::fleet_key(), samples::key_set());
  const FleetVerifyKey fleet = samples::fleet_key().public_key();
  const auto opened = verify_key_set(fleet, keys, {3}, kNow);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->number, KeySetNumber{3});
  EXPECT_EQ(opened->curve, samples::server_curve().public_key());
  EXPECT_EQ(opened->verify, samples::aggregator_key().public_key());
  EXPECT_EQ(opened->seal, samples::seal_key().public_key());
}

TEST(KeySet, AnOlderOneAnExpiredOneAndAnotherFleetsAreRefused) {
  const SignedKeySet keys = sign_key_set(samples::fleet_key(), samples::key_set());
  const FleetVerifyKey fleet = samples::fleet_key().public_key();
  const auto older = verify_key_set(fleet, keys, {4}, kNow);
  EXPECT_EQ(code_of(older), ErrorCode::kUnauthenticated);
  EXPECT_THAT(older.error().message, HasSubstr("older key set"));
  EXPECT_EQ(code_of(verify_key_set(fleet, keys, {3}, {2'000'000})), ErrorCode::kUnauthenticated);
  EXPECT_EQ(code_of(verify_key_set(FleetSigningKey::generate().public_key(), keys, {3}, kNow)),
            ErrorCode::kUnauthenticated);
  KeySet foreign = samples::key_set();
  foreign.fleet = samples::hash(1);
  EXPECT_EQ(code_of(verify_key_set(fleet, sign_key_set(samples::fleet_key(), foreign), {3}, kNow)),
            ErrorCode::kUnauthenticated);
}

TEST(KeySet, WithoutAnExpiryItNeverExpires) {
  KeySet keys = samples::key_set();
  keys.expires = {0};
  EXPECT_TRUE(verify_key_set(samples::fleet_key().public_key(),
                             sign_key_set(samples::fleet_key(), keys), {3}, {1LL << 50}));
}

TEST(KeySet, AnyByteChangedIsRefused) {
  const SignedKeySet keys = sign_key_set(samples::fleet_key(), samples::key_set());
  for (std::size_t i = 0; i < keys.bytes.size(); ++i) {
    SignedKeySet changed = keys;
    changed.bytes[i] ^= 1;
    EXPECT_FALSE(verify_key_set(samples::fleet_key().public_key(), changed, {0}, kNow)) << i;
  }
}

TEST(Certificate, ItBindsAClientsIdToItsKeys) {
  const FleetVerifyKey fleet = samples::fleet_key().public_key();
  const auto opened = verify_certificate(
      fleet, sign_certificate(samples::fleet_key(), samples::certificate()), kNow);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->client, samples::device_id());
  Certificate lying = samples::certificate();
  lying.client = ClientId{};
  EXPECT_EQ(code_of(verify_certificate(fleet, sign_certificate(samples::fleet_key(), lying), kNow)),
            ErrorCode::kUnauthenticated);
  EXPECT_EQ(
      code_of(verify_certificate(
          fleet, sign_certificate(samples::fleet_key(), samples::certificate()), {3'000'000})),
      ErrorCode::kUnauthenticated);
}

TEST(Certificate, AKeySetsSignatureDoesntMakeOne) {
  const SignedKeySet keys = sign_key_set(samples::fleet_key(), samples::key_set());
  const SignedCertificate posing{keys.bytes, keys.signature};
  EXPECT_EQ(code_of(verify_certificate(samples::fleet_key().public_key(), posing, kNow)),
            ErrorCode::kUnauthenticated);
}

TEST(Release, EveryFieldSurvivesAndNoByteMayChange) {
  const SigningKey key = samples::aggregator_key();
  const SignedRelease release = sign_release(key, samples::release());
  const auto opened = verify_release(key.public_key(), release);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(sign_release(key, *opened).bytes, release.bytes);
  EXPECT_EQ(opened->reason, ReleaseReason::kRevert);
  EXPECT_EQ(opened->reverted_to, AdapterVersion{12});
  EXPECT_TRUE(opened->test);
  for (std::size_t i = 0; i < release.bytes.size(); ++i) {
    SignedRelease changed = release;
    changed.bytes[i] ^= 1;
    EXPECT_EQ(code_of(verify_release(key.public_key(), changed)), ErrorCode::kUnauthenticated);
  }
  EXPECT_EQ(code_of(verify_release(samples::device_key().public_key(), release)),
            ErrorCode::kUnauthenticated);
}

// What format 2 adds makes it that; without, a program that knows format 1 alone reads it.
TEST(Release, ARevertBeforeItAndAControlTravelInFormatTwoAndOnlyThen) {
  const SigningKey key = samples::aggregator_key();
  const Release plain = samples::release();
  const SignedRelease old = sign_release(key, plain);
  EXPECT_EQ(old.bytes[0], 1);
  Release release = plain;
  release.last_revert = {13};
  EXPECT_EQ(sign_release(key, release).bytes[0], 2);
  EXPECT_EQ(verify_release(key.public_key(), sign_release(key, release))->last_revert,
            AdapterVersion{13});
  release.last_revert = {};
  release.control_hash = samples::hash(77);
  release.control_bytes = 1234;
  SignedRelease with = sign_release(key, release);
  EXPECT_EQ(with.bytes[0], 2);
  EXPECT_EQ(with.bytes.size(), old.bytes.size() + 8 + Sha256::kSize + 8);
  const auto opened = verify_release(key.public_key(), with);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->control_hash, release.control_hash);
  EXPECT_EQ(opened->control_bytes, 1234U);
  release.control_bytes = limits::kReleaseBytes + 1;
  EXPECT_EQ(code_of(verify_release(key.public_key(), sign_release(key, release))),
            ErrorCode::kTooLarge);
  const auto signed_again = [&](SignedRelease changed) {
    changed.signature = sign(key, Domain::kRelease, changed.bytes);
    return code_of(verify_release(key.public_key(), changed));
  };
  with.bytes[0] = 3;
  EXPECT_EQ(signed_again(with), ErrorCode::kUnsupported);
  with.bytes[0] = 2;
  std::fill(with.bytes.end() - 8, with.bytes.end(), std::uint8_t{0}); // a hash of nothing
  EXPECT_EQ(signed_again(with), ErrorCode::kCorrupt);
  std::fill(with.bytes.end() - 40, with.bytes.end(), std::uint8_t{0}); // format 1 says that
  EXPECT_EQ(signed_again(with), ErrorCode::kCorrupt);
}

TEST(Release, ContentOverTheLimitAndANegativeBudgetAreRefusedThoughSigned) {
  const SigningKey key = samples::aggregator_key();
  Release huge = samples::release();
  huge.step_bytes = limits::kReleaseBytes + 1;
  EXPECT_EQ(code_of(verify_release(key.public_key(), sign_release(key, huge))),
            ErrorCode::kTooLarge);
  Release odd = samples::release();
  odd.cumulative_epsilon = -1;
  EXPECT_EQ(code_of(verify_release(key.public_key(), sign_release(key, odd))), ErrorCode::kCorrupt);
}

TEST(Invite, ItIsOneLineThatComesBackWhole) {
  const std::string text = encode_invite(samples::invite());
  EXPECT_THAT(text, ::testing::StartsWith("coppice1-"));
  EXPECT_THAT(text, ::testing::MatchesRegex("[A-Za-z0-9_-]+"));
  const auto read = decode_invite(text + "\n");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(encode_invite(*read), text);
  EXPECT_EQ(read->control_endpoint, "tcp://127.0.0.1:7001");
  EXPECT_EQ(read->base_bytes, 2'513'472U);
}

TEST(Invite, AnyCharacterChangedCutOrAddedIsRefused) {
  const std::string text = encode_invite(samples::invite());
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(decode_invite(changed)) << i;
    EXPECT_FALSE(decode_invite(text.substr(0, i))) << i;
  }
  EXPECT_FALSE(decode_invite(text + "A"));
  EXPECT_EQ(code_of(decode_invite(std::string(100'000, 'A'))), ErrorCode::kTooLarge);
  EXPECT_EQ(code_of(decode_invite("hello")), ErrorCode::kInvalidArgument);
}

TEST(Invite, WithAKeySetThatTheFleetDidntSignItIsRefused) {
  Invite invite = samples::invite();
  invite.keys = sign_key_set(FleetSigningKey::generate(), samples::key_set());
  EXPECT_EQ(code_of(decode_invite(encode_invite(invite))), ErrorCode::kUnauthenticated);
}

TEST(EnrollRequest, ItIsOfFixedSizeAndSignedByTheKeyItRegisters) {
  const Bytes bytes = encode_enroll_request(samples::enroll_request(), samples::device_key());
  EXPECT_EQ(bytes.size(), kEnrollRequestBytes);
  const auto token = peek_enroll_token(bytes);
  ASSERT_TRUE(token);
  EXPECT_EQ(token->hash(), samples::enroll_request().token.hash());
  const auto read = decode_enroll_request(bytes);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->verify, samples::device_key().public_key());
  EXPECT_EQ(read->curve, samples::device_curve().public_key());
  EXPECT_EQ(read->base_hash, samples::hash(0x10));
  EXPECT_EQ(code_of(decode_enroll_request(
                encode_enroll_request(samples::enroll_request(), SigningKey::generate()))),
            ErrorCode::kUnauthenticated);
}

TEST(EnrollRequest, AnyByteChangedMissingOrAddedIsRefused) {
  const Bytes bytes = encode_enroll_request(samples::enroll_request(), samples::device_key());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes changed = bytes;
    changed[i] ^= 2;
    EXPECT_FALSE(decode_enroll_request(changed)) << i;
    EXPECT_FALSE(decode_enroll_request(ByteSpan(bytes).first(i)));
    EXPECT_FALSE(peek_enroll_token(ByteSpan(bytes).first(i)));
  }
}

TEST(EnrollReply, OnlyTheInvitesAggregatorCanAnswer) {
  const VerifyKey aggregator = samples::aggregator_key().public_key();
  const Bytes bytes = encode_enroll_reply(samples::enroll_reply(), samples::aggregator_key());
  EXPECT_LE(bytes.size(), limits::kEnrollFrameBytes);
  const auto read = decode_enroll_reply(bytes, aggregator);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read->accepted);
  EXPECT_EQ(read->reason, "welcome");
  EXPECT_TRUE(verify_certificate(samples::fleet_key().public_key(), read->certificate, kNow));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    Bytes changed = bytes;
    changed[i] ^= 4;
    EXPECT_EQ(code_of(decode_enroll_reply(changed, aggregator)), ErrorCode::kUnauthenticated) << i;
  }
}

TEST(EnrollReply, TheLongestRefusalFitsItsFrame) {
  const EnrollReply refusal{.accepted = false, .reason = std::string(5000, 'x'), .certificate = {}};
  const Bytes bytes = encode_enroll_reply(refusal, samples::aggregator_key());
  EXPECT_LE(bytes.size(), limits::kEnrollFrameBytes);
  const auto read = decode_enroll_reply(bytes, samples::aggregator_key().public_key());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->reason.size(), limits::kText);
}

} // namespace
} // namespace coppice
