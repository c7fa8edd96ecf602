// SPDX-License-Identifier: Apache-2.0
// Messages of secure aggregation, whole. docs/protocol.md, "Secure aggregation", has the bytes.
//
// They travel in SecAggPiece messages, cut where they are longer than a chunk, inside envelopes
// that their senders sign. Everything after the roster names its hash, which covers the plan's:
// devices that were shown another plan or roster derive other keys, and cancel nothing. Plain data.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "crypto/keys.h"
#include "crypto/shamir.h"
#include "crypto/sign.h"
#include "protocol/key_set.h"
#include "protocol/limits.h"
#include "protocol/secagg_graph.h"

namespace coppice {

// ---- device to aggregator ----

// Fresh keys for one plan and attempt, signed by the device in Domain::kAdvert, since other devices
// get to see it. Sent when the device has trained.
struct KeyAdvert {
  ClientId client;
  Sha256 plan_hash;
  std::uint8_t attempt = 0;    // 0 .. kMaxAttempts - 1
  AgreementPublicKey box_key;  // share boxes are sealed under it
  AgreementPublicKey mask_key; // pairwise masks come from it
  Sha256 nonce_commitment;     // commit_nonce(): opened after the roster
  bool operator==(const KeyAdvert&) const = default;
};
struct SignedAdvert {
  Bytes bytes; // encode_advert()
  Signature signature;
  bool operator==(const SignedAdvert&) const = default;
};

struct NonceOpening {
  Sha256 roster_hash;
  GraphNonce nonce{};
  bool operator==(const NonceOpening&) const = default;
};

struct ShareBox {
  std::uint32_t member = 0; // recipient in ShareBoxes, sender in ShareInbox
  Bytes box;                // kShareBoxBytes of them (checked when encoded)
  bool operator==(const ShareBox&) const = default;
};
// Note [Self commitment]
// A wrong share of a mask key is found out by the advertised public key. The secret of a self mask
// has no public half, so its owner commits to it when it deals the shares: the aggregator checks
// what it has put together before anything is subtracted, and a sum is exact or there is none. The
// commitment is a keyed hash of 256 random bits and tells nothing of them.
struct ShareBoxes { // one box for each neighbour, by member
  Sha256 roster_hash;
  Sha256 self_commitment; // SecAggPrimitives::self_commitment()
  std::vector<ShareBox> boxes;
  bool operator==(const ShareBoxes&) const = default;
};

enum class ShareOf : std::uint8_t {
  kSelfMask = 0, // of a survivor
  kMaskKey = 1,  // of a device that shared and did not survive
};
struct UnmaskShare {
  std::uint32_t member = 0; // whose secret
  ShareOf of = ShareOf::kSelfMask;
  SecretShare share{};
  bool operator==(const UnmaskShare&) const = default;
};
struct UnmaskShares {
  Sha256 roster_hash;
  Sha256 survivors_hash; // that this answers
  std::vector<UnmaskShare> shares;
  bool operator==(const UnmaskShares&) const = default;
};

// ---- aggregator to device ----

struct RosterEntry {
  ClientId client;
  Sha256 advert_hash; // SHA-256 of SignedAdvert::bytes
  Sha256 nonce_commitment;
  bool operator==(const RosterEntry&) const = default;
};
struct Roster { // who is in: sorted by client, so that a member's number is its index
  Sha256 plan_hash;
  std::uint8_t attempt = 0;
  std::vector<RosterEntry> entries;
  Sha256 hash() const; // in Domain::kRoster
  bool operator==(const Roster&) const = default;
};

// Nobody may be missing once the roster is closed: begin again with fresh keys, without it.
struct Readvertise {
  Sha256 plan_hash;
  std::uint8_t attempt = 0; // the new one
  bool operator==(const Readvertise&) const = default;
};

struct NeighbourKeys {
  std::uint32_t member = 0;
  SignedAdvert advert;
  SignedCertificate certificate;
};
struct GraphOpening { // everybody's nonce, and the receiver's neighbours
  Sha256 roster_hash;
  std::vector<GraphNonce> nonces;
  std::vector<NeighbourKeys> neighbours; // by member
};

struct ShareInbox { // boxes of those neighbours that shared; the others are as if never there
  Sha256 roster_hash;
  std::vector<ShareBox> boxes; // by member
  bool operator==(const ShareInbox&) const = default;
};

struct SurvivorList { // whose masked vectors are in the sum
  Sha256 roster_hash;
  std::vector<std::uint8_t> shared;    // a bit a member, least significant first: sent its boxes
  std::vector<std::uint8_t> survivors; // a bit a member: is in the sum; a subset of `shared`
  Sha256 hash() const;                 // in Domain::kSurvivors
  bool operator==(const SurvivorList&) const = default;
};

using SecAggMessage = std::variant<SignedAdvert, NonceOpening, ShareBoxes, UnmaskShares, Roster,
                                   Readvertise, GraphOpening, ShareInbox, SurvivorList>;

// Bytes of a plaintext box: the two shares; a box adds the tag.
inline constexpr std::size_t kShareBoxBytes = 2 * sizeof(SecretShare) + 16;

Bytes encode_advert(const KeyAdvert& advert);
Result<KeyAdvert> decode_advert(ByteSpan bytes);
// Hash of nonce, client, plan and attempt in Domain::kNonceCommitment.
Sha256 commit_nonce(const GraphNonce& nonce, const ClientId& client, const Sha256& plan_hash,
                    std::uint8_t attempt);

bool bit_of(std::span<const std::uint8_t> bits, std::uint32_t member); // false beyond the end
std::vector<std::uint8_t> bits_of(std::span<const std::uint32_t> members, std::uint32_t count);

// The variant's index as u8, then the message. One message has one encoding. kCorrupt unless all of
// `bytes` is one message within limits.h, kTooLarge above limits::kSecAggMessageBytes. Order and
// meaning are the machines' to check.
Bytes encode_secagg(const SecAggMessage& message);
Result<SecAggMessage> decode_secagg(ByteSpan bytes);
const char* secagg_message_name(const SecAggMessage& message);

} // namespace coppice
