// SPDX-License-Identifier: Apache-2.0
#include "crypto/sign.h"

#include "base/text.h"
#include "crypto/primitives.h"

namespace coppice {
namespace {

Result<void> verify_bytes(const primitives::Bytes32& key, std::string_view key_name, Domain domain,
                          ByteSpan message, const primitives::Bytes64& signature) {
  if (primitives::ed25519_verify(key, with_domain(domain, message), signature)) return {};
  return Error{
      ErrorCode::kUnauthenticated,
      cat("a signature (", domain_label(domain), ") is not by the ", key_name, " ",
          to_hex(ByteSpan(key).first(8)), "...: the bytes were altered, or it is somebody else's")};
}

} // namespace

Signature sign(const SigningKey& key, Domain domain, ByteSpan message) {
  return {
      primitives::ed25519_sign(key.secret(), key.public_key().bytes, with_domain(domain, message))};
}

Signature sign(const FleetSigningKey& key, Domain domain, ByteSpan message) {
  return {
      primitives::ed25519_sign(key.secret(), key.public_key().bytes, with_domain(domain, message))};
}

Result<void> verify(const VerifyKey& key, Domain domain, ByteSpan message,
                    const Signature& signature) {
  return verify_bytes(key.bytes, key_kind_name(KeyKind::kSigning), domain, message,
                      signature.bytes);
}

Result<void> verify(const FleetVerifyKey& key, Domain domain, ByteSpan message,
                    const Signature& signature) {
  return verify_bytes(key.bytes, key_kind_name(KeyKind::kFleet), domain, message, signature.bytes);
}

} // namespace coppice
