// SPDX-License-Identifier: Apache-2.0
#include "model/nf4.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "model/dequantize_neon.h"
#include "model/dequantize_x86.h"
#include "model/quantized_blocks.h"

namespace coppice {
namespace {

// Quantiles of a normal distribution, scaled to [-1, 1], with an exact zero.
constexpr std::array<float, 16> kLevels{-1.0F,
                                        -0.6961928009986877F,
                                        -0.5250730514526367F,
                                        -0.39491748809814453F,
                                        -0.28444138169288635F,
                                        -0.18477343022823334F,
                                        -0.09105003625154495F,
                                        0.0F,
                                        0.07958029955625534F,
                                        0.16093020141124725F,
                                        0.24611230194568634F,
                                        0.33791524171829224F,
                                        0.44070982933044434F,
                                        0.5626170039176941F,
                                        0.7229568362236023F,
                                        1.0F};

// Seven decades, 10^-6 to 1, the i-th with 2^i values, the middles of equal steps from 0.1 to 1 of
// the decade; both signs, 0 and 1. In the steps of bitsandbytes and float32, so that the bits
// agree.
std::array<float, 256> make_magnitude_levels() {
  constexpr float kDecades[] = {1e-6F, 1e-5F, 1e-4F, 1e-3F, 1e-2F, 1e-1F, 1.0F};
  std::array<float, 256> levels{};
  std::size_t at = 0;
  for (int i = 0; i < 7; ++i) {
    const int steps = 1 << i;
    const float step = (1.0F - 0.1F) / static_cast<float>(steps);
    const auto boundary = [steps, step](int k) {
      if (k < (steps + 1) / 2) return std::fma(step, static_cast<float>(k), 0.1F);
      return std::fma(-step, static_cast<float>(steps - k), 1.0F);
    };
    for (int k = 0; k < steps; ++k) {
      const float middle = (boundary(k) + boundary(k + 1)) / 2.0F;
      const float level = kDecades[i] * middle;
      levels[at++] = level;
      levels[at++] = -level;
    }
  }
  levels[at++] = 0.0F;
  levels[at++] = 1.0F;
  std::ranges::sort(levels);
  return levels;
}

// Index of the nearest level; the lower one in the middle of two.
template <std::size_t N>
std::uint8_t nearest(const std::array<float, N>& middles, float value) {
  const auto above = std::ranges::lower_bound(middles, value);
  return static_cast<std::uint8_t>(above - middles.begin());
}

template <std::size_t N>
std::array<float, N - 1> middles_of(std::span<const float, N> levels) {
  std::array<float, N - 1> middles;
  for (std::size_t i = 0; i + 1 < N; ++i) middles[i] = (levels[i] + levels[i + 1]) / 2.0F;
  return middles;
}

float largest_magnitude(std::span<const float> values) {
  float largest = 0.0F;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  return largest;
}

using DequantizeBlock = void(const std::uint8_t* packed, float magnitude, float* out);

void dequantize_block(const std::uint8_t* packed, float magnitude, float* out) {
  for (std::size_t i = 0; i < kNf4Block / 2; ++i) {
    out[2 * i] = kLevels[packed[i] >> 4U] * magnitude;
    out[2 * i + 1] = kLevels[packed[i] & 15U] * magnitude;
  }
}

#if defined(__x86_64__)
// The sixteen values of a block are made once, and each weight is looked up.
COPPICE_AVX512 void dequantize_block_avx512(const std::uint8_t* packed, float magnitude,
                                            float* out) {
  const __m512 levels = _mm512_loadu_ps(kLevels.data());
  const __m512 values = _mm512_mul_ps(levels, _mm512_set1_ps(magnitude));
  const __m128i nibble = _mm_set1_epi8(15);
  for (std::size_t i = 0; i < kNf4Block / 2; i += 16, out += 32) {
    const __m128i bytes = load16(packed + i);
    const __m128i first = _mm_and_si128(_mm_srli_epi16(bytes, 4), nibble);
    const __m128i second = _mm_and_si128(bytes, nibble);
    const __m512i low = _mm512_cvtepu8_epi32(_mm_unpacklo_epi8(first, second));
    const __m512i high = _mm512_cvtepu8_epi32(_mm_unpackhi_epi8(first, second));
    _mm512_storeu_ps(out, avx512::look_up(low, values));
    _mm512_storeu_ps(out + 16, avx512::look_up(high, values));
  }
}
#elif defined(__aarch64__)
// The same, a byte of the sixteen values at a time.
void dequantize_block_neon(const std::uint8_t* packed, float magnitude, float* out) {
  uint8x16x4_t values;
  for (std::size_t i = 0; i < 4; ++i) {
    values.val[i] = vreinterpretq_u8_f32(vmulq_n_f32(vld1q_f32(kLevels.data() + 4 * i), magnitude));
  }
  const auto store = [&](uint8x16_t codes, float* to) {
    const uint8x16_t first = vshlq_n_u8(codes, 2);
    uint8x16x4_t bytes;
    for (std::size_t i = 0; i < 4; ++i) {
      bytes.val[i] = vqtbl4q_u8(values, vaddq_u8(first, vdupq_n_u8(static_cast<std::uint8_t>(i))));
    }
    vst4q_u8(reinterpret_cast<std::uint8_t*>(to), bytes);
  };
  for (std::size_t i = 0; i < kNf4Block / 2; i += 16, out += 32) {
    const uint8x16_t bytes = vld1q_u8(packed + i);
    const uint8x16_t first = neon::high_nibbles(bytes);
    const uint8x16_t second = neon::low_nibbles(bytes);
    store(vzip1q_u8(first, second), out);
    store(vzip2q_u8(first, second), out + 16);
  }
}
#endif

DequantizeBlock* best_dequantize_block() {
#if defined(__x86_64__)
  if (best_instruction_level() >= InstructionLevel::kAvx512) return dequantize_block_avx512;
#elif defined(__aarch64__)
  if (best_instruction_level() == InstructionLevel::kNeon) return dequantize_block_neon;
#endif
  return dequantize_block;
}

} // namespace

std::span<const float, 16> nf4_levels() { return kLevels; }

std::span<const float, 256> nf4_magnitude_levels() {
  static const std::array<float, 256> levels = make_magnitude_levels();
  return levels;
}

void dequantize_nf4(ByteSpan packed, std::span<const float> magnitudes, std::span<float> out) {
  COPPICE_CHECK(out.size() % kNf4Block == 0 && packed.size() == out.size() / 2 &&
                magnitudes.size() == out.size() / kNf4Block);
  static DequantizeBlock* const dequantize = best_dequantize_block();
  for (std::size_t block = 0; block < magnitudes.size(); ++block) {
    dequantize(&packed[block * kNf4Block / 2], magnitudes[block], &out[block * kNf4Block]);
  }
}

void dequantize_nf4(ByteSpan packed, const Nf4Magnitudes& magnitudes, std::size_t first_block,
                    std::span<float> out) {
  COPPICE_CHECK(out.size() % kNf4Block == 0 && packed.size() == out.size() / 2);
  static DequantizeBlock* const dequantize = best_dequantize_block();
  for (std::size_t block = 0; block < out.size() / kNf4Block; ++block) {
    dequantize(&packed[block * kNf4Block / 2], magnitudes.at(first_block + block),
               &out[block * kNf4Block]);
  }
}

void quantize_nf4(std::span<const float> weights, std::span<std::uint8_t> packed,
                  std::span<float> magnitudes) {
  COPPICE_CHECK(weights.size() % kNf4Block == 0 && packed.size() == weights.size() / 2 &&
                magnitudes.size() == weights.size() / kNf4Block);
  static const auto middles = middles_of<16>(kLevels);
  for (std::size_t block = 0; block < magnitudes.size(); ++block) {
    const auto of_block = weights.subspan(block * kNf4Block, kNf4Block);
    const float magnitude = largest_magnitude(of_block);
    const float inverse = magnitude > 0.0F ? 1.0F / magnitude : 0.0F;
    magnitudes[block] = magnitude;
    for (std::size_t i = 0; i < kNf4Block; i += 2) {
      const unsigned first = nearest(middles, of_block[i] * inverse);
      const unsigned second = nearest(middles, of_block[i + 1] * inverse);
      packed[(block * kNf4Block + i) / 2] = static_cast<std::uint8_t>(first << 4U | second);
    }
  }
}

QuantizedNf4Magnitudes quantize_nf4_magnitudes(std::span<const float> magnitudes) {
  static const auto middles = middles_of<256>(nf4_magnitude_levels());
  QuantizedNf4Magnitudes out;
  double sum = 0.0;
  for (const float magnitude : magnitudes) sum += double{magnitude};
  out.offset = static_cast<float>(sum / std::max(1.0, static_cast<double>(magnitudes.size())));
  out.codes.reserve(magnitudes.size());
  for (std::size_t begin = 0; begin < magnitudes.size(); begin += kNf4NestedBlock) {
    const std::size_t count = std::min(kNf4NestedBlock, magnitudes.size() - begin);
    std::vector<float> centred(count);
    for (std::size_t i = 0; i < count; ++i) centred[i] = magnitudes[begin + i] - out.offset;
    const float scale = largest_magnitude(centred);
    out.scales.push_back(scale);
    for (const float value : centred) {
      out.codes.push_back(nearest(middles, scale > 0.0F ? value * (1.0F / scale) : 0.0F));
    }
  }
  return out;
}

} // namespace coppice
