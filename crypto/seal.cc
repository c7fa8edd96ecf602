// SPDX-License-Identifier: Apache-2.0
#include "crypto/seal.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/primitives.h"

namespace coppice {
namespace {

using primitives::Bytes32;
static_assert(kSealOverhead == sizeof(Bytes32) + primitives::kAeadTagBytes);

constexpr std::array<std::uint8_t, primitives::kAeadNonceBytes> kNonce{}; // Note [Fixed nonce]

Secret<32> seal_key(const Secret<32>& shared, Domain domain, const Bytes32& ephemeral,
                    const SealPublicKey& recipient) {
  std::array<std::uint8_t, 64> context;
  std::ranges::copy(ephemeral, context.begin());
  std::ranges::copy(recipient.bytes, context.begin() + 32);
  return derive_key(shared, domain, context);
}

} // namespace

Result<Bytes> seal(const SealPublicKey& recipient, Domain domain, ByteSpan associated_data,
                   ByteSpan plaintext) {
  const SealKey ephemeral = SealKey::generate();
  const auto shared = COPPICE_TRY(primitives::x25519(ephemeral.secret(), recipient.bytes));
  const auto key = seal_key(shared, domain, ephemeral.public_key().bytes, recipient);
  Bytes sealed(plaintext.size() + kSealOverhead);
  std::ranges::copy(ephemeral.public_key().bytes, sealed.begin());
  primitives::aead_seal(key, kNonce, associated_data, plaintext,
                        std::span(sealed).subspan(sizeof(Bytes32)));
  return sealed;
}

Result<Bytes> open(const SealKey& key, Domain domain, ByteSpan associated_data, ByteSpan sealed) {
  if (sealed.size() < kSealOverhead) {
    return Error{ErrorCode::kCorrupt, cat("sealed bytes are cut short: ", sealed.size(),
                                          " of at least ", kSealOverhead)};
  }
  Bytes32 ephemeral;
  std::ranges::copy(sealed.first(sizeof(Bytes32)), ephemeral.begin());
  const auto shared = COPPICE_TRY(primitives::x25519(key.secret(), ephemeral));
  const auto body_key = seal_key(shared, domain, ephemeral, key.public_key());
  Bytes plaintext(sealed.size() - kSealOverhead);
  if (!primitives::aead_open(body_key, kNonce, associated_data, sealed.subspan(sizeof(Bytes32)),
                             plaintext)) {
    return Error{
        ErrorCode::kUnauthenticated,
        cat("sealed bytes (", domain_label(domain),
            ") don't open: they were altered, or sealed to another key or for another use")};
  }
  return plaintext;
}

} // namespace coppice
