// SPDX-License-Identifier: Apache-2.0
#include "crypto/keys.h"

#include <algorithm>

#include "crypto/hash.h"
#include "crypto/primitives.h"
#include "crypto/secret_random.h"

namespace coppice {
namespace {

constexpr bool is_ed25519(KeyKind kind) {
  return kind == KeyKind::kSigning || kind == KeyKind::kFleet;
}

} // namespace

std::string_view key_kind_name(KeyKind kind) {
  switch (kind) {
    case KeyKind::kSigning: return "signing key";
    case KeyKind::kFleet: return "fleet key";
    case KeyKind::kSeal: return "sealing key";
    case KeyKind::kCurve: return "CURVE key";
    case KeyKind::kAgreement: return "key-agreement key";
  }
  return "key of an unknown kind";
}

template <KeyKind kKind>
SecretKey<kKind>::SecretKey(Secret<32> secret) : secret_(std::move(secret)) {
  if constexpr (is_ed25519(kKind)) {
    public_key_.bytes = primitives::ed25519_public(secret_);
  } else {
    public_key_.bytes = primitives::x25519_public(secret_);
  }
}

template <KeyKind kKind>
SecretKey<kKind> SecretKey<kKind>::generate() {
  return SecretKey(SecretRandom().secret<32>());
}

template <KeyKind kKind>
SecretKey<kKind> SecretKey<kKind>::from_secret(Secret<32> secret) {
  return SecretKey(std::move(secret));
}

template class SecretKey<KeyKind::kSigning>;
template class SecretKey<KeyKind::kFleet>;
template class SecretKey<KeyKind::kSeal>;
template class SecretKey<KeyKind::kCurve>;
template class SecretKey<KeyKind::kAgreement>;

ClientId client_id_of(const VerifyKey& key) {
  const Sha256 hash = sha256(key.span());
  ClientId id;
  std::copy_n(hash.bytes.begin(), ClientId::kSize, id.bytes.begin());
  return id;
}

} // namespace coppice
