// SPDX-License-Identifier: Apache-2.0
// Strong types for ids and hashes: they compare, print and hash, and don't convert to one another.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <ostream>

#include "base/bytes.h"

namespace coppice {

// A number with a meaning. `Tag` is never defined; it only keeps the types apart.
template <typename Tag>
struct StrongNumber {
  std::uint64_t value = 0;
  auto operator<=>(const StrongNumber&) const = default;
  StrongNumber next() const { return {value + 1}; }
  friend std::ostream& operator<<(std::ostream& out, StrongNumber number) {
    return out << number.value;
  }
};

using RoundId = StrongNumber<struct RoundTag>;          // 1, 2, ... for the life of a fleet
using AdapterVersion = StrongNumber<struct VersionTag>; // 0 is the adapter that `init` wrote
using Epoch = StrongNumber<struct EpochTag>;            // of the aggregator's state: fencing
using KeySetNumber = StrongNumber<struct KeySetTag>;    // of the aggregator's key sets

// N bytes with a meaning, printed as hex.
template <typename Tag, std::size_t N>
struct StrongBytes {
  static constexpr std::size_t kSize = N;
  std::array<std::uint8_t, N> bytes{};
  auto operator<=>(const StrongBytes&) const = default;
  ByteSpan span() const { return bytes; }
  std::string hex() const { return to_hex(bytes); }
  bool is_zero() const { return *this == StrongBytes{}; }
  static Result<StrongBytes> from_span(ByteSpan raw, const char* what) {
    if (raw.size() != N) {
      return Error{ErrorCode::kCorrupt, std::string(what) + " has the wrong length"};
    }
    StrongBytes made;
    std::memcpy(made.bytes.data(), raw.data(), N);
    return made;
  }
  static Result<StrongBytes> parse_hex(std::string_view hex, const char* what) {
    auto raw = from_hex(hex);
    if (!raw) return std::move(raw).error().with_context(what);
    return from_span(*raw, what);
  }
  friend std::ostream& operator<<(std::ostream& out, const StrongBytes& id) {
    return out << id.hex();
  }
};

// SHA-256 of something; crypto/hash.h computes it. The type lives here so that formats and models
// can name a hash without linking the cryptography.
using Sha256 = StrongBytes<struct Sha256Tag, 32>;
// A device: the first 16 bytes of the SHA-256 of its signing key (see crypto/keys.h).
using ClientId = StrongBytes<struct ClientTag, 16>;

} // namespace coppice

template <typename Tag>
struct std::hash<coppice::StrongNumber<Tag>> {
  std::size_t operator()(coppice::StrongNumber<Tag> number) const noexcept {
    return std::hash<std::uint64_t>{}(number.value);
  }
};
template <typename Tag, std::size_t N>
struct std::hash<coppice::StrongBytes<Tag, N>> {
  std::size_t operator()(const coppice::StrongBytes<Tag, N>& id) const noexcept {
    std::size_t seed = 0;
    static_assert(N >= sizeof(seed));
    std::memcpy(&seed, id.bytes.data(), sizeof(seed)); // ids are hashes: any bytes of them will do
    return seed;
  }
};
