// SPDX-License-Identifier: Apache-2.0
// What the searched encoders share: levels that a weight can have, and sums over a run of weights.
// Private to model/.
//
// Note [Searching for scales]. A block is runs of weights, each with a small integer scale s of a
// float16 d that all share; a weight is d s level(code). Three steps, each of which can only lower
// the squared error, are repeated: the nearest code of each weight; the best integer s of each run
// for d as it stands, from the rounded ideal and its neighbours, with codes made anew; the best d
// for s and codes as they stand, by least squares. Ideal scales to begin with are found run by run,
// as the best of a grid about the one that covers the largest weight: covering less rounds finer.
// With minima it is the same, with two unknowns a run and two for all.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "model/dequantize.h"

namespace coppice::encode {

// To the nearest integer, ties to even. |value| < 2^22.
inline float round_even(float value) {
  constexpr float kShift = 12582912.0F; // 1.5 x 2^23: the sum has no fraction bits
  return (value + kShift) - kShift;
}

inline float clamp(float value, float low, float high) {
  return value < low ? low : (value > high ? high : value);
}

// Levels low, low + 1, ..., high.
template <int kLow, int kHigh>
struct LinearLevels {
  static constexpr float kFarthest = kLow; // of the largest magnitude
  static constexpr float kOther = kHigh;   // at the other end
  static float nearest(float value) {
    return round_even(clamp(value, static_cast<float>(kLow), static_cast<float>(kHigh)));
  }
  static unsigned code(float level) {
    return static_cast<unsigned>(static_cast<int>(level) - kLow);
  }
};

// By twice the value, rounded down, from -256 on: middles of two levels are multiples of a half.
inline constexpr std::array<float, 512> kNearestNonlinear = [] {
  std::array<float, 512> levels{};
  std::size_t at = 0;
  for (int i = 0; i < 512; ++i) {
    while (at < 15 && i - 256 >= kNonlinearLevels[at] + kNonlinearLevels[at + 1]) ++at;
    levels[static_cast<std::size_t>(i)] = kNonlinearLevels[at];
  }
  return levels;
}();

// The levels of IQ4_NL and IQ4_XS.
struct NonlinearLevels {
  static constexpr float kFarthest = kNonlinearLevels.front();
  static constexpr float kOther = kNonlinearLevels.back();
  static float nearest(float value) {
    const float doubled = clamp(value, -128.0F, 127.0F) * 2.0F;
    return kNearestNonlinear[static_cast<std::size_t>(static_cast<int>(doubled + 256.0F))];
  }
  static unsigned code(float level) {
    unsigned code = 0;
    while (kNonlinearLevels[code] != static_cast<int>(level)) ++code;
    return code;
  }
};

// A run of weights, and what their squared errors count.
struct Run {
  const float* x;
  const float* w;
  std::size_t size;
};

// Sums of w x l and w l^2 over a run, l the levels.
struct ScaleSums {
  float xl = 0.0F;
  float ll = 0.0F;
};

} // namespace coppice::encode
