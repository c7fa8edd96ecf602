// SPDX-License-Identifier: Apache-2.0
// Coins of exactly rational, and exactly exponential, bias: the bricks of the noise samplers.
//
// Integers only, no rounding anywhere: each coin's bias is the stated real number, given uniform
// bytes. How long a coin takes depends on what it shows. Thread-safe on different RandomBits.
#pragma once

#include <cstdint>

#include "base/check.h"
#include "privacy/random_bits.h"

namespace coppice {

__extension__ using Wide = unsigned __int128;

// True with probability num / den, for 0 <= num <= den and 0 < den <= 2^55 (Wide: 2^119), as eight
// bits are shifted in at a time.
//
// A uniform real is drawn digit by digit in base 256 and compared with num / den; the first digit
// decides but once in 256 times, and no division is needed.
template <typename Word>
bool bernoulli(RandomBits& bits, Word num, Word den) {
  for (;;) {
    const Word reached = static_cast<Word>(num << 8U);
    const Word drawn = static_cast<Word>(den * bits.byte());
    if (drawn >= reached) return false;
    num = static_cast<Word>(reached - drawn);
    if (num >= den) return true;
  }
}

// True with probability exp(-gamma), given a coin of bias gamma in [0, 1], whatever else is known
// of gamma. (Canonne, Kamath, Steinke, "The discrete Gaussian for differential privacy", NeurIPS
// 2020, algorithm 1; gamma / k is gamma's coin and one of bias 1 / k.)
template <typename Coin>
bool bernoulli_exp_of(RandomBits& bits, Coin&& coin) {
  for (std::uint64_t k = 1; k < kEndless; ++k) { // ends below with probability at most 1 / k!
    if ((k > 1 && !bernoulli<std::uint64_t>(bits, 1, k)) || !coin()) return (k & 1U) != 0;
  }
  check_failed(__FILE__, __LINE__, "k < kEndless", "the source of randomness isn't random");
}

// True with probability exp(-(num / den) * p), where `coin` has bias p; den within the limit of
// bernoulli(), num any. One factor exp(-p) for each whole part; the first that fails ends it.
template <typename Word, typename Coin>
bool bernoulli_exp(RandomBits& bits, Word num, Word den, Coin&& coin) {
  for (; num >= den; num = static_cast<Word>(num - den)) {
    if (!bernoulli_exp_of(bits, coin)) return false;
  }
  return bernoulli_exp_of(bits, [&] { return bernoulli<Word>(bits, num, den) && coin(); });
}

// True with probability exp(-num / den).
template <typename Word>
bool bernoulli_exp(RandomBits& bits, Word num, Word den) {
  return bernoulli_exp<Word>(bits, num, den, [] { return true; });
}

// floor(sqrt(value)).
inline std::uint64_t integer_sqrt(std::uint64_t value) {
  std::uint64_t root = 0;
  for (std::uint64_t bit = std::uint64_t{1} << 31U; bit != 0; bit >>= 1U) {
    const std::uint64_t next = root + bit;
    if (next * next <= value) root = next;
  }
  return root;
}

// k >= 0, below 1000 t, with probability proportional to exp(-k / t), for 0 < t < 2^32: the
// positive half of the discrete Laplace distribution (algorithm 2 of the same).
inline std::uint64_t sample_geometric(RandomBits& bits, std::uint64_t t) {
  std::uint64_t rest = bits.below(t);
  while (!bernoulli_exp<std::uint64_t>(bits, rest, t)) rest = bits.below(t);
  for (std::uint64_t whole = 0; whole < kEndless; ++whole) { // goes on with probability 1 / e
    if (!bernoulli_exp_of(bits, [] { return true; })) return rest + t * whole;
  }
  check_failed(__FILE__, __LINE__, "whole < kEndless", "the source of randomness isn't random");
}

} // namespace coppice
