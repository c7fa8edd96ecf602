// SPDX-License-Identifier: Apache-2.0
// Private keys on disk: one file a key, readable by its owner only.
//
// The file, kKeyFileBytes long, little-endian:
//   0   8 bytes   "coppkey1"
//   8   u32       KeyKind
//   12  32 bytes  the secret: Ed25519 seed or X25519 scalar
//   44  8 bytes   the first 8 of the SHA-256 of the 44 before: catches damage, not an attacker
#pragma once

#include <cstddef>

#include "base/file.h"
#include "crypto/keys.h"

namespace coppice {

inline constexpr std::size_t kKeyFileBytes = 52;

// Any kind, as stored. For callers that know the kind: load_key_file().
Result<Secret<32>> load_secret(const fs::path& path, KeyKind kind);
Result<void> store_secret(const fs::path& path, KeyKind kind, const Secret<32>& secret);

// kNotFound; kPermissionDenied if group or others may do anything with the file (the message has
// the chmod that mends it); kCorrupt if it is no whole key file; kInvalidArgument if it holds a key
// of another kind. Buffers are wiped.
template <typename Key>
Result<Key> load_key_file(const fs::path& path) {
  return Key::from_secret(COPPICE_TRY(load_secret(path, Key::kKeyKind)));
}

// Written whole or not at all, mode 0600, durable on return. kAlreadyExists if `path` exists: a
// private key is never overwritten, remove the old one first where that is meant.
template <typename Key>
Result<void> store_key_file(const fs::path& path, const Key& key) {
  return store_secret(path, Key::kKeyKind, key.secret());
}

} // namespace coppice
