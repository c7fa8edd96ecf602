// SPDX-License-Identifier: Apache-2.0
// Key pairs, one type for each use; none converts to another, so no key ever serves two uses.
//
// Public halves are plain 32-byte values (base/ids.h): they compare, print as hex and hash. Secret
// halves live in a Secret: movable, not copyable, wiped. A public key's bytes are any 32 bytes:
// those that are no valid key fail when they are used (sign.h, seal.h, key_agreement.h), not
// before. Thread-compatible; const use from several threads is safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "crypto/secret.h"

namespace coppice {

// The numbers are those of key files (key_file.h): never change or reuse one.
enum class KeyKind : std::uint32_t {
  kSigning = 1,   // Ed25519: a device or the aggregator
  kFleet = 2,     // Ed25519: the fleet's offline key
  kSeal = 3,      // X25519: bodies are sealed to it
  kCurve = 4,     // X25519: ZeroMQ CURVE
  kAgreement = 5, // X25519: two devices' shared secret; serves one plan
};

// "signing key", ...: the words for people.
std::string_view key_kind_name(KeyKind kind);

template <KeyKind kKind>
struct KeyTag;
template <KeyKind kKind>
using PublicKey = StrongBytes<KeyTag<kKind>, 32>;

template <KeyKind kKind>
class SecretKey {
 public:
  using Public = PublicKey<kKind>;
  static constexpr KeyKind kKeyKind = kKind;

  static SecretKey generate(); // from SecretRandom
  // Ed25519: the seed of RFC 8032. X25519: the scalar of RFC 7748, clamped when used.
  static SecretKey from_secret(Secret<32> secret);
  // Of a pair whose public half is known already, which saves a multiplication on the curve. The
  // halves must belong together: with another public half no peer agrees. Key agreement alone; an
  // Ed25519 key that signed under two public halves would give its secret away.
  static SecretKey from_pair(Secret<32> secret,
                             const Public& public_key) requires(kKind == KeyKind::kAgreement) {
    return SecretKey(std::move(secret), public_key);
  }

  const Public& public_key() const { return public_key_; }
  const Secret<32>& secret() const { return secret_; }

 private:
  explicit SecretKey(Secret<32> secret);
  SecretKey(Secret<32> secret, const Public& public_key)
      : secret_(std::move(secret)), public_key_(public_key) {}
  Secret<32> secret_;
  Public public_key_;
};

using SigningKey = SecretKey<KeyKind::kSigning>;
using VerifyKey = SigningKey::Public;
using FleetSigningKey = SecretKey<KeyKind::kFleet>;
using FleetVerifyKey = FleetSigningKey::Public;
using SealKey = SecretKey<KeyKind::kSeal>;
using SealPublicKey = SealKey::Public;
using CurveSecretKey = SecretKey<KeyKind::kCurve>;
using CurvePublicKey = CurveSecretKey::Public;
using AgreementKey = SecretKey<KeyKind::kAgreement>;
using AgreementPublicKey = AgreementKey::Public;

extern template class SecretKey<KeyKind::kSigning>;
extern template class SecretKey<KeyKind::kFleet>;
extern template class SecretKey<KeyKind::kSeal>;
extern template class SecretKey<KeyKind::kCurve>;
extern template class SecretKey<KeyKind::kAgreement>;

// The first 16 bytes of the SHA-256 of the key.
ClientId client_id_of(const VerifyKey& key);

} // namespace coppice
