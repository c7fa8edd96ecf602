// SPDX-License-Identifier: Apache-2.0
// For formats that end with the SHA-256 of all before it, which a fuzzer doesn't find.
#pragma once

#include <algorithm>

#include "crypto/hash.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {

// Calls check(bytes) with the bytes as they are, and with their hash mended.
template <typename Check>
void check_with_mended_hash(const std::uint8_t* data, std::size_t size, const Check& check) {
  Bytes bytes(data, data + size);
  check(bytes);
  if (size < Sha256::kSize) return;
  const std::size_t end = size - Sha256::kSize;
  std::ranges::copy(sha256(ByteSpan(bytes).first(end)).bytes,
                    bytes.begin() + static_cast<std::ptrdiff_t>(end));
  check(bytes);
}

} // namespace coppice
