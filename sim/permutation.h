// SPDX-License-Identifier: Apache-2.0
// A keyed pseudorandom permutation of 0 .. n-1 that is computed place by place: the first k places
// are k distinct numbers, drawn without replacement, in O(k) whatever n.
//
// A balanced Feistel network over the smallest power of four that holds n, with cycle walking:
// places outside are walked on from until they fall inside, less than four steps on average (Black
// and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). For simulation: nothing here
// is secret. Integers only, the same on every machine. Thread-safe.
#pragma once

#include <array>
#include <cstdint>

#include "base/random.h"

namespace coppice {

class Permutation {
 public:
  Permutation(std::uint64_t size, const RandomKey& key); // 1 <= size <= 2^62

  std::uint64_t size() const { return size_; }
  std::uint64_t operator()(std::uint64_t place) const; // place < size()

 private:
  std::uint64_t encipher(std::uint64_t value) const;

  // Small halves mix slowly: with 6 rounds the pairs drawn from 5 numbers are visibly uneven, with
  // 8 no longer.
  static constexpr std::size_t kRounds = 12;
  std::uint64_t size_;
  unsigned half_bits_ = 0;
  std::array<std::uint64_t, kRounds> round_keys_{};
};

} // namespace coppice
