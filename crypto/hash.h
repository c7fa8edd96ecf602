// SPDX-License-Identifier: Apache-2.0
// SHA-256 of bytes, streams and files, and the derivation of keys from keys.
#pragma once

#include <array>
#include <cstddef>

#include "base/bytes.h"
#include "base/file.h"
#include "base/ids.h"
#include "crypto/domain.h"
#include "crypto/secret.h"

namespace coppice {

Sha256 sha256(ByteSpan bytes);

// sha256(with_domain(domain, payload)): a hash that stands for one thing in one place of the
// protocol. A commitment too, where the payload holds 32 random bytes that nobody else knows yet.
Sha256 domain_hash(Domain domain, ByteSpan payload);

// For bytes that come in pieces: the hash is that of the pieces joined. Thread-compatible.
class Sha256Hasher {
 public:
  Sha256Hasher();
  void update(ByteSpan piece);
  // The hash of all so far; the hasher is as new afterwards.
  Sha256 finish();

 private:
  alignas(8) std::array<std::byte, 104> state_; // the library's, whose headers stay in crypto/*.cc
};

// Reads the file once, front to back, with a buffer of 256 KiB whatever its size. kNotFound, or kIo
// with the system's words.
Result<Sha256> sha256_file(const fs::path& path);

// A key that tells nothing of `key` or of its siblings: BLAKE2b-256 (RFC 7693), keyed with `key`,
// over with_domain(domain, context). The same arguments always give the same key.
Secret<32> derive_key(const Secret<32>& key, Domain domain, ByteSpan context);

} // namespace coppice
