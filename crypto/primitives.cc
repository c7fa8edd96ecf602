// SPDX-License-Identifier: Apache-2.0
#include "crypto/primitives.h"

#include <sodium.h>

#include <algorithm>

#include "base/check.h"
#include "crypto/sodium_init.h"

namespace coppice::primitives {

static_assert(crypto_sign_ed25519_SEEDBYTES == 32 && crypto_sign_ed25519_PUBLICKEYBYTES == 32);
static_assert(crypto_sign_ed25519_SECRETKEYBYTES == 64 && crypto_sign_ed25519_BYTES == 64);
static_assert(crypto_scalarmult_curve25519_BYTES == 32);
static_assert(crypto_aead_xchacha20poly1305_ietf_ABYTES == kAeadTagBytes);
static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == kAeadNonceBytes);
static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == 32);
static_assert(crypto_stream_chacha20_ietf_KEYBYTES == 32);

constexpr std::array<std::uint8_t, crypto_stream_chacha20_ietf_NONCEBYTES> kZeroNonce{};
constexpr std::uint64_t kChaCha20Blocks = std::uint64_t{1} << 32U; // the counter has 32 bits

Bytes32 ed25519_public(const Secret<32>& seed) {
  ensure_sodium();
  Bytes32 public_key;
  Secret<64> expanded;
  ::crypto_sign_ed25519_seed_keypair(public_key.data(), expanded.mutable_span().data(),
                                     seed.span().data());
  return public_key;
}

Bytes64 ed25519_sign(const Secret<32>& seed, const Bytes32& public_key, ByteSpan message) {
  ensure_sodium();
  Secret<64> both; // the library's secret key is the seed, then the public key
  std::ranges::copy(seed.span(), both.mutable_span().begin());
  std::ranges::copy(public_key, both.mutable_span().begin() + 32);
  Bytes64 signature;
  ::crypto_sign_ed25519_detached(signature.data(), nullptr, message.data(), message.size(),
                                 both.span().data());
  return signature;
}

bool ed25519_verify(const Bytes32& public_key, ByteSpan message, const Bytes64& signature) {
  ensure_sodium();
  return ::crypto_sign_ed25519_verify_detached(signature.data(), message.data(), message.size(),
                                               public_key.data()) == 0;
}

Bytes32 x25519_public(const Secret<32>& scalar) {
  ensure_sodium();
  Bytes32 public_key;
  ::crypto_scalarmult_curve25519_base(public_key.data(), scalar.span().data());
  return public_key;
}

Result<Secret<32>> x25519(const Secret<32>& scalar, const Bytes32& public_key) {
  ensure_sodium();
  Secret<32> shared;
  const int outcome = ::crypto_scalarmult_curve25519(shared.mutable_span().data(),
                                                     scalar.span().data(), public_key.data());
  // The library refuses too; its behaviour has changed between versions, so it isn't relied upon.
  if (outcome != 0 || ::sodium_is_zero(shared.span().data(), Secret<32>::kSize) == 1) {
    return Error{
        ErrorCode::kUnauthenticated,
        "a public key gives an all-zero shared secret; it was not made by a key generator, "
        "refuse its sender"};
  }
  return shared;
}

void aead_seal(const Secret<32>& key, std::span<const std::uint8_t, kAeadNonceBytes> nonce,
               ByteSpan associated_data, ByteSpan plaintext, std::span<std::uint8_t> out) {
  ensure_sodium();
  COPPICE_CHECK(out.size() == plaintext.size() + kAeadTagBytes);
  ::crypto_aead_xchacha20poly1305_ietf_encrypt(
      out.data(), nullptr, plaintext.data(), plaintext.size(), associated_data.data(),
      associated_data.size(), nullptr, nonce.data(), key.span().data());
}

bool aead_open(const Secret<32>& key, std::span<const std::uint8_t, kAeadNonceBytes> nonce,
               ByteSpan associated_data, ByteSpan sealed, std::span<std::uint8_t> out) {
  ensure_sodium();
  COPPICE_CHECK(sealed.size() >= kAeadTagBytes && out.size() == sealed.size() - kAeadTagBytes);
  return ::crypto_aead_xchacha20poly1305_ietf_decrypt(
             out.data(), nullptr, nullptr, sealed.data(), sealed.size(), associated_data.data(),
             associated_data.size(), nonce.data(), key.span().data()) == 0;
}

void chacha20_keystream(const Secret<32>& key, std::span<std::uint8_t> out) {
  ensure_sodium();
  COPPICE_CHECK(out.size() <= kChaCha20Blocks * kChaCha20BlockBytes);
  if (out.empty()) return; // the library takes no null pointer
  ::crypto_stream_chacha20_ietf(out.data(), out.size(), kZeroNonce.data(), key.span().data());
}

void chacha20_keystream_from(const Secret<32>& key, std::uint64_t first_block,
                             std::span<std::uint8_t> out) {
  ensure_sodium();
  COPPICE_CHECK(first_block < kChaCha20Blocks &&
                out.size() <= (kChaCha20Blocks - first_block) * kChaCha20BlockBytes);
  // The library seeks only where it encrypts, so zeros are encrypted: a few that stay in the cache
  // cost less than clearing `out`.
  static constexpr std::array<std::uint8_t, 64 * kChaCha20BlockBytes> kZeros{};
  while (!out.empty()) {
    const auto piece = out.first(std::min(out.size(), kZeros.size()));
    ::crypto_stream_chacha20_ietf_xor_ic(piece.data(), kZeros.data(), piece.size(),
                                         kZeroNonce.data(), static_cast<std::uint32_t>(first_block),
                                         key.span().data());
    out = out.subspan(piece.size());
    first_block += kZeros.size() / kChaCha20BlockBytes;
  }
}

Secret<32> keyed_blake2b(const Secret<32>& key, ByteSpan message) {
  ensure_sodium();
  Secret<32> out;
  ::crypto_generichash_blake2b(out.mutable_span().data(), Secret<32>::kSize, message.data(),
                               message.size(), key.span().data(), Secret<32>::kSize);
  return out;
}

} // namespace coppice::primitives
