// SPDX-License-Identifier: Apache-2.0
// A seeded orthonormal rotation of a vector of any dimension, without padding: it spreads whatever
// a few coordinates hold over all of them, so that a sum of many vectors needs fewer ring bits.
//
// With D the largest power of two that is at most d: random signs on the first D coordinates, a
// Walsh-Hadamard transform of these scaled by D^(-1/2), then the same with fresh signs on the last
// D coordinates. The two stretches overlap, or are both the whole vector where d = D. Sign i of
// stretch h (1 or 2) is minus where bit i mod 32 of word i / 32 is set, counted in the stretch, of
// KeyedRandom({.experiment = seed, .purpose = kRotation, .step = h}).
// (Ailon and Chazelle, "The fast Johnson-Lindenstrauss transform", 2009, without the sampling.)
//
// Note [Rotation]
// Let y be the rotation of x. For every x, every coordinate i and every real t, over the signs,
//   E exp(t y_i) <= exp(t^2 v / 2),   v = |x|^2 / D,
// and so P(|y_i| >= s) <= 2 exp(-s^2 / (2 v)). Proof. A sum of independent random signs times
// numbers a_j has E exp(t sum) <= exp(t^2 |a|^2 / 2) (Hoeffding 1963, lemma 1).
//  - i < d - D is touched by the first transform alone. Its row's entries are +-D^(-1/2), so y_i is
//    such a sum with a_j = +-x_j D^(-1/2) over the first D coordinates: |a|^2 <= |x|^2 / D.
//  - i >= d - D comes out of the second. Given the first signs, what enters it is fixed, call it u,
//    and y_i is such a sum over the second signs with a_j = +-u_j D^(-1/2) over the last D
//    coordinates. The first half is orthonormal, so |a|^2 <= |u|^2 / D = |x|^2 / D, whatever the
//    first signs were; the bound then holds on the average over them too.
// v can't be smaller for all x: a vector of one non-zero coordinate among the last d - D reaches it
// (it meets the second transform alone). Since D > d / 2, v is below twice |x|^2 / d, the best that
// any rotation could do. The coordinates of one y depend on each other: sum the probabilities.
// A bound over the signs holds for vectors that were not chosen by somebody who knew the seed.
//
// Floats: the same additions, subtractions and multiplications in the same pairs whatever the
// machine, and no threads, so the same bits everywhere. One level of a transform rounds each output
// once, by u = 2^-24 of itself, and multiplies the norm by sqrt(2) exactly otherwise; scaling costs
// 2 u. So what comes out differs from the exact rotation by at most rotation_error(d) of the norm
// of x: each of two transforms of L = log2 D levels adds (L + 2) u. That leaves underflow aside
// (2^-149 an operation). Memory: a buffer of at most 16 values for each 4096 of the vector.
// Thread-safe on different data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace coppice {

// Rotates in place. Nothing is done to no values. Values must be finite with a norm below 2^100;
// NaN and infinity spread over all coordinates.
void rotate(std::span<float> values, std::uint64_t seed);

// The inverse, which is the transpose, in double: for sums of rotated vectors.
void unrotate(std::span<double> values, std::uint64_t seed);

// D, the power of two that Note [Rotation] divides by. elements > 0 (checked).
std::size_t rotation_width(std::size_t elements);

// The largest norm of rotate()'s error over the norm of its input. elements > 0 (checked).
double rotation_error(std::size_t elements);

} // namespace coppice
