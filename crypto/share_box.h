// SPDX-License-Identifier: Apache-2.0
// Share boxes: a few bytes from one device to another, carried by an aggregator that can't read,
// change, redirect or reflect them.
//
// box = ciphertext (as long as the plaintext) | tag (16)
//   shared = agree(mine, theirs, context)                                  (key_agreement.h)
//   key    = derive_key(shared, Domain::kShareBox, sender's public key | recipient's public key)
//   box    = XChaCha20-Poly1305(key, nonce = 24 zeros, associated data, plaintext)
// So a box opens only under the two keys that made it, in its direction, under its context (the
// hash of plan and roster) and its associated data. Unlike a seal (seal.h) it proves its sender:
// who opened it knows that nobody but the two ends could have made it.
//
// Note [One box a direction]
// Each end has a key of its own, the direction being part of it, so each key encrypts once as long
// as a device makes one box for one peer under one context; a nonce would add bytes and no safety.
// Two different plaintexts under one key would give away their difference and the means to forge.
// Agreement keys serve one plan, and shares are written to disk before their boxes leave; so a
// device that starts again sends the same boxes, and never makes others.
//
// Hides contents, not length; no forward secrecy beyond the agreement keys, which are wiped at the
// round's end. Thread-safe.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "crypto/keys.h"
#include "crypto/secret.h"

namespace coppice {

inline constexpr std::size_t kShareBoxOverhead = 16; // box.size() - plaintext.size()
inline constexpr std::size_t kMaxShareBoxBytes = 1024;

// One end's keys for its boxes with a peer under one context. To agree is the costly part: it is
// done once for all of them.
struct ShareBoxKeys {
  Secret<32> sealing; // to the peer
  Secret<32> opening; // from the peer
};
// The errors are those of agree(), where `theirs` is no key of a peer.
Result<ShareBoxKeys> agree_on_share_boxes(const AgreementKey& mine,
                                          const AgreementPublicKey& theirs, ByteSpan context);

// The plaintext has at most kMaxShareBoxBytes - kShareBoxOverhead bytes (checked).
Bytes seal_share_box(const Secret<32>& sealing, ByteSpan associated_data, ByteSpan plaintext);

// kCorrupt if `box` is shorter than kShareBoxOverhead; kTooLarge above kMaxShareBoxBytes;
// kUnauthenticated if it was made by or for another key, in the other direction, under another
// context or other associated data, or altered. The caller wipes what it gets.
Result<Bytes> open_share_box(const Secret<32>& opening, ByteSpan associated_data, ByteSpan box);

} // namespace coppice
