// SPDX-License-Identifier: Apache-2.0
// Smaller uploads that can still be summed on the ring: what all devices of a round do alike.
//
//   int8, int4  each value at one of 255 or 15 levels of one scale, rounded stochastically as
//               ring_codec.h does, in the fewest bits that hold the cohort's sum
//               (Alistarh, Grubic, Li, Tomioka, Vojnovic 2017, QSGD, with one scale for all)
//   top-k       k of n values, the same for all devices: those whose turn it is
//
// Note [Levels]
// With L levels on each side of zero and values clamped to [-b, b] the scale is L / b ring units
// per unit of value: a device of weight 1 sends integers from -L to L, one of weight w from -w L to
// w L. n devices with weights up to w need the least ring of B bits with n w (L + 1) < 2^(B-1), by
// Note [Ring headroom]: for w = 1 and L = 127, 18 bits for a thousand devices, and 14 for L = 7.
//
// Note [Turns]
// A device's own largest values differ from another's, so no sum could be made of them, and their
// places would say something of its text. So the plan says which: value i of the deltas, counted
// over all delta slots, is sent where i mod n = t. n and t are in the plan, t goes through all of
// 0..n-1 in every n rounds, in an order that is drawn anew for each n. Before it is known each
// value is sent with probability 1/n: rand-k, which is a contraction by 1 - 1/n as top-k is (Stich,
// Cordonnier, Jaggi 2018, definition 2.1 and lemma A.1), and converges with error feedback as it
// does.
//
// Note [Error feedback]
// e <- (delta + e) - sent(delta + e), and zero at first (Seide et al. 2014; Karimireddy, Rebjock,
// Stich, Jaggi 2019, algorithm 2): what clip, clamp, rounding and turns keep back is added to the
// next delta. e is a device's own, and never leaves it. What no round ever takes, beyond clip or
// bound round after round, would make it grow without end: it is shortened to n C, for the clip C,
// which is what n rounds of deltas at their clip add up to.
//
// Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "adapters/ring_codec.h"

namespace coppice {

enum class UploadCodec : std::uint8_t { kNone, kInt8, kInt4, kTopK };

// L of Note [Levels]; 0 for a codec without levels.
constexpr std::uint32_t levels_of(UploadCodec codec) {
  return codec == UploadCodec::kInt8 ? 127 : codec == UploadCodec::kInt4 ? 7 : 0;
}

// The largest scale with which a value of `bound` is at most `levels` ring units. bound > 0.
double level_scale(std::uint32_t levels, double bound);

// Of Note [Levels]. kInvalidArgument, with the numbers, where no ring does.
Result<RingBits> fewest_ring_bits(std::uint32_t levels, std::uint64_t clients,
                                  std::uint64_t max_weight);

// Note [Turns]: every value is sent where there is one turn.
struct Turn {
  std::uint32_t turns = 1; // n, above 0
  std::uint32_t turn = 0;  // t, below n
  bool operator==(const Turn&) const = default;

  // The first place from `first` on that is sent.
  std::size_t next(std::size_t first) const {
    return first + (turn + turns - static_cast<std::uint32_t>(first % turns)) % turns;
  }
  // How many of the places first .. first + count - 1.
  std::size_t count(std::size_t first, std::size_t count) const {
    const std::size_t begin = next(first);
    return begin >= first + count ? 0 : (first + count - begin + turns - 1) / turns;
  }
};

// The fewest turns in each of which no more than `share` of the values are sent. 0 < share <= 1.
std::uint32_t turns_of_share(double share);
// Whose turn it is in round 1, 2, ... of an experiment with that seed.
Turn turn_of_round(std::uint64_t seed, std::uint64_t round, std::uint32_t turns);

// The values that are sent.
std::vector<float> values_in_turn(std::vector<float> all, Turn turn);
// The inverse, with zeros for the others. sent.size() is turn.count(0, size) (checked).
std::vector<double> spread_in_turn(std::vector<double> sent, Turn turn, std::size_t size);

} // namespace coppice
