// SPDX-License-Identifier: Apache-2.0
#include "crypto/secret_random.h"

#include <sodium.h>

#include <cstring>

#include "base/check.h"
#include "crypto/sodium_init.h"

namespace coppice {

void SecretRandom::fill(std::span<std::uint8_t> bytes) const {
  ensure_sodium();
  if (bytes.empty()) return; // the library takes no null pointer
  ::randombytes_buf(bytes.data(), bytes.size());
}

std::uint64_t SecretRandom::u64() const {
  std::uint64_t value = 0;
  ensure_sodium();
  ::randombytes_buf(&value, sizeof(value));
  return value;
}

std::uint64_t SecretRandom::below(std::uint64_t bound) const {
  COPPICE_CHECK(bound > 0);
  // 2^64 mod bound: without so many of the lowest values, those left are a whole multiple of bound.
  const std::uint64_t refused = (0 - bound) % bound;
  std::uint64_t value = u64();
  while (value < refused) value = u64(); // two draws on average at the very most
  return value % bound;
}

} // namespace coppice
