// SPDX-License-Identifier: Apache-2.0
// float32 as the sum of two bfloat16, for products on bfloat16 hardware; private to product_*.cc.
//
// Note [Split elements]
// x = high + low, high = bfloat16(x), low = bfloat16(x - high): 16 bits of x's 24 are kept. A
// product is high high' + low high' + high low', three of bfloat16's for one; the last, low low',
// is below 2^-18 of it and left out. 32 depths make a step: in a row, 32 highs and then their lows;
// in a panel, the highs' 16 pairs of 64 columns, as of bfloat16, and then the lows'. An element
// takes 4 bytes, so column c of a row lies 4 c bytes on where c begins a step.
#pragma once

#include <cstddef>

#include "model/native/product_kernels.h"

namespace coppice::native {

inline constexpr std::size_t kSplitStep = 32;                // depths
inline constexpr std::size_t kSplitHalfRow = kSplitStep * 2; // bytes: highs, or lows
inline constexpr std::size_t kSplitHalfPanel = kSplitHalfRow * kPanelColumns; // likewise

inline std::size_t split_steps(std::size_t depth) { return (depth + kSplitStep - 1) / kSplitStep; }

} // namespace coppice::native
