// SPDX-License-Identifier: Apache-2.0
// Fixed key material for known-answer tests.
#pragma once

#include <algorithm>
#include <numeric>

#include "base/bytes.h"
#include "crypto/secret.h"

namespace coppice::testing {

// first, first + 1, ..., first + 31
inline Secret<32> counting_secret(std::uint8_t first) {
  Secret<32> secret;
  std::iota(secret.mutable_span().begin(), secret.mutable_span().end(), first);
  return secret;
}

template <std::size_t N>
std::array<std::uint8_t, N> array_of_hex(std::string_view hex) {
  const Bytes raw = from_hex(hex).value();
  COPPICE_CHECK(raw.size() == N);
  std::array<std::uint8_t, N> made{};
  std::ranges::copy(raw, made.begin());
  return made;
}

inline Secret<32> secret_of_hex(std::string_view hex) {
  return Secret<32>::copy_of(array_of_hex<32>(hex));
}

} // namespace coppice::testing
