// SPDX-License-Identifier: Apache-2.0
// Secret<N>: N bytes that are wiped when they go, can't be copied, printed or ordered, and compare
// in constant time.
//
// The bytes lie in pages that are kept out of core dumps, and out of swap where the system's limit
// on locked memory allows (best effort: without the limit it works the same, unlocked). Moving
// hands the bytes over without a copy; a moved-from Secret holds none, and reading it is a bug
// (CHECK). Not protected: whoever may read this process's memory, and copies that callers make of
// span(). A Secret is thread-compatible; different ones may live on different threads.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace coppice {

// Overwrites with zeros in a way that the compiler may not remove.
void wipe(std::span<std::uint8_t> bytes);

// For whole secrets of one length; lengths are no secret. False if they differ in length.
bool equal_in_constant_time(ByteSpan a, ByteSpan b);

// One slot of the protected pages, zero at first, wiped when given back. The owner inside Secret.
class SecretSlot {
 public:
  static constexpr std::size_t kSize = 64;
  SecretSlot();
  SecretSlot(SecretSlot&& other) noexcept;
  SecretSlot& operator=(SecretSlot&& other) noexcept;
  ~SecretSlot();
  std::uint8_t* data() const; // kSize bytes; CHECK fails on a moved-from slot

 private:
  std::uint8_t* data_;
};

template <std::size_t N>
class Secret {
 public:
  static_assert(N > 0 && N <= SecretSlot::kSize);
  static constexpr std::size_t kSize = N;

  Secret() = default; // zeros, to be filled through mutable_span()

  // Copies the bytes in. The caller still has to wipe where they came from.
  static Secret copy_of(std::span<const std::uint8_t, N> bytes) {
    Secret made;
    std::ranges::copy(bytes, made.mutable_span().begin());
    return made;
  }

  std::span<const std::uint8_t, N> span() const {
    return std::span<const std::uint8_t, N>(slot_.data(), N);
  }
  std::span<std::uint8_t, N> mutable_span() { return std::span<std::uint8_t, N>(slot_.data(), N); }

  friend bool operator==(const Secret& a, const Secret& b) {
    return equal_in_constant_time(a.span(), b.span());
  }

 private:
  SecretSlot slot_;
};

} // namespace coppice
