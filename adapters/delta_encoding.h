// SPDX-License-Identifier: Apache-2.0
// A clipped delta as a vector of small integers modulo 2^b, and a sum of such vectors back.
//
// The delta slots of a plan together are one vector: rotated where the plan says so (rotation.h),
// scaled, times the client's weight, and rounded as a whole. What leaves is promised to be no
// longer than the plan's bound, whatever the delta was; what is expected to leave is the delta.
//
// Note [Conditional rounding]
// Rounding draws a coin for each element; if the squared L2 norm of the integers is above the
// bound, all coins are drawn anew (Kairouz, Liu, Steinke 2021, the client's procedure). With a
// bound no less than Note [Rounded norm]'s a draw fails with probability at most
// kRedrawProbability, and in practice next to never: it takes fractions near 1/2 everywhere. The
// integers' mean, given that the draw was accepted, differs from the scaled value by at most the
// probability of a redraw. After kMostDraws draws zeros are sent and said so: below 2^-92 for
// vectors within their clip. Rounding errors of the rotation may carry a vector past its clip, by
// rotation_error(). Whatever is longer than the clip less 2^-28 of it, the error of the measured
// norm, is shortened to that.
//
// Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "adapters/ring_codec.h"
#include "base/random.h"
#include "base/result.h"

namespace coppice {

inline constexpr std::uint32_t kMostDraws = 128;

struct DeltaEncoding {
  double clip = 0;  // L2, of the delta before weight and scale
  double scale = 0; // ring units per unit of value, ring_headroom.h
  RingBits bits;
  std::uint64_t weight = 1;                        // of this client
  std::uint64_t norm_bound_squared = 0;            // of the integers: the largest allowed
  std::optional<std::uint64_t> rotation_seed = {}; // of the round; the same for all clients
};

struct EncodedVector {
  std::vector<std::uint32_t> elements; // modulo 2^bits
  std::uint32_t redraws = 0;           // draws thrown away
  bool zeroed = false;                 // none was short enough: all elements are 0
};

// One vector of integers whose squared norm is at most encoding.norm_bound_squared. The coins are
// those of `key` with its purpose set to kStochasticRounding and its step to the number of the
// draw. kInvalidArgument: NaN and infinity; a vector longer than the clip by more than 2^-20 of it
// (clip first); a clip outside 2^-100..2^100, a scale or weight that isn't positive, w C s above
// kLargestScaledNorm.
// kTooLarge: more than kMostEncodedElements.
Result<EncodedVector> encode_delta_vector(std::span<const float> clipped,
                                          const DeltaEncoding& encoding, RandomKey key);

// The sum of the weighted deltas that a sum of encoded vectors stands for, if it didn't wrap. Takes
// bits, scale and rotation from `encoding`. By client it is off by its rounding, in L2 norm less
// than sqrt(d) / scale, and by 2^-16 of w C.
std::vector<double> decode_delta_sum(std::span<const std::uint32_t> sum,
                                     const DeltaEncoding& encoding);

} // namespace coppice
