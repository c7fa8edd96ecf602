// SPDX-License-Identifier: Apache-2.0
// Signatures: Ed25519 (RFC 8032) over with_domain(domain, message), see domain.h.
//
// So a signature holds for one kind of key, one domain and one message. It says nothing about time
// or repetition: what must not be replayed carries its own round or number. Thread-safe.
#pragma once

#include "base/bytes.h"
#include "base/ids.h"
#include "crypto/domain.h"
#include "crypto/keys.h"

namespace coppice {

using Signature = StrongBytes<struct SignatureTag, 64>;

Signature sign(const SigningKey& key, Domain domain, ByteSpan message);
Signature sign(const FleetSigningKey& key, Domain domain, ByteSpan message);

// kUnauthenticated unless `signature` is by `key`, in this domain, over these bytes.
Result<void> verify(const VerifyKey& key, Domain domain, ByteSpan message,
                    const Signature& signature);
Result<void> verify(const FleetVerifyKey& key, Domain domain, ByteSpan message,
                    const Signature& signature);

} // namespace coppice
