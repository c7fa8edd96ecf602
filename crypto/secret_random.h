// SPDX-License-Identifier: Apache-2.0
// SecretRandom: randomness from the system, for keys, masks, shares, nonces, noise and cohort
// sampling.
//
// It has no seed and no state, so it can't be repeated, in tests neither. Repeatable randomness is
// KeyedRandom (base/random.h): another type, so that neither can stand where the other belongs.
// Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "crypto/secret.h"

namespace coppice {

class SecretRandom {
 public:
  void fill(std::span<std::uint8_t> bytes) const;

  template <std::size_t N>
  std::array<std::uint8_t, N> bytes() const { // for what isn't secret once made: nonces, ids
    std::array<std::uint8_t, N> made;
    fill(made);
    return made;
  }
  template <std::size_t N>
  Secret<N> secret() const {
    Secret<N> made;
    fill(made.mutable_span());
    return made;
  }

  std::uint64_t u64() const;
  // Uniform in [0, bound), without bias, by rejection. bound > 0.
  std::uint64_t below(std::uint64_t bound) const;
};

} // namespace coppice
