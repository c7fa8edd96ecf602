// SPDX-License-Identifier: Apache-2.0
// Between floats and integers modulo 2^b: what is summed on the wire is exact, in any order.
//
// A slot's value x in [-bound, bound] becomes the integer r = x * scale, rounded stochastically, so
// that its expectation is x * scale (floor(y), plus one with probability y - floor(y)).
//
// Note [Ring headroom]
// With weights 1..w the integer is the rounding of x * scale * weight, at most w * bound * scale +
// 1 in magnitude. n of them stay below 2^(b-1) in magnitude if
//   n * w * (bound * scale + 1) < 2^(b-1),
// and then the sum is recovered exactly by reading the residue as a signed number, whatever the
// order and grouping of the additions, since they are all modulo 2^b.
//
// Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"

namespace coppice {

inline constexpr std::uint32_t kFewestRingBits = 4;

// Width of a ring element. 16, 20, 24 and 32 are offered; values of few levels (upload_codec.h)
// take the fewest that do, from kFewestRingBits on.
struct RingBits {
  std::uint32_t value = 32;
  static Result<RingBits> make(std::uint64_t bits); // of those that are offered
  static Result<RingBits> of_plan(std::uint64_t bits);
  bool offered() const { return value == 16 || value == 20 || value == 24 || value == 32; }
  std::uint32_t mask() const {
    return value >= 32 ? 0xffffffffU : (std::uint32_t{1} << value) - 1U;
  }
  bool operator==(const RingBits&) const = default;
};

// Whether no sum can wrap, by Note [Ring headroom]. False for a bound or scale that is negative or
// not finite, and for no clients or weights of 0: nothing may be promised on them.
bool ring_cannot_wrap(RingBits bits, std::uint64_t clients, std::uint64_t max_weight, double bound,
                      double scale);

// The largest scale for which ring_cannot_wrap(); 0 if there is none (the ring is too small). bound
// > 0.
double largest_safe_scale(RingBits bits, std::uint64_t clients, std::uint64_t max_weight,
                          double bound);

struct RingEncoding {
  double bound = 0; // values are clamped to [-bound, bound]
  double scale = 0; // ring units per unit of value
  RingBits bits;
  std::uint64_t weight = 1; // multiplied in after the clamp, before rounding
};

// Encodes values in order, one random word a value whatever it is; the probability of rounding up
// is exact to 2^-32. `clamped` (optional) is set to the number of values outside the bound.
// kInvalidArgument: NaN and infinity, with their place, and an encoding of which one value alone
// could reach 2^(b-1), whose bound is negative, or whose scale or weight isn't positive.
Result<std::vector<std::uint32_t>> ring_encode(std::span<const float> values,
                                               const RingEncoding& encoding, KeyedRandom& random,
                                               std::uint64_t* clamped = nullptr);
// The same into place, of the same size (checked). Gives the number of values outside the bound.
Result<std::uint64_t> ring_encode(std::span<const float> values, const RingEncoding& encoding,
                                  KeyedRandom& random, std::span<std::uint32_t> elements);

// sum[i] = (sum[i] + addend[i]) mod 2^bits. Sizes must be equal (checked).
void ring_add(std::span<std::uint32_t> sum, std::span<const std::uint32_t> addend, RingBits bits);

// The signed integer a residue stands for, divided by scale. double: exact for |integer| < 2^53.
std::vector<double> ring_decode(std::span<const std::uint32_t> sum, RingBits bits, double scale);

// b bits an element, little-endian bit order, no padding between elements, zero bits at the end.
std::size_t packed_size(std::size_t elements, RingBits bits);                       // bytes
void ring_pack(std::span<const std::uint32_t> elements, RingBits bits, Bytes& out); // appends
// kCorrupt for a wrong length, before anything is allocated, and for non-zero bits at the end (two
// texts must not mean one vector).
Result<std::vector<std::uint32_t>> ring_unpack(ByteSpan packed, std::size_t elements,
                                               RingBits bits);

} // namespace coppice
