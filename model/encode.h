// SPDX-License-Identifier: Apache-2.0
// The functions behind model/quantize_blocks.h: one block each; private to model/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "formats/half.h"

namespace coppice::encode {

// From a block's weights `x`, and what each one's squared error counts `w`, to its bytes.
using EncodeBlock = void(const float* x, const float* w, std::uint8_t* block);

// The bits of ggml's reference encoder; `w` is not heeded.
EncodeBlock q8_0, q4_0, q4_1, q5_0, q5_1, tq1_0, tq2_0;
// Searched for.
EncodeBlock iq4_nl, iq4_xs, q3_k, q6_k; // one scale a run
EncodeBlock q2_k, q4_k, q5_k;           // scale and minimum

inline void put_half(std::uint8_t* to, float value) {
  const std::uint16_t half = float_to_half(value);
  std::memcpy(to, &half, sizeof half);
}
inline float as_half(float value) { return half_to_float(float_to_half(value)); }

} // namespace coppice::encode
