// SPDX-License-Identifier: Apache-2.0
#include "sim/permutation.h"

#include "base/check.h"

namespace coppice {
namespace {

// MurmurHash3's 64-bit finalizer (Appleby): each bit of the input flips each of the output with a
// chance near a half.
std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 33U)) * 0xff51afd7ed558ccdU;
  value = (value ^ (value >> 33U)) * 0xc4ceb9fe1a85ec53U;
  return value ^ (value >> 33U);
}

} // namespace

Permutation::Permutation(std::uint64_t size, const RandomKey& key) : size_(size) {
  COPPICE_CHECK(size > 0 && size <= std::uint64_t{1} << 62U);
  while (std::uint64_t{1} << (2 * half_bits_) < size) ++half_bits_;
  KeyedRandom random(key);
  for (std::uint64_t& round_key : round_keys_) round_key = random.next_u64();
}

std::uint64_t Permutation::encipher(std::uint64_t value) const {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  std::uint64_t left = value >> half_bits_;
  std::uint64_t right = value & mask;
  for (const std::uint64_t round_key : round_keys_) {
    const std::uint64_t next = left ^ (mix(right ^ round_key) & mask);
    left = right;
    right = next;
  }
  return left << half_bits_ | right;
}

std::uint64_t Permutation::operator()(std::uint64_t place) const {
  std::uint64_t value = place;
  do {
    value = encipher(value);
  } while (value >= size_);
  return value;
}

} // namespace coppice
