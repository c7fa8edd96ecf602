// SPDX-License-Identifier: Apache-2.0
#include "crypto/share_box.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "crypto/key_agreement.h"
#include "crypto/primitives.h"
#include "tests/crypto/test_keys.h"

namespace coppice {
namespace {

using ::coppice::testing::counting_secret;

const ByteSpan kRoster = as_bytes("hash of plan and roster");
const ByteSpan kRoute = as_bytes("from 3 to 5");
constexpr std::string_view kText = "two shares";

// Made by the layout in the header with Python's cryptography (X25519, ChaCha20-Poly1305), hashlib
// (BLAKE2b) and a Python HChaCha20 that was checked against the draft's example. Alice's secret: 0,
// 1, ..., 31; Bob's: 32, ..., 63.
constexpr std::string_view kAliceToBob = "37cbdc18ff6631c6bb722a53512338eaa27fca40bd26f88e7125";
constexpr std::string_view kBobToAlice = "f8f78ff51e3dfcf0ff6a4a1b94ab11a3f1b6c780fbc6a7715d71";

class ShareBoxTest : public ::testing::Test {
 protected:
  static Bytes seal(const AgreementKey& mine, const AgreementKey& theirs, ByteSpan text) {
    const auto keys = agree_on_share_boxes(mine, theirs.public_key(), kRoster).value();
    return seal_share_box(keys.sealing, kRoute, text);
  }
  Bytes from_alice() const { return seal(alice_, bob_, as_bytes(kText)); }
  static ErrorCode refusal(const AgreementKey& mine, const AgreementPublicKey& theirs,
                           ByteSpan context, ByteSpan data, ByteSpan box) {
    const auto keys = agree_on_share_boxes(mine, theirs, context);
    if (!keys) return keys.error().code;
    const auto opened = open_share_box(keys->opening, data, box);
    return opened.ok() ? ErrorCode::kInternal : opened.error().code;
  }
  ErrorCode bobs_refusal(ByteSpan box) const {
    return refusal(bob_, alice_.public_key(), kRoster, kRoute, box);
  }

  const AgreementKey alice_ = AgreementKey::from_secret(counting_secret(0));
  const AgreementKey bob_ = AgreementKey::from_secret(counting_secret(32));
  const AgreementKey carol_ = AgreementKey::generate();
};

TEST_F(ShareBoxTest, IsWhatAnotherImplementationMakesInEachDirection) {
  EXPECT_EQ(to_hex(from_alice()), kAliceToBob);
  EXPECT_EQ(to_hex(seal(bob_, alice_, as_bytes(kText))), kBobToAlice);
}

TEST_F(ShareBoxTest, GivesBackWhatWasPutInUpToItsBound) {
  const auto bobs = agree_on_share_boxes(bob_, alice_.public_key(), kRoster).value();
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{80}, kMaxShareBoxBytes - kShareBoxOverhead}) {
    const Bytes text(size, 0x31);
    const Bytes box = seal(alice_, bob_, text);
    EXPECT_EQ(box.size(), size + kShareBoxOverhead);
    EXPECT_EQ(open_share_box(bobs.opening, kRoute, box).value(), text);
  }
  const Bytes too_long(kMaxShareBoxBytes - kShareBoxOverhead + 1);
  EXPECT_DEATH(static_cast<void>(seal(alice_, bob_, too_long)), "kMaxShareBoxBytes");
}

TEST_F(ShareBoxTest, EveryChangedBitIsRefused) {
  Bytes box = from_alice();
  for (std::size_t bit = 0; bit < 8 * box.size(); ++bit) {
    const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
    box[bit / 8] ^= mask;
    EXPECT_EQ(bobs_refusal(box), ErrorCode::kUnauthenticated) << bit;
    box[bit / 8] ^= mask;
  }
  EXPECT_EQ(bobs_refusal(box), ErrorCode::kInternal) << "unchanged it opens";
}

TEST_F(ShareBoxTest, CutOrLengthenedBoxesAreRefused) {
  Bytes box = from_alice();
  for (std::size_t size = 0; size < box.size(); ++size) {
    EXPECT_EQ(bobs_refusal(ByteSpan(box).first(size)),
              size < kShareBoxOverhead ? ErrorCode::kCorrupt : ErrorCode::kUnauthenticated);
  }
  box.push_back(0);
  EXPECT_EQ(bobs_refusal(box), ErrorCode::kUnauthenticated);
  EXPECT_EQ(bobs_refusal(Bytes(kMaxShareBoxBytes + 1)), ErrorCode::kTooLarge);
}

TEST_F(ShareBoxTest, ARedirectedBoxIsRefused) {
  const Bytes box = from_alice();
  const auto refused = ErrorCode::kUnauthenticated;
  EXPECT_EQ(refusal(carol_, alice_.public_key(), kRoster, kRoute, box), refused)
      << "another reader";
  EXPECT_EQ(refusal(bob_, carol_.public_key(), kRoster, kRoute, box), refused) << "another sender";
  EXPECT_EQ(refusal(bob_, alice_.public_key(), kRoster, as_bytes("from 3 to 6"), box), refused);
  EXPECT_EQ(refusal(bob_, alice_.public_key(), kRoster, {}, box), refused);
  EXPECT_EQ(refusal(bob_, alice_.public_key(), as_bytes("another roster"), kRoute, box), refused);
}

TEST_F(ShareBoxTest, AReflectedBoxIsRefused) {
  EXPECT_EQ(refusal(alice_, bob_.public_key(), kRoster, kRoute, from_alice()),
            ErrorCode::kUnauthenticated)
      << "her own box must not come back as his";
}

TEST_F(ShareBoxTest, APeerThatShowsOurOwnKeyOrNoneIsRefused) {
  const auto to = [&](const AgreementPublicKey& theirs) {
    return agree_on_share_boxes(alice_, theirs, kRoster).error().code;
  };
  EXPECT_EQ(to(alice_.public_key()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(to(AgreementPublicKey{}), ErrorCode::kUnauthenticated);
}

TEST_F(ShareBoxTest, KeysOfOtherDomainsDoNotOpenIt) {
  // The agreement's secret itself, and what masks are derived from it, are other keys.
  const auto shared = agree(bob_, alice_.public_key(), kRoster).value();
  Bytes direction(alice_.public_key().bytes.begin(), alice_.public_key().bytes.end());
  direction.insert(direction.end(), bob_.public_key().bytes.begin(), bob_.public_key().bytes.end());
  const Bytes box = from_alice();
  const std::array<std::uint8_t, primitives::kAeadNonceBytes> zeros{};
  Bytes text(kText.size());
  EXPECT_TRUE(primitives::aead_open(derive_key(shared, Domain::kShareBox, direction), zeros, kRoute,
                                    box, text));
  for (const Domain other : {Domain::kPairwiseMask, Domain::kAgreement, Domain::kEnvelopeBody}) {
    EXPECT_FALSE(
        primitives::aead_open(derive_key(shared, other, direction), zeros, kRoute, box, text));
  }
  EXPECT_FALSE(primitives::aead_open(shared, zeros, kRoute, box, text));
}

} // namespace
} // namespace coppice
