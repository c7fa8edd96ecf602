// SPDX-License-Identifier: Apache-2.0
// Noise that is correlated over rounds: the banded Toeplitz matrix mechanism, on integers.
//
// For DP-FTRL, where sampling can't be assumed. (Choquette-Choo, Ganesh, McKenna, McMahan, Rush,
// Thakurta, Xu, "(Amplified) banded matrix factorization", NeurIPS 2023; the coefficients are those
// of the square root of the prefix-sum matrix, Fichtenberger, Henzinger, Upadhyay 2023, rounded and
// cut off after `bands`.) Prefix sums of this noise, which are what the shared adapter accumulates,
// are far smaller than those of independent noise for the same promise.
//
// Note [Banded noise on integers]
// C is lower triangular with c_0 = 1, c_1, ..., c_{bands-1} on its diagonals, all multiples of
// 2^-f. With s the rounds' un-noised integer sums, the mechanism releases (C s)_t + z_t, where z is
// a fresh discrete Gaussian on 2^-f Z; C s is on that lattice too, so this is the discrete Gaussian
// mechanism at the sensitivity of C s. What is published is computed from it alone:
//   y_t = round((C s)_t + z_t - sum_{j>=1} c_j y_{t-j}),
// and equals s_t + e_t with e_t = round(z_t - sum_{j>=1} c_j e_{t-j}), since s_t is an integer and
// round (to nearest, halves up) commutes with adding one. So the un-noised sums need not be kept:
// the state is the last bands - 1 integer noise vectors. C y = C s + z up to the roundings, of at
// most 1/2 each. Old roundings don't add up: coefficients that begin 1 > c_1 and never increase
// leave no root of c in the closed unit disc (Enestrom, Kakeya), so 1 / c is summable.
//
// Note [Participation]
// One that moves s_t by x in round t moves C s by x times a column of C. Columns at least `bands`
// apart have no row in common, so whoever takes part k times, each two of them at least `bands`
// rounds apart (in rounds t and t + bands, not sooner), moves C s in L2 by at most
//   sqrt(k) column_norm() (bound on one participation's L2 norm),
// and z's deviation over that is the noise multiplier of one Gaussian release of the whole run.
// Devices and aggregator both have to enforce the separation; nothing here does.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "privacy/discrete_noise.h"

namespace coppice {

inline constexpr std::uint32_t kMaxBands = 64;
inline constexpr std::uint32_t kMaxFractionBits = 12;
// Of a state: dimension times (bands - 1), 1 GiB.
inline constexpr std::uint64_t kMaxBandedValues = std::uint64_t{1} << 28U;

// c_0, c_1, ... in units of 2^-fraction_bits. Plain data, as made by create().
struct BandedCoefficients {
  std::uint32_t fraction_bits = 0;
  std::vector<std::uint32_t> scaled;

  // c_j = binomial(2 j, j) / 4^j, rounded to nearest: 1, 1/2, 3/8, 5/16, ... kInvalidArgument
  // unless 1 <= bands <= 64 and fraction_bits <= 12, and where the last coefficient would round to
  // 0. bands = 1 is independent noise.
  static Result<BandedCoefficients> create(std::uint32_t bands, std::uint32_t fraction_bits = 12);

  std::uint32_t bands() const { return static_cast<std::uint32_t>(scaled.size()); }
  // Of the coefficients as rounded: exactly norm_squared() / 4^fraction_bits is ||c||^2.
  std::uint64_t norm_squared() const;
  double column_norm() const; // ||c||_2, to double's precision
};

// The noise of the rounds so far, as far as later rounds need it. It belongs into the transaction
// of the release: whoever draws from an older state publishes the difference of two noises.
struct BandedNoise {
  BandedCoefficients coefficients;
  std::uint64_t dimension = 0;
  std::uint64_t rounds = 0; // noise vectors drawn so far
  // (bands - 1, dimension), in row (t mod (bands - 1)) that of round t; rows not drawn yet are 0.
  std::vector<std::int32_t> history;

  // kInvalidArgument for a dimension of 0; kTooLarge above kMaxBandedValues.
  static Result<BandedNoise> create(BandedCoefficients coefficients, std::uint64_t dimension);

  // e_t, to be added to s_t; the state then is that of the next round. `variance` is z's, in units
  // of the integers of s, and is the caller's to keep the same over a run: times 4^fraction_bits it
  // must suit DiscreteGaussian (integers up to 2^34 at 12 fraction bits), else kInvalidArgument. A
  // noise beyond 31 bits is kCorrupt: no history of ours leads there. On errors nothing is changed.
  // The same source and state give the same bits. `dimension` must be what create() or parse()
  // checked.
  Result<std::vector<std::int64_t>> next(Ratio variance, ByteSource& source);

  // version:u32, bands:u32, fraction_bits:u32, dimension:u64, rounds:u64, history as i32, all
  // little-endian.
  Bytes serialize() const;
  // kUnsupported for another version; kTooLarge, before anything is allocated, and kCorrupt for
  // what serialize() can't have written: other lengths, settings that create() refuses, and noise
  // in rows of rounds that weren't drawn.
  static Result<BandedNoise> parse(ByteSpan bytes);
};

} // namespace coppice
