// SPDX-License-Identifier: Apache-2.0
// The functions behind model/quantized_blocks.h, level by level; private to model/.
#pragma once

#include <cstddef>
#include <cstdint>

namespace coppice {

// Plain C++: the definition of each type.
namespace scalar {
void dequantize_f32(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_f16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_bf16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q8_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out);
} // namespace scalar

#if defined(__x86_64__)
namespace avx2 {
void dequantize_f16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_bf16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q8_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out);
} // namespace avx2

namespace avx512 {
void dequantize_f16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_bf16(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q8_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out);
void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out);
} // namespace avx512
#endif

// Q6_K: 256 weights in 210 bytes. Low nibbles (128), high pairs of bits (64), int8 scales of 16
// weights each (16), float16 scale of all.
struct Q6KLayout {
  static constexpr std::size_t kWeights = 256;
  static constexpr std::size_t kHigh = 128;
  static constexpr std::size_t kScales = 192;
  static constexpr std::size_t kScale = 208;
  static constexpr std::size_t kBytes = 210;
};
// Q8_0: a float16 scale and 32 int8. Q4_0: a float16 scale and 32 nibbles less 8, the first sixteen
// weights in the low halves of the bytes.
inline constexpr std::size_t kSmallBlock = 32;
inline constexpr std::size_t kQ8Bytes = 34;
inline constexpr std::size_t kQ4Bytes = 18;

} // namespace coppice
