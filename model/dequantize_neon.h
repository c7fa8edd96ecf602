// SPDX-License-Identifier: Apache-2.0
// What the NEON twins of the block types are made of; private to model/'s *_neon.cc.
#pragma once

#if defined(__aarch64__)
#include <arm_neon.h>

#include "model/dequantize.h"

#define COPPICE_INLINE inline __attribute__((always_inline))

namespace coppice::neon {

COPPICE_INLINE float scale_at(const std::uint8_t* bytes) {
  __fp16 half;
  std::memcpy(&half, bytes, sizeof half);
  return static_cast<float>(half);
}

COPPICE_INLINE uint8x16_t low_nibbles(uint8x16_t bytes) { return vandq_u8(bytes, vdupq_n_u8(15)); }
COPPICE_INLINE uint8x16_t high_nibbles(uint8x16_t bytes) { return vshrq_n_u8(bytes, 4); }

// Bits from `shift` on, moved to the right.
COPPICE_INLINE uint8x16_t shifted(uint8x16_t bytes, std::size_t shift) {
  return vshlq_u8(bytes, vdupq_n_s8(static_cast<std::int8_t>(-static_cast<int>(shift))));
}

COPPICE_INLINE int8x16_t less(uint8x16_t weights, std::int8_t offset) {
  return vsubq_s8(vreinterpretq_s8_u8(weights), vdupq_n_s8(offset));
}

// `bit` of each byte of `where`, set in `value`'s bits.
COPPICE_INLINE uint8x16_t where_set(uint8x16_t where, std::uint8_t bit, std::uint8_t value) {
  return vandq_u8(vtstq_u8(where, vdupq_n_u8(bit)), vdupq_n_u8(value));
}

COPPICE_INLINE int8x16_t nonlinear(uint8x16_t nibbles) {
  return vqtbl1q_s8(vld1q_s8(kNonlinearLevels.data()), nibbles);
}

struct Floats16 {
  float32x4_t at[4];
};
COPPICE_INLINE Floats16 widen(int8x16_t weights) {
  const int16x8_t low = vmovl_s8(vget_low_s8(weights));
  const int16x8_t high = vmovl_s8(vget_high_s8(weights));
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
           vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
           vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
}

// 16 int8 times scale.
COPPICE_INLINE void store_scaled(int8x16_t weights, float scale, float* out) {
  const Floats16 wide = widen(weights);
  for (std::size_t i = 0; i < 4; ++i) vst1q_f32(out + 4 * i, vmulq_n_f32(wide.at[i], scale));
}

// 16 weights below 128 times scale, plus offset, rounded twice.
COPPICE_INLINE void store_affine(uint8x16_t weights, float scale, float offset, float* out) {
  const Floats16 wide = widen(vreinterpretq_s8_u8(weights));
  for (std::size_t i = 0; i < 4; ++i) {
    vst1q_f32(out + 4 * i, vaddq_f32(vmulq_n_f32(wide.at[i], scale), vdupq_n_f32(offset)));
  }
}

} // namespace coppice::neon
#endif
