// SPDX-License-Identifier: Apache-2.0
// NEON's dot product (Armv8.4, and Armv8.2's extension): 32 weights of Q4_0 or Q8_0 in two
// instructions, four blocks to a vector of scales.
#include "model/native/int8_products.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#include <cstring>

#define COPPICE_DOT __attribute__((target("arch=armv8.2-a+dotprod")))
#define COPPICE_INLINE inline __attribute__((always_inline))

namespace coppice::native {
namespace {

constexpr std::size_t kBlock = Int8Row::kBlock;
constexpr std::size_t kGroup = 4;

struct Q4 {
  static constexpr std::size_t kBytes = 18;
  static constexpr bool kOffset = true; // weights are nibbles - 8
  COPPICE_DOT static COPPICE_INLINE int32x4_t dots(const std::uint8_t* block,
                                                   const std::int8_t* values) {
    const uint8x16_t nibbles = vld1q_u8(block + 2);
    const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(nibbles, vdupq_n_u8(15)));
    const int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(nibbles, 4));
    const int32x4_t first = vdotq_s32(vdupq_n_s32(0), low, vld1q_s8(values));
    return vdotq_s32(first, high, vld1q_s8(values + kBlock / 2));
  }
};

struct Q8 {
  static constexpr std::size_t kBytes = 34;
  static constexpr bool kOffset = false;
  COPPICE_DOT static COPPICE_INLINE int32x4_t dots(const std::uint8_t* block,
                                                   const std::int8_t* values) {
    const int8x16_t low = vreinterpretq_s8_u8(vld1q_u8(block + 2));
    const int8x16_t high = vreinterpretq_s8_u8(vld1q_u8(block + 2 + kBlock / 2));
    const int32x4_t first = vdotq_s32(vdupq_n_s32(0), low, vld1q_s8(values));
    return vdotq_s32(first, high, vld1q_s8(values + kBlock / 2));
  }
};

// The float16 scales of `count` blocks, at most 4; zeros behind.
template <typename Q>
COPPICE_INLINE float32x4_t scales_of(const std::uint8_t* blocks, std::size_t count) {
  std::uint16_t halves[kGroup] = {};
  for (std::size_t i = 0; i < count; ++i) std::memcpy(halves + i, blocks + i * Q::kBytes, 2);
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(halves)));
}

template <typename Q>
COPPICE_DOT COPPICE_INLINE float row_product(const std::uint8_t* row, const Int8Row& x) {
  float32x4_t sums = vdupq_n_f32(0);
  float32x4_t others = vdupq_n_f32(0); // a second chain, and the offsets of Q4_0
  std::size_t block = 0;
  for (; block + kGroup <= x.blocks(); block += kGroup, row += kGroup * Q::kBytes) {
    const std::int8_t* values = x.values.data() + block * kBlock;
    const float32x4_t scales = scales_of<Q>(row, kGroup);
    const float32x4_t each = vmulq_f32(scales, vld1q_f32(x.scales.data() + block));
    if constexpr (Q::kOffset) {
      others = vfmaq_f32(others, scales, vld1q_f32(x.eighths.data() + block));
    }
    const float32x4_t dots0 = vcvtq_f32_s32(Q::dots(row, values));
    const float32x4_t dots1 = vcvtq_f32_s32(Q::dots(row + Q::kBytes, values + kBlock));
    const float32x4_t dots2 = vcvtq_f32_s32(Q::dots(row + 2 * Q::kBytes, values + 2 * kBlock));
    const float32x4_t dots3 = vcvtq_f32_s32(Q::dots(row + 3 * Q::kBytes, values + 3 * kBlock));
    sums = vfmaq_laneq_f32(sums, dots0, each, 0);
    others = vfmaq_laneq_f32(others, dots1, each, 1);
    sums = vfmaq_laneq_f32(sums, dots2, each, 2);
    others = vfmaq_laneq_f32(others, dots3, each, 3);
  }
  float sum = vaddvq_f32(vaddq_f32(sums, others));
  for (; block < x.blocks(); ++block, row += Q::kBytes) {
    const float scale = vgetq_lane_f32(scales_of<Q>(row, 1), 0);
    const int dot = vaddvq_s32(Q::dots(row, x.values.data() + block * kBlock));
    sum += scale * x.scales[block] * static_cast<float>(dot);
    if constexpr (Q::kOffset) sum += scale * x.eighths[block];
  }
  return sum;
}

// A row of weights stays in the first-level cache for all of x.
template <typename Q>
COPPICE_DOT void products(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                          std::span<const Int8Row> x, float* out, std::size_t out_stride) {
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t t = 0; t < x.size(); ++t) {
      out[t * out_stride + i] = row_product<Q>(rows + i * row_bytes, x[t]);
    }
  }
}

// Run by run; see tq2_0_scalar.
COPPICE_DOT COPPICE_INLINE float ternary_row(const std::uint8_t* row, const Int8Row& x) {
  constexpr std::size_t kBytes = 66;
  constexpr std::size_t kScale = 64;
  const uint8x16_t pair = vdupq_n_u8(3);
  const int8x16_t one = vdupq_n_s8(1);
  float32x4_t sums = vdupq_n_f32(0);
  for (std::size_t block = 0; block < x.blocks(); block += 8, row += kBytes) {
    std::uint16_t half[kGroup] = {};
    std::memcpy(half, row + kScale, sizeof half[0]);
    const float scale = vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(half))), 0);
    for (std::size_t run = 0; run < 8; ++run) {
      const int8x16_t shift = vdupq_n_s8(static_cast<std::int8_t>(-2 * static_cast<int>(run % 4)));
      const std::int8_t* values = x.values.data() + (block + run) * kBlock;
      int32x4_t dots = vdupq_n_s32(0);
      for (std::size_t half_run = 0; half_run < 2; ++half_run) {
        const uint8x16_t bytes = vshlq_u8(vld1q_u8(row + run / 4 * 32 + half_run * 16), shift);
        const int8x16_t w = vsubq_s8(vreinterpretq_s8_u8(vandq_u8(bytes, pair)), one);
        dots = vdotq_s32(dots, w, vld1q_s8(values + half_run * 16));
      }
      sums = vfmaq_n_f32(sums, vcvtq_f32_s32(dots), scale * x.scales[block + run]);
    }
  }
  return vaddvq_f32(sums);
}

} // namespace

namespace levels {

COPPICE_DOT void q4_0_neon(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                           std::span<const Int8Row> x, float* out, std::size_t out_stride) {
  products<Q4>(rows, row_bytes, count, x, out, out_stride);
}

COPPICE_DOT void q8_0_neon(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                           std::span<const Int8Row> x, float* out, std::size_t out_stride) {
  products<Q8>(rows, row_bytes, count, x, out, out_stride);
}

COPPICE_DOT void tq2_0_neon(const std::uint8_t* rows, std::size_t row_bytes, std::size_t count,
                            std::span<const Int8Row> x, float* out, std::size_t out_stride) {
  for (std::size_t t = 0; t < x.size(); ++t) {
    for (std::size_t row = 0; row < count; ++row) {
      out[t * out_stride + row] = ternary_row(rows + row * row_bytes, x[t]);
    }
  }
}

} // namespace levels

} // namespace coppice::native
#endif
