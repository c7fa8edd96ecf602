// SPDX-License-Identifier: Apache-2.0
// Sealing: bytes that only the holder of one SealKey can read, from an anonymous sender.
//
// sealed = ephemeral public key (32) | ciphertext (as long as the plaintext) | tag (16)
//   shared = X25519(ephemeral secret, recipient's public key), refused where all zeros
//   key    = derive_key(shared, domain, ephemeral public key | recipient's public key)
//   ciphertext | tag = XChaCha20-Poly1305(key, nonce = 24 zeros, associated data, plaintext)
// Note [Fixed nonce]: each seal makes its own ephemeral key, so `key` encrypts once, and a nonce
// would add bytes and no safety. The key depends on both public keys as they were sent, and the
// domain, so a seal can't be redirected, or be given a second encoding.
//
// A seal proves nothing about its sender: sign what matters (sign.h). It hides contents, not
// length. No forward secrecy towards the recipient: who later learns the SealKey can open old
// seals. Thread-safe.
#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "crypto/domain.h"
#include "crypto/keys.h"

namespace coppice {

inline constexpr std::size_t kSealOverhead = 48; // sealed.size() - plaintext.size()

// Never twice the same bytes. kUnauthenticated if `recipient` is not a key that a generator makes.
Result<Bytes> seal(const SealPublicKey& recipient, Domain domain, ByteSpan associated_data,
                   ByteSpan plaintext);

// kCorrupt if shorter than kSealOverhead; kUnauthenticated if it was sealed to another key, in
// another domain, with other associated data, or altered. Allocates the plaintext's size.
Result<Bytes> open(const SealKey& key, Domain domain, ByteSpan associated_data, ByteSpan sealed);

} // namespace coppice
