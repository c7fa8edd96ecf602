// SPDX-License-Identifier: Apache-2.0
// The bare primitives of libsodium in our types, without domain labels.
//
// For the .cc files of crypto/ and for the tests against published vectors. Everything else signs,
// seals and derives through sign.h, seal.h, key_agreement.h and hash.h, which add the labels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "crypto/secret.h"

namespace coppice::primitives {

using Bytes32 = std::array<std::uint8_t, 32>;
using Bytes64 = std::array<std::uint8_t, 64>;
inline constexpr std::size_t kAeadTagBytes = 16;
inline constexpr std::size_t kAeadNonceBytes = 24;
inline constexpr std::size_t kChaCha20BlockBytes = 64;

// Ed25519 (RFC 8032). `seed` is the RFC's private key.
Bytes32 ed25519_public(const Secret<32>& seed);
Bytes64 ed25519_sign(const Secret<32>& seed, const Bytes32& public_key, ByteSpan message);
// False too for small-order keys and for signatures whose S is not reduced.
bool ed25519_verify(const Bytes32& public_key, ByteSpan message, const Bytes64& signature);

// X25519 (RFC 7748).
Bytes32 x25519_public(const Secret<32>& scalar);
// kUnauthenticated where the shared secret is all zeros: a public key of small order, which only an
// attacker sends (RFC 7748, section 6.1).
Result<Secret<32>> x25519(const Secret<32>& scalar, const Bytes32& public_key);

// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): ciphertext, then the tag.
// `out` has plaintext.size() + kAeadTagBytes bytes.
void aead_seal(const Secret<32>& key, std::span<const std::uint8_t, kAeadNonceBytes> nonce,
               ByteSpan associated_data, ByteSpan plaintext, std::span<std::uint8_t> out);
// `out` has sealed.size() - kAeadTagBytes bytes; false, and zeros, if anything was altered.
bool aead_open(const Secret<32>& key, std::span<const std::uint8_t, kAeadNonceBytes> nonce,
               ByteSpan associated_data, ByteSpan sealed, std::span<std::uint8_t> out);

// Keystream of ChaCha20 (RFC 8439) with a nonce of zeros: from its start, and from a block on. At
// most 2^32 blocks, counted from the start (checked).
void chacha20_keystream(const Secret<32>& key, std::span<std::uint8_t> out);
void chacha20_keystream_from(const Secret<32>& key, std::uint64_t first_block,
                             std::span<std::uint8_t> out);

// BLAKE2b with a 32-byte key and 32 bytes of output (RFC 7693).
Secret<32> keyed_blake2b(const Secret<32>& key, ByteSpan message);

} // namespace coppice::primitives
