// SPDX-License-Identifier: Apache-2.0
// The NEON twins of F16, BF16 and the types with blocks of 32 weights. Each product and sum is the
// scalar one, lane by lane, so the bits are the same.
#include "model/dequantize_neon.h"

#if defined(__aarch64__)

namespace coppice::neon {
namespace {

// Fifth bits of 16 weights, two bytes at `bytes`, as 16 or 0.
COPPICE_INLINE uint8x16_t fifth_bits(const std::uint8_t* bytes) {
  constexpr std::uint8_t kBits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t spread = vcombine_u8(vdup_n_u8(bytes[0]), vdup_n_u8(bytes[1]));
  return vandq_u8(vtstq_u8(spread, vld1q_u8(kBits)), vdupq_n_u8(16));
}

} // namespace

void dequantize_f16(const std::uint8_t* blocks, std::size_t elements, float* out) {
  std::size_t i = 0;
  for (; i + 8 <= elements; i += 8) {
    const float16x8_t halves = vreinterpretq_f16_u8(vld1q_u8(blocks + 2 * i));
    vst1q_f32(out + i, vcvt_f32_f16(vget_low_f16(halves)));
    vst1q_f32(out + i + 4, vcvt_high_f32_f16(halves));
  }
  scalar::dequantize_f16(blocks + 2 * i, elements - i, out + i);
}

void dequantize_bf16(const std::uint8_t* blocks, std::size_t elements, float* out) {
  std::size_t i = 0;
  for (; i + 8 <= elements; i += 8) {
    const uint16x8_t words = vreinterpretq_u16_u8(vld1q_u8(blocks + 2 * i));
    vst1q_f32(out + i, vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(words), 16)));
    vst1q_f32(out + i + 4, vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(words), 16)));
  }
  scalar::dequantize_bf16(blocks + 2 * i, elements - i, out + i);
}

void dequantize_q8_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ8Bytes) {
    const float scale = scale_at(blocks);
    store_scaled(vreinterpretq_s8_u8(vld1q_u8(blocks + 2)), scale, out + at);
    store_scaled(vreinterpretq_s8_u8(vld1q_u8(blocks + 18)), scale, out + at + 16);
  }
}

void dequantize_q4_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ4Bytes) {
    const float scale = scale_at(blocks);
    const uint8x16_t both = vld1q_u8(blocks + 2);
    store_scaled(less(low_nibbles(both), 8), scale, out + at);
    store_scaled(less(high_nibbles(both), 8), scale, out + at + 16);
  }
}

void dequantize_q4_1(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ41Bytes) {
    const float scale = scale_at(blocks);
    const float min = scale_at(blocks + 2);
    const uint8x16_t both = vld1q_u8(blocks + 4);
    store_affine(low_nibbles(both), scale, min, out + at);
    store_affine(high_nibbles(both), scale, min, out + at + 16);
  }
}

void dequantize_q5_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ50Bytes) {
    const float scale = scale_at(blocks);
    const uint8x16_t both = vld1q_u8(blocks + 6);
    const uint8x16_t low = vorrq_u8(low_nibbles(both), fifth_bits(blocks + 2));
    const uint8x16_t high = vorrq_u8(high_nibbles(both), fifth_bits(blocks + 4));
    store_scaled(less(low, 16), scale, out + at);
    store_scaled(less(high, 16), scale, out + at + 16);
  }
}

void dequantize_q5_1(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ51Bytes) {
    const float scale = scale_at(blocks);
    const float min = scale_at(blocks + 2);
    const uint8x16_t both = vld1q_u8(blocks + 8);
    const uint8x16_t low = vorrq_u8(low_nibbles(both), fifth_bits(blocks + 4));
    const uint8x16_t high = vorrq_u8(high_nibbles(both), fifth_bits(blocks + 6));
    store_affine(low, scale, min, out + at);
    store_affine(high, scale, min, out + at + 16);
  }
}

void dequantize_iq4_nl(const std::uint8_t* blocks, std::size_t elements, float* out) {
  for (std::size_t at = 0; at < elements; at += kSmallBlock, blocks += kQ4Bytes) {
    const float scale = scale_at(blocks);
    const uint8x16_t both = vld1q_u8(blocks + 2);
    store_scaled(nonlinear(low_nibbles(both)), scale, out + at);
    store_scaled(nonlinear(high_nibbles(both)), scale, out + at + 16);
  }
}

} // namespace coppice::neon
#endif
