// SPDX-License-Identifier: Apache-2.0
// bfloat16: the upper half of a float32. Rounding is to nearest even; NaNs stay NaNs; subnormal
// results become zero, as the processors' own conversions do.
#pragma once

#include <bit>
#include <cstdint>

namespace coppice::native {

inline float widen_bfloat16(std::uint16_t x) {
  return std::bit_cast<float>(std::uint32_t{x} << 16U);
}

inline std::uint16_t to_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t exponent = bits & 0x7F800000U;
  const auto high = static_cast<std::uint16_t>(bits >> 16U);
  if (exponent == 0) return high & 0x8000U;
  if (exponent == 0x7F800000U && (bits & 0x7FFFFFU) != 0) return high | 0x40U;
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
}

} // namespace coppice::native
