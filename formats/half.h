// SPDX-License-Identifier: Apache-2.0
// IEEE 754 binary16 and bfloat16 to and from float, one number at a time, as bit patterns.
//
// Widening is exact. Narrowing rounds to nearest, ties to even; overflow becomes infinity, NaN
// stays a (quiet) NaN. Integer arithmetic only: the same bits on every machine. The scalar twin of
// any vector code elsewhere.
#pragma once

#include <cstdint>

namespace coppice {

float half_to_float(std::uint16_t half);
std::uint16_t float_to_half(float value);
float bfloat16_to_float(std::uint16_t bits);
std::uint16_t float_to_bfloat16(float value);

} // namespace coppice
