// SPDX-License-Identifier: Apache-2.0
#include "formats/half.h"

#include <bit>

namespace coppice {
namespace {

// bits / 2^shift to nearest, ties to even. 0 < shift < 32.
std::uint32_t shift_rounding(std::uint32_t bits, std::uint32_t shift) {
  const std::uint32_t kept = bits >> shift;
  const std::uint32_t dropped = bits & ((1U << shift) - 1U);
  const std::uint32_t tie = 1U << (shift - 1U);
  return kept + (dropped > tie || (dropped == tie && (kept & 1U) != 0) ? 1U : 0U);
}

} // namespace

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000U) << 16U;
  const std::uint32_t exponent = (half >> 10U) & 0x1FU;
  std::uint32_t fraction = half & 0x3FFU;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000U | (fraction << 13U));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112U) << 23U) | (fraction << 13U));
  if (fraction == 0) return std::bit_cast<float>(sign);
  // Subnormal: shift the leading one up to the implicit place.
  const auto up = static_cast<std::uint32_t>(std::countl_zero(fraction)) - 21U;
  fraction = (fraction << up) & 0x3FFU;
  return std::bit_cast<float>(sign | ((113U - up) << 23U) | (fraction << 13U));
}

std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16U) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t half = 0;
  if (magnitude > 0x7F800000U) {
    half = 0x7E00U | ((magnitude >> 13U) & 0x3FFU); // NaN: quiet, what fits of its payload
  } else if (magnitude >= 0x47800000U) {
    half = 0x7C00U; // 2^16 and above
  } else if (magnitude >= 0x38800000U) {
    half =
        shift_rounding(magnitude - 0x38000000U, 13); // a carry runs into the exponent, as it should
  } else if (magnitude >= 0x33000000U) {
    const std::uint32_t exponent = magnitude >> 23U; // 102 to 112: subnormal halves
    half = shift_rounding((magnitude & 0x7FFFFFU) | 0x800000U, 126U - exponent);
  }
  return static_cast<std::uint16_t>(sign | half);
}

float bfloat16_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

std::uint16_t float_to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);
  return static_cast<std::uint16_t>(shift_rounding(bits, 16));
}

} // namespace coppice
