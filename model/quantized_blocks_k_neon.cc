// SPDX-License-Identifier: Apache-2.0
// The NEON twins of the types with blocks of 256 weights. Each product and difference is the scalar
// one, lane by lane, so the bits are the same. A sixteenth of a block is the unit.
#include "model/dequantize_neon.h"

#if defined(__aarch64__)

namespace coppice::neon {
namespace {

constexpr std::size_t kSixteenths = 16;

// The pairs of bits of a sixteenth, of 64 bytes that hold all.
COPPICE_INLINE uint8x16_t pairs(const std::uint8_t* bytes, std::size_t sixteenth) {
  const uint8x16_t all = vld1q_u8(bytes + sixteenth / 8 * 32 + sixteenth % 2 * 16);
  return vandq_u8(shifted(all, sixteenth / 2 % 4 * 2), vdupq_n_u8(3));
}

// The nibbles of a sixteenth, of 128 bytes that hold all: two runs of 32 share 32 bytes.
COPPICE_INLINE uint8x16_t nibbles(const std::uint8_t* bytes, std::size_t sixteenth) {
  const std::size_t run = sixteenth / 2;
  const uint8x16_t both = vld1q_u8(bytes + run / 2 * 32 + sixteenth % 2 * 16);
  return run % 2 == 0 ? low_nibbles(both) : high_nibbles(both);
}

// The bit of a sixteenth's run in each of 32 bytes, as `value`.
COPPICE_INLINE uint8x16_t high_bit(const std::uint8_t* bytes, std::size_t sixteenth,
                                   std::uint8_t value) {
  return where_set(vld1q_u8(bytes + sixteenth % 2 * 16),
                   static_cast<std::uint8_t>(1U << (sixteenth / 2)), value);
}

} // namespace

void dequantize_q2_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q2KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float all = scale_at(blocks + L::kScale);
    const float all_min = scale_at(blocks + L::kMin);
    for (std::size_t s = 0; s < kSixteenths; ++s) {
      const unsigned both = blocks[L::kScales + s];
      store_affine(pairs(blocks + L::kLow, s), all * static_cast<float>(both & 15U),
                   -(all_min * static_cast<float>(both >> 4U)), out + at + s * 16);
    }
  }
}

void dequantize_q3_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q3KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float all = scale_at(blocks + L::kScale);
    for (std::size_t s = 0; s < kSixteenths; ++s) {
      const uint8x16_t w = vorrq_u8(pairs(blocks + L::kLow, s), high_bit(blocks + L::kHigh, s, 4));
      const auto part = static_cast<float>(q3_k_scale(blocks + L::kScales, s));
      store_scaled(less(w, 4), all * part, out + at + s * 16);
    }
  }
}

void dequantize_q4_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q4KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const KScales parts = unpack_k_scales(blocks + L::kScales);
    const float all = scale_at(blocks + L::kScale);
    const float all_min = scale_at(blocks + L::kMin);
    for (std::size_t s = 0; s < kSixteenths; ++s) {
      store_affine(nibbles(blocks + L::kLow, s), all * static_cast<float>(parts.scale[s / 2]),
                   -(all_min * static_cast<float>(parts.min[s / 2])), out + at + s * 16);
    }
  }
}

void dequantize_q5_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q5KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const KScales parts = unpack_k_scales(blocks + L::kScales);
    const float all = scale_at(blocks + L::kScale);
    const float all_min = scale_at(blocks + L::kMin);
    for (std::size_t s = 0; s < kSixteenths; ++s) {
      const uint8x16_t w =
          vorrq_u8(nibbles(blocks + L::kLow, s), high_bit(blocks + L::kHigh, s, 16));
      store_affine(w, all * static_cast<float>(parts.scale[s / 2]),
                   -(all_min * static_cast<float>(parts.min[s / 2])), out + at + s * 16);
    }
  }
}

// Each half of a block holds four runs; see the scalar twin.
void dequantize_q6_k(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Q6KLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float all = scale_at(blocks + L::kScale);
    for (std::size_t s = 0; s < kSixteenths; ++s) {
      const std::size_t half = s / 8;
      const std::size_t run = s / 2 % 4;
      const std::size_t column = s % 2 * 16;
      const uint8x16_t lows = vld1q_u8(blocks + half * 64 + run % 2 * 32 + column);
      const uint8x16_t highs = vld1q_u8(blocks + L::kHigh + half * 32 + column);
      const uint8x16_t low = low_nibbles(shifted(lows, run / 2 * 4));
      const uint8x16_t high = vandq_u8(shifted(highs, run * 2), vdupq_n_u8(3));
      const auto part = static_cast<float>(static_cast<std::int8_t>(blocks[L::kScales + s]));
      store_scaled(less(vorrq_u8(low, vshlq_n_u8(high, 4)), 32), all * part, out + at + s * 16);
    }
  }
}

void dequantize_iq4_xs(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Iq4XsLayout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float all = scale_at(blocks + L::kScale);
    for (std::size_t run = 0; run < 8; ++run) {
      const float scale = all * static_cast<float>(iq4_xs_scale(blocks, run));
      const uint8x16_t both = vld1q_u8(blocks + L::kLow + run * 16);
      store_scaled(nonlinear(low_nibbles(both)), scale, out + at + run * 32);
      store_scaled(nonlinear(high_nibbles(both)), scale, out + at + run * 32 + 16);
    }
  }
}

namespace {

// Multiplied by a power of three, a byte keeps the fraction; what times 3 carries out of it is the
// trit.
COPPICE_INLINE int8x16_t trits(uint8x16_t bytes, uint8x16_t powers) {
  const uint8x16_t rest = vmulq_u8(bytes, powers);
  const uint8x8_t three = vdup_n_u8(3);
  const uint8x8_t low = vshrn_n_u16(vmull_u8(vget_low_u8(rest), three), 8);
  const uint8x8_t high = vshrn_n_u16(vmull_u8(vget_high_u8(rest), three), 8);
  return less(vcombine_u8(low, high), 1);
}

} // namespace

void dequantize_tq1_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Tq1Layout;
  constexpr std::uint8_t kPowers[] = {1, 3, 9, 27, 81};
  constexpr std::uint8_t kFourPowers[16] = {1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27};
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float scale = scale_at(blocks + L::kScale);
    float* const to = out + at;
    for (std::size_t n = 0; n < 5; ++n) {
      const uint8x16_t power = vdupq_n_u8(kPowers[n]);
      store_scaled(trits(vld1q_u8(blocks), power), scale, to + n * 32);
      store_scaled(trits(vld1q_u8(blocks + 16), power), scale, to + n * 32 + 16);
      store_scaled(trits(vld1q_u8(blocks + 32), power), scale, to + 160 + n * 16);
    }
    std::uint32_t fours;
    std::memcpy(&fours, blocks + L::kFours, sizeof fours);
    store_scaled(trits(vreinterpretq_u8_u32(vdupq_n_u32(fours)), vld1q_u8(kFourPowers)), scale,
                 to + 240);
  }
}

void dequantize_tq2_0(const std::uint8_t* blocks, std::size_t elements, float* out) {
  using L = Tq2Layout;
  for (std::size_t at = 0; at < elements; at += kLargeBlock, blocks += L::kBytes) {
    const float scale = scale_at(blocks + L::kScale);
    for (std::size_t s = 0; s < kSixteenths; ++s) {
      store_scaled(less(pairs(blocks, s), 1), scale, out + at + s * 16);
    }
  }
}

} // namespace coppice::neon
#endif
