// SPDX-License-Identifier: Apache-2.0
#include "crypto/hash.h"

#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "crypto/primitives.h"

namespace coppice {
namespace {

using State = crypto_hash_sha256_state;
static_assert(sizeof(State) == 104 && alignof(State) <= 8);

constexpr std::size_t kReadBytes = 256 * 1024;

Error file_error(std::string_view doing, const fs::path& path) {
  const int number = errno;
  const ErrorCode code = number == ENOENT   ? ErrorCode::kNotFound
                         : number == EACCES ? ErrorCode::kPermissionDenied
                                            : ErrorCode::kIo;
  return {code, cat("can't ", doing, " ", path.string(), " to hash it: ", std::strerror(number))};
}

} // namespace

Sha256 sha256(ByteSpan bytes) {
  Sha256 hash;
  ::crypto_hash_sha256(hash.bytes.data(), bytes.data(), bytes.size());
  return hash;
}

Sha256 domain_hash(Domain domain, ByteSpan payload) { return sha256(with_domain(domain, payload)); }

Sha256Hasher::Sha256Hasher() { ::crypto_hash_sha256_init(reinterpret_cast<State*>(state_.data())); }

void Sha256Hasher::update(ByteSpan piece) {
  ::crypto_hash_sha256_update(reinterpret_cast<State*>(state_.data()), piece.data(), piece.size());
}

Sha256 Sha256Hasher::finish() {
  Sha256 hash;
  auto* const state = reinterpret_cast<State*>(state_.data());
  ::crypto_hash_sha256_final(state, hash.bytes.data());
  ::crypto_hash_sha256_init(state);
  return hash;
}

Result<Sha256> sha256_file(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return file_error("open", path);
  Sha256Hasher hasher;
  Bytes buffer(kReadBytes);
  ssize_t got = 0;
  while ((got = ::read(descriptor, buffer.data(), buffer.size())) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const Error error = file_error("read", path);
      ::close(descriptor);
      return error;
    }
    hasher.update(ByteSpan(buffer).first(static_cast<std::size_t>(got)));
  }
  ::close(descriptor);
  return hasher.finish();
}

Secret<32> derive_key(const Secret<32>& key, Domain domain, ByteSpan context) {
  return primitives::keyed_blake2b(key, with_domain(domain, context));
}

} // namespace coppice
