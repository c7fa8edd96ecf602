// SPDX-License-Identifier: Apache-2.0
// What the inputs of an engine's products are rounded to, where the native engine, or a GPU,
// multiplies bfloat16.
#pragma once

#include <cstdint>
#include <string_view>

namespace coppice {

enum class EnginePrecision : std::uint8_t {
  // To bfloat16 on training's way back and in writing text; scores, and the way there of training,
  // are products to 2^-17.
  kBfloat16,
  kFloat32, // not at all
  // To bfloat16 everywhere. Losses are within a thousandth, gradients point a hundredth aside.
  kQuick,
};

// Settings allow these names alone.
inline constexpr const char* kPrecisionNames = "bfloat16|float32|quick";
inline EnginePrecision precision_named(std::string_view name) {
  if (name == "float32") return EnginePrecision::kFloat32;
  return name == "quick" ? EnginePrecision::kQuick : EnginePrecision::kBfloat16;
}

} // namespace coppice
