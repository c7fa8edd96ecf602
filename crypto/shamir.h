// SPDX-License-Identifier: Apache-2.0
// Shamir's secret sharing: any `threshold` of a secret's shares recover it, fewer tell nothing.
//
// A. Shamir, "How to share a secret", CACM 1979, over the field modulo 2^61 - 1. A secret of 256
// bits is five limbs of 52 bits (the last has 48), little-endian; each limb is the value at 0 of
// its own polynomial of degree threshold - 1, whose other coefficients come from SecretRandom,
// uniformly. Share number x = 1, 2, ... holds the five values at x, as 64-bit little-endian
// numbers.
//
// Who deals the shares is trusted with them: nothing proves that they fit together. Time and memory
// addresses depend on numbers and counts only, up to the one bit whether shares are refused; shares
// are plain arrays, for the wire, and whoever holds them wipes them. Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "crypto/secret.h"
#include "crypto/secret_random.h"

namespace coppice {

inline constexpr std::uint32_t kMaxShares = 65535;
inline constexpr std::size_t kSecretLimbs = 5;

using SecretShare = std::array<std::uint8_t, 8 * kSecretLimbs>;

struct NumberedShare {
  std::uint32_t number = 0; // 1 ... kMaxShares
  SecretShare share{};
};

// Shares number 1 ... count, in order. 1 <= threshold <= count <= kMaxShares (checked). A threshold
// of 1 hands the secret to everyone.
std::vector<SecretShare> share_secret(const Secret<32>& secret, std::uint32_t threshold,
                                      std::uint32_t count, const SecretRandom& random);

// What recovering secrets from one set of share numbers takes, computed once: O(numbers^2) to make,
// O(numbers) for each secret.
//
// Note [Lying peers]
// All shares given are used, and must lie on one polynomial of degree below the threshold. One
// random parity check, drawn when this object is made and told to nobody, tests that: false shares
// go unnoticed with a chance of 2^-61 a limb, whoever chose them. With exactly `threshold` shares
// nothing is left over to compare. A peer that knows which numbers are used can then shift the
// secret by what it likes; one that doesn't makes some limb too long, but for a chance of 2^-49. So
// give more shares than the threshold, or check the secret against its public key. Which share is
// false is not found out: try other sets.
class LagrangeAtZero {
 public:
  // kInvalidArgument: fewer numbers than `threshold`, a number twice, or one that is 0 or above
  // kMaxShares. `threshold` > 0 (checked).
  static Result<LagrangeAtZero> make(std::span<const std::uint32_t> numbers,
                                     std::uint32_t threshold, const SecretRandom& random);

  // The shares' numbers are those of make(), in the same order (checked). kCorrupt if they
  // contradict each other, or can't be shares of a secret.
  Result<Secret<32>> reconstruct(std::span<const NumberedShare> shares) const;

  // reconstruct() up to its only branch on what the shares hold: `refused` is 0 where the secret
  // counts. For the test that the rest is constant time.
  struct Combined {
    Secret<32> secret;
    std::uint64_t refused = 0;
  };
  Combined combine(std::span<const NumberedShare> shares) const;

 private:
  LagrangeAtZero() = default;
  std::vector<std::uint32_t> numbers_;
  std::vector<std::uint64_t> at_zero_; // (numbers)
  std::vector<std::uint64_t> parity_;  // (numbers): all 0 if there are no more than the threshold
};

// For one secret; the errors are those of both.
Result<Secret<32>> reconstruct_secret(std::span<const NumberedShare> shares,
                                      std::uint32_t threshold, const SecretRandom& random);

} // namespace coppice
