// SPDX-License-Identifier: Apache-2.0
// How large a scale the ring allows for a sum of whole encoded vectors (delta_encoding.h) and
// noise: with certainty where nothing is random about it, else with a wrap less likely than 2^-40.
//
// Wrapping costs accuracy, never privacy. ring_codec.h has the certain condition for single values.
//
// Note [Wrap probability]
// n clients with weights up to w send the roundings of w_k s R x_k, |x_k| <= C, R the rotation.
// X = s sum w_k x_k has norm at most S = n w C s, reached if all clients are aligned. A coordinate
// of the sum is (R X)_i + E_i + N_i, and it is read back right if its magnitude is below h =
// 2^(b-1). For t > 0, with all of these bounds on the logarithm of E exp(t ...):
//  - (R X)_i: t^2 S^2 / (2 D), Note [Rotation]. Without rotation it is at most S, always.
//  - E_i, the roundings, given R: independent over clients, each within an interval of length 1 and
//    with mean 0 (to 2^-32) before it is known that the draw was accepted. Conditioning on an event
//    of probability at least 1 - beta moves the distribution by at most beta in total variation,
//    and so the mean by at most beta. About its own mean each is sub-Gaussian of variance 1/4
//    (Hoeffding's lemma): t n beta + t^2 n / 8. beta is kRedrawProbability. Or E_i <= n, always.
//  - Zeros after kMostDraws draws: a client sends them with probability at most beta^kMostDraws
//    whatever R is; n times that is added to the probability in the end.
//  - Floats: R x_k as computed, and shortened to the clip, is off by at most 2 rotation_error and
//    the encoder's tolerance of 2^-20 twice, together below 2^-16 of C: t 2^-16 S.
//  - N_i, any sum of independent discrete Gaussians and Skellams whose sigma^2 and variances add up
//    to v: v (cosh t - 1). That is Skellam's own; a discrete Gaussian has at most t^2 sigma^2 / 2
//    (Canonne, Kamath, Steinke 2020), which is less.
// With L(t) their sum, P(some coordinate wraps) <= 2 d min_t exp(L(t) - t h), over both signs and
// all d coordinates, for any t at all: a t that is not quite the best costs tightness, not truth.
// Where that gives more, the bound without rotation, L(t) = t (S + n) + v (cosh t - 1), is taken:
// it holds with rotation too, since no coordinate of R X is above its norm.
// "Certain" is said only without noise, and if n (w C s + 1) < h.
// All this is for honest clients, deltas that don't depend on the rotation's seed, and a norm bound
// no less than Note [Rounded norm]'s for w C s.
//
// Pure functions; thread-safe.
#pragma once

#include <cstdint>

#include "adapters/ring_codec.h"

namespace coppice {

inline constexpr double kLog2WrapAllowed = -40;

struct HeadroomTerms {
  std::uint64_t elements = 0; // of the whole vector, up to kMostEncodedElements
  std::uint64_t clients = 0;  // the most that can be in the sum
  std::uint64_t max_weight = 1;
  double clip = 0; // C, in units of value
  bool rotated = false;
  // The noise in a coordinate of the sum has variance noise_deviation^2 + (noise_multiplier
  // Delta_2)^2, Delta_2 as in Note [Rounded norm] for w C s. Where devices bring the noise, the
  // most there can be counts: as if none was corrupt or dropped out.
  double noise_deviation = 0;  // ring units, whatever the scale is
  double noise_multiplier = 0; // of Delta_2: grows with the scale
};

struct HeadroomStatement {
  bool certain = false;             // no sum of honest clients can wrap
  double log2_wrap_probability = 0; // at most; 0: nothing is promised; -infinity: certain
  bool allowed() const { return log2_wrap_probability <= kLog2WrapAllowed; }
};

// What can be promised. Nothing for terms without clients, elements, weight or clip, for numbers
// that are negative or not finite, and for what can't be encoded (kLargestScaledNorm).
HeadroomStatement headroom(RingBits bits, const HeadroomTerms& terms, double scale);

struct ScaleChoice {
  double scale = 0; // 0: the ring is too small for any, or the terms are senseless
  HeadroomStatement headroom;
};

// The largest scale whose headroom is allowed(), within one part in 2^40.
ScaleChoice largest_scale(RingBits bits, const HeadroomTerms& terms);

// log2 of the ring that would just be allowed(), not rounded up; its ceiling is the least number of
// bits, offered or not. Infinity where no ring would do.
double ring_bits_needed(const HeadroomTerms& terms, double scale);

} // namespace coppice
